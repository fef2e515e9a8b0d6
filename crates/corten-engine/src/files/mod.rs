//! The files the engine puts into a container: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf`.

mod contents;
mod hosts;
mod resolv;

use std::path::{Path, PathBuf};

use corten_docker_api::containers::HostConfig;

use crate::containers::{Container, View};
use crate::errors::{EngineError, Result};
use contents::{Contents, TARGETS};
use resolv::Overrides;

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
pub fn prepare(container: &Container, view: &View) -> Result<Vec<FileMount>> {
    let directory = match view.record.host_config.network_mode.strip_prefix("container:") {
        // The other one runs, or the start is refused: its files are there.
        Some(other) => container.directory().with_file_name(other),
        None => {
            let contents = plan(view, &read("/etc/hosts"), &read("/etc/resolv.conf"))?;
            contents.write(container.directory()).map_err(|error| {
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
fn plan(view: &View, host_hosts: &str, host_resolv: &str) -> Result<Contents> {
    let host_config = &view.record.host_config;
    let extra = extra_hosts(host_config)?;
    let overrides = Overrides {
        servers: host_config.dns.clone().unwrap_or_default(),
        search: host_config.dns_search.clone().unwrap_or_default(),
        options: host_config.dns_options.clone().unwrap_or_default(),
    };
    let (hosts, resolv_conf) = match host_config.network_mode.as_str() {
        "host" => (hosts::text_of_host(host_hosts, &extra), resolv::text_of_host(host_resolv, &overrides)),
        _ => (hosts::text(&extra, &[]), resolv::text(host_resolv, &overrides)),
    };
    Ok(Contents { resolv_conf, hostname: format!("{}\n", view.record.config.hostname), hosts })
}

fn extra_hosts(host_config: &HostConfig) -> Result<Vec<hosts::Entry>> {
    let mut entries = Vec::new();
    for text in host_config.extra_hosts.iter().flatten() {
        // `host-gateway` has an address once there is a bridge.
        entries.extend(hosts::extra_host(text, &[]).map_err(|error| EngineError::invalid(error.to_string()))?);
    }
    Ok(entries)
}
