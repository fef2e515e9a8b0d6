//! What a container is (its record) and what it does (its state): the two files in its directory.
//!
//! The record changes rarely and is synced before it is acknowledged. The state is written at each
//! transition without a sync: after a crash the shim's exit record and the kernel are the truth.

use std::collections::BTreeMap;

use corten_docker_api::containers::{ContainerConfig, Endpoint, HostConfig};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::networks::attachment::Networking;

/// The format of both files that this program writes.
pub const FORMAT: u32 = 1;

/// What a container is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`]; a file of a newer format is set aside, not guessed at.
    pub format: u32,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the slash that the API puts in front.
    pub name: String,
    /// When it was created.
    pub created: Moment,
    /// `sha256:…` of the image's configuration.
    pub image_id: String,
    /// The snapshotter that holds its root filesystem; the snapshot's key is the id.
    pub snapshotter: String,
    /// The containerd runtime that runs it.
    pub runtime: String,
    /// What to run: the image's configuration under what the client asked.
    pub config: ContainerConfig,
    /// How it runs on this host, with the engine's defaults filled in.
    pub host_config: HostConfig,
    /// The networks it was asked to join.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Option<Endpoint>>,
    /// Whether it was taken out of its mode's network.
    #[serde(default)]
    pub left_mode: bool,
}

impl Record {
    /// The program and its arguments.
    pub fn command(&self) -> Vec<String> {
        let entrypoint = self.config.entrypoint.iter().flat_map(|words| &words.0);
        let cmd = self.config.cmd.iter().flat_map(|words| &words.0);
        entrypoint.chain(cmd).cloned().collect()
    }

    /// The network its mode names; `None` for another container's.
    pub fn network_name(&self) -> Option<&str> {
        match self.host_config.network_mode.as_str() {
            mode if mode.starts_with("container:") => None,
            "" | "default" => Some("bridge"),
            mode => Some(mode),
        }
    }

    /// The stable id of its place in the network of that id.
    pub fn endpoint_id(&self, network: &str) -> String {
        crate::networks::id_of(&self.id, network)
    }

    /// Whether it has a network namespace that others need not share.
    pub fn has_own_networks(&self) -> bool {
        let mode = self.host_config.network_mode.as_str();
        !self.config.network_disabled && mode != "host" && mode != "none" && !mode.starts_with("container:")
    }

    /// The networks it is to be in, by name, with what was asked of each.
    pub fn networks(&self) -> BTreeMap<String, Endpoint> {
        let Some(mode) = self.network_name().filter(|_| !self.config.network_disabled) else { return BTreeMap::new() };
        let name = |name: &String| if name == "default" { "bridge".to_owned() } else { name.clone() };
        let asked = self.endpoints.iter();
        let networks: BTreeMap<String, Endpoint> =
            asked.map(|(key, endpoint)| (name(key), endpoint.clone().unwrap_or_default())).collect();
        if networks.is_empty() && !self.left_mode {
            return BTreeMap::from([(mode.to_owned(), Endpoint::default())]);
        }
        networks
    }

    /// Whether it is to be in the network of that name.
    pub fn is_in(&self, network: &str) -> bool {
        self.networks().contains_key(network)
    }

    /// The user's labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.config.labels.clone().unwrap_or_default()
    }

    /// What an event about it says of it: its labels, image and name.
    pub fn event_attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.labels();
        attributes.insert("image".to_owned(), self.config.image.clone());
        attributes.insert("name".to_owned(), self.name.clone());
        attributes
    }
}

/// What a container does.
///
/// ```text
///            start            exit
/// created ─────────> running ──────> exited ──start──> running …
///                     │  ▲ │           ▲
///                 pause  │ exit        │ stop, kill, policy changed
///                     ▼  │ ▼ policy    │
///                   paused  restarting ┘──back-off──> running
/// any ──rm──> removing ──failed──> dead
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// As in [`Record::format`].
    pub format: u32,
    /// Whether its init lives, or the restart policy is about to start it again.
    pub running: bool,
    /// Whether it is frozen.
    pub paused: bool,
    /// Whether the restart policy is about to start it again.
    pub restarting: bool,
    /// Whether its removal has begun.
    pub removing: bool,
    /// Whether its removal failed, or its files could not be read.
    pub dead: bool,
    /// Whether the kernel killed a process of it for memory since its last start.
    pub oom_killed: bool,
    /// Its init on the host; 0 while it has none.
    pub pid: u32,
    /// How it ended last.
    pub exit_code: i64,
    /// Why the last start failed.
    pub error: String,
    /// When it last started.
    pub started_at: Option<Moment>,
    /// When it last ended.
    pub finished_at: Option<Moment>,
    /// How often the policy has started it again since somebody did.
    pub restart_count: u32,
    /// Whether somebody stopped it, so that its restart policy rests.
    pub stopped_by_user: bool,
    /// What of its networks is in the kernel.
    pub networking: Networking,
}

impl State {
    /// Docker's word for it.
    pub fn status(&self) -> &'static str {
        match self {
            Self { running: true, paused: true, .. } => "paused",
            Self { running: true, restarting: true, .. } => "restarting",
            Self { running: true, .. } => "running",
            Self { removing: true, .. } => "removing",
            Self { dead: true, .. } => "dead",
            Self { started_at: None, .. } => "created",
            _ => "exited",
        }
    }

    /// Whether its init lives.
    pub fn is_alive(&self) -> bool {
        self.running && !self.restarting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_docker_s_word() {
        let started = State { started_at: Some(Moment::from_nanos(1)), ..State::default() };
        for (state, word) in [
            (State::default(), "created"),
            (State { running: true, ..started.clone() }, "running"),
            (State { running: true, paused: true, ..started.clone() }, "paused"),
            (State { running: true, restarting: true, ..started.clone() }, "restarting"),
            (State { removing: true, ..started.clone() }, "removing"),
            (State { dead: true, ..started.clone() }, "dead"),
            (started, "exited"),
        ] {
            assert_eq!(state.status(), word);
        }
    }
}
