//! The files the engine puts into a container: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf`.

mod contents;
mod hosts;
mod resolv;

use std::path::{Path, PathBuf};

use corten_docker_api::containers::HostConfig;

use crate::containers::{Container, View};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::networks::endpoint::split_link;
pub use contents::When;
use contents::{Contents, TARGETS};
use resolv::{Overrides, Upstream};

/// A file on the host and its place in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMount {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
}

/// Writes the files and says where they go. A container in another's network shares that one's.
///
/// # Errors
/// 400 for an extra host that cannot be read; 500 when a file cannot be written.
pub fn prepare(engine: &Engine, container: &Container, view: &View, when: When) -> Result<Vec<FileMount>> {
    let directory = match view.record.host_config.network_mode.strip_prefix("container:") {
        // The other one runs, or the start is refused: its files are there.
        Some(other) => container.directory().with_file_name(other),
        None => {
            let contents = plan(engine, view, &read("/etc/hosts"), &read("/etc/resolv.conf"))?;
            contents.write(container.directory(), when).map_err(|error| {
                EngineError::internal(format!("prepare the files of container {}", container.id)).caused_by(error)
            })?;
            container.directory().to_owned()
        }
    };
    let mount = |(name, target): (&str, &str)| FileMount { source: directory.join(name), target: target.to_owned() };
    Ok(TARGETS.map(mount).into())
}

/// Those of the files that a start has written.
pub fn written(container: &Container, view: &View) -> Vec<FileMount> {
    let directory = match view.record.host_config.network_mode.strip_prefix("container:") {
        Some(other) => container.directory().with_file_name(other),
        None => container.directory().to_owned(),
    };
    let mount = |(name, target): (&str, &str)| FileMount { source: directory.join(name), target: target.to_owned() };
    TARGETS.map(mount).into_iter().filter(|file| file.source.is_file()).collect()
}

/// One of the host's files; a host may have none.
fn read(path: impl AsRef<Path>) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// What the files of a container say, from what the host's say.
fn plan(engine: &Engine, view: &View, host_hosts: &str, host_resolv: &str) -> Result<Contents> {
    let extra = extra_hosts(engine, &view.record.host_config)?;
    let overrides = overrides(engine, &view.record.host_config);
    let (hosts, resolv_conf) = match view.record.host_config.network_mode.as_str() {
        "host" => (hosts::text_of_host(host_hosts, &extra), resolv::text_of_host(host_resolv, &overrides)),
        _ => {
            let extra: Vec<hosts::Entry> = extra.into_iter().chain(links(engine, view)?).collect();
            let text = match resolves_names(view) {
                true => resolv::text_of_names(host_resolv, &overrides),
                false => resolv::text(host_resolv, &overrides),
            };
            (hosts::text(&extra, &own_addresses(view)), text)
        }
    };
    Ok(Contents { resolv_conf, hostname: format!("{}\n", view.record.config.hostname), hosts })
}

/// Whether the engine answers the container's questions for names.
fn resolves_names(view: &View) -> bool {
    view.state.networking.attachments.values().any(|place| !place.names.is_empty())
}

/// Where a container's questions go that no network answers.
pub fn resolver_of(engine: &Engine, view: &View) -> Upstream {
    resolv::upstream(&read("/etc/resolv.conf"), &overrides(engine, &view.record.host_config))
}

/// What the container asks for, else what the daemon says.
fn overrides(engine: &Engine, host_config: &HostConfig) -> Overrides {
    let flags = &engine.config.networks;
    let either = |own: &Option<Vec<String>>, default: &[String]| {
        own.clone().filter(|own| !own.is_empty()).unwrap_or_else(|| default.to_vec())
    };
    Overrides {
        servers: either(&host_config.dns, &flags.dns),
        search: either(&host_config.dns_search, &flags.dns_search),
        options: either(&host_config.dns_options, &flags.dns_options),
    }
}

fn extra_hosts(engine: &Engine, host_config: &HostConfig) -> Result<Vec<hosts::Entry>> {
    let mut gateways = engine.config.networks.host_gateways.clone();
    if gateways.is_empty()
        && let Ok(bridge) = engine.networks.index.find("bridge")
    {
        gateways.extend(bridge.subnets.iter().filter_map(|subnet| subnet.gateway));
    }
    let mut entries = Vec::new();
    for text in host_config.extra_hosts.iter().flatten() {
        entries.extend(hosts::extra_host(text, &gateways).map_err(|error| EngineError::invalid(error.to_string()))?);
    }
    Ok(entries)
}

/// Its own names at its addresses: `name.domain name`.
fn own_addresses(view: &View) -> Vec<hosts::Entry> {
    let config = &view.record.config;
    let names = match config.domainname.as_str() {
        "" => config.hostname.clone(),
        domain => format!("{0}.{domain} {0}", config.hostname),
    };
    let addresses = view.state.networking.attachments.values().flat_map(|place| place.addresses());
    addresses.map(|ip| hosts::Entry { ip, names: names.clone() }).collect()
}

/// The containers it is linked to in the default network, where nobody answers names.
///
/// # Errors
/// 404 for one that is not there, 409 for one that does not run.
fn links(engine: &Engine, view: &View) -> Result<Vec<hosts::Entry>> {
    let mut entries = Vec::new();
    if !view.state.networking.attachments.contains_key("bridge") {
        return Ok(entries);
    }
    for link in view.record.host_config.links.iter().flatten() {
        let Some((name, alias)) = split_link(link) else { continue };
        let other = engine.containers.find(name)?.view();
        if !other.state.is_alive() {
            return Err(EngineError::conflict(format!("Cannot link to a non running container: /{name} AS /{alias}")));
        }
        let Some(place) = other.state.networking.attachments.get("bridge") else {
            return Err(EngineError::invalid(format!(
                "Cannot link to /{name}, as it does not belong to the default network"
            )));
        };
        let short = &other.record.id[..12];
        let mut names = vec![alias, short, other.record.name.as_str()];
        if other.record.config.hostname != short {
            names.insert(1, &other.record.config.hostname);
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        let names = names.join(" ");
        entries.extend(place.addresses().into_iter().map(|ip| hosts::Entry { ip, names: names.clone() }));
    }
    Ok(entries)
}
