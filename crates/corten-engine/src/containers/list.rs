//! `docker ps`.

use std::sync::Arc;

use corten_docker_api::Filters;
use corten_docker_api::containers::{ContainerSummary, ListHostConfig, ListNetworkSettings, Port};

use super::inspect::{endpoints, mount_points};
use super::list_filter::ListFilter;
use super::record::{Record, State};
use super::{View, size};
use crate::clock::human_duration;
use crate::engine::Engine;
use crate::errors::Result;
use crate::networks;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Whether containers that do not run are included.
    pub all: bool,
    /// At most this many, the newest; those that do not run included.
    pub limit: Option<usize>,
    /// Which ones.
    pub filters: Filters,
    /// Whether their sizes are wanted, which are added up for each.
    pub size: bool,
}

/// Containers, the newest first. Nothing is waited for: each shows as it is right now.
///
/// # Errors
/// 400 for filters docker refuses.
pub async fn list(engine: &Arc<Engine>, query: ListQuery) -> Result<Vec<ContainerSummary>> {
    let filter = ListFilter::prepare(engine, query.filters).await?;
    let mut views: Vec<Arc<View>> = engine.containers.all().iter().map(|container| container.view()).collect();
    views.sort_by(|one, other| other.record.created.cmp(&one.record.created).then(one.record.id.cmp(&other.record.id)));
    let everything = query.all || query.limit.is_some() || filter.asks_for_status();
    let wanted = views.iter().filter(|view| (everything || view.state.running) && filter.matches(view));
    let mut listed = Vec::new();
    for view in wanted.take(query.limit.unwrap_or(usize::MAX)) {
        let mut summary = summary(engine, view);
        if query.size {
            // One that is being removed has none any more.
            let size = size::size(engine, &view.record).await.unwrap_or_default();
            (summary.size_rw, summary.size_root_fs) = (size.written_bytes, size.total_bytes);
        }
        listed.push(summary);
    }
    Ok(listed)
}

fn summary(engine: &Engine, view: &View) -> ContainerSummary {
    let (record, state) = (&view.record, &view.state);
    ContainerSummary {
        id: record.id.clone(),
        names: Some(vec![format!("/{}", record.name)]),
        image: record.config.image.clone(),
        image_id: record.image_id.clone(),
        image_manifest_descriptor: None,
        command: command(record),
        created: record.created.seconds(),
        ports: ports(record, state),
        size_rw: 0,
        size_root_fs: 0,
        labels: record.labels(),
        state: state.status().to_owned(),
        status: status(state),
        host_config: ListHostConfig {
            network_mode: record.host_config.network_mode.clone(),
            annotations: record.host_config.annotations.clone(),
        },
        network_settings: Some(ListNetworkSettings { networks: endpoints(engine, view) }),
        mounts: mount_points(record),
    }
}

/// The command line as docker shows it: words with spaces in single quotes.
fn command(record: &Record) -> String {
    let words = record.command();
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().take(1).cloned().chain(words.iter().skip(1).map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Exposed and published ports, while it runs.
fn ports(record: &Record, state: &State) -> Vec<Port> {
    if !state.running {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (text, bindings) in networks::ports::shown(record, &state.networking.ports) {
        let (number, kind) = text.split_once('/').unwrap_or((&text, "tcp"));
        let Ok(private_port) = number.parse() else { continue };
        let port = Port { private_port, kind: kind.to_owned(), ..Port::default() };
        match bindings {
            None => all.push(port),
            Some(bindings) => all.extend(bindings.into_iter().map(|binding| Port {
                ip: binding.host_ip,
                public_port: binding.host_port.parse().unwrap_or_default(),
                ..port.clone()
            })),
        }
    }
    all
}

/// What the STATUS column says.
pub fn status(state: &State) -> String {
    let since = |moment: Option<crate::clock::Moment>| {
        human_duration(moment.map(crate::clock::Moment::elapsed).unwrap_or_default())
    };
    match state.status() {
        "running" => format!("Up {}", since(state.started_at)),
        "paused" => format!("Up {} (Paused)", since(state.started_at)),
        "restarting" => format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_at)),
        "removing" => "Removal In Progress".to_owned(),
        "dead" => "Dead".to_owned(),
        "created" => "Created".to_owned(),
        // A start that failed before anything ran.
        _ if state.finished_at.is_none() => String::new(),
        _ => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn the_status_reads_as_docker_says_it() {
        let now = Some(Moment::now());
        let ran = State { started_at: now, finished_at: now, exit_code: 42, ..State::default() };
        for (state, text) in [
            (State::default(), "Created"),
            (State { running: true, ..ran.clone() }, "Up Less than a second"),
            (State { running: true, paused: true, ..ran.clone() }, "Up Less than a second (Paused)"),
            (State { running: true, restarting: true, ..ran.clone() }, "Restarting (42) Less than a second ago"),
            (State { removing: true, ..ran.clone() }, "Removal In Progress"),
            (State { dead: true, ..ran.clone() }, "Dead"),
            (ran, "Exited (42) Less than a second ago"),
        ] {
            assert_eq!(status(&state), text);
        }
    }
}
