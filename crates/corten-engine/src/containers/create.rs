//! `docker create`: the record and the root filesystem; nothing runs yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_docker_api::containers::{
    ContainerConfig, ContainerCreate, ContainerCreated, Endpoint, HostConfig, NetworkingConfig,
};
use corten_types::ContainerId;

use super::record::{FORMAT, Record, State};
use super::{Container, check, discard, names, normalise};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::images::{self, Image};
use crate::networks;
use crate::runtimes::Runtime;
use crate::system::info::is_cgroup_v2;
use crate::{snapshots, store};

/// The snapshotter of every root filesystem.
const SNAPSHOTTER: &str = "overlayfs";

/// What a client asks for.
pub struct NewContainer {
    /// The name; made up without one.
    pub name: Option<String>,
    /// `os[/arch[/variant]]`; empty for any.
    pub platform: String,
    /// The body.
    pub body: ContainerCreate,
}

/// Makes a container. It survives a power cut once this returns.
///
/// # Errors
/// 404 for an unknown image, before anything else that depends on what exists: the CLI pulls on it
/// and asks again. 400 for what is wrong, 501 for what is not built yet, 409 for a name in use.
/// Nothing is left behind.
pub async fn create(engine: &Arc<Engine>, new: NewContainer) -> Result<ContainerCreated> {
    let NewContainer { name, platform, body } = new;
    let mut config = body.config;
    if config == ContainerConfig::default() {
        return Err(EngineError::invalid("config cannot be empty in order to create a container"));
    }
    let name = name.as_deref().map(names::check).transpose()?;
    let mut host_config = body.host_config.unwrap_or_default();
    let networking = body.networking_config.unwrap_or_default();
    check::config(&config)?;
    // What the kernel cannot limit may be anything, as it is for dockerd.
    let mut warnings = discard::discard(&mut host_config);
    check::host(&host_config)?;
    let runtime = engine.runtimes.find(&host_config.runtime)?;
    name_by_id(engine, &mut host_config.network_mode);
    let endpoints = endpoints(engine, networking, &mut config, &mut host_config)?;
    name_by_id(engine, &mut host_config.pid_mode);

    let image = images::resolve::resolve(engine, &config.image).await?;
    check_platform(&platform, &image, &config.image)?;
    warnings.extend(self::warnings(engine, &config, &host_config, &image));
    normalise::merge(&mut config, &image.config);
    normalise::host_config(&mut host_config, is_cgroup_v2(), engine.runtimes.default_name())?;

    let reservation = engine.containers.reserve(name, random_id()?)?;
    set_hostname(engine, &mut config, &host_config, &reservation.id)?;
    let record = Record {
        format: FORMAT,
        id: reservation.id.clone(),
        name: reservation.name.clone(),
        created: Moment::now(),
        image_id: image.id.clone(),
        snapshotter: SNAPSHOTTER.to_owned(),
        runtime: match runtime {
            Runtime::Program(_) => engine.programs.shim.display().to_string(),
            Runtime::Shim(shim) => shim,
        },
        config,
        host_config,
        endpoints,
        left_mode: false,
    };
    if record.command().is_empty() {
        return Err(EngineError::invalid("no command specified"));
    }
    snapshots::prepare(engine, SNAPSHOTTER, &record.id, &image.chain_id).await?;
    let saved = save(engine, record.clone()).await;
    let directory = match saved {
        Ok(directory) => directory,
        Err(error) => {
            // What cannot be removed now is found without a record at the next link, and removed then.
            let _ = snapshots::remove(engine, SNAPSHOTTER, &record.id).await;
            return Err(error);
        }
    };
    let attributes = record.event_attributes();
    let id = record.id.clone();
    reservation.keep(Arc::new(Container::new(record, State::default(), directory)));
    engine.events.publish(Kind::Container, "create", &id, attributes);
    warnings.sort();
    Ok(ContainerCreated { id, warnings })
}

async fn save(engine: &Engine, record: Record) -> Result<std::path::PathBuf> {
    let data_root = engine.config.data_root.clone();
    let saved = tokio::task::spawn_blocking(move || store::save(&data_root, &record)).await;
    let while_saving = |error: std::io::Error| EngineError::internal("write the container down").caused_by(error);
    saved.map_err(|error| while_saving(std::io::Error::other(error)))?.map_err(while_saving)
}

/// 64 random hexadecimal digits whose short form no old tool takes for a number.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn random_id() -> Result<String> {
    loop {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| EngineError::internal("draw an id").caused_by(error))?;
        if let Some(id) = ContainerId::from_random(bytes) {
            return Ok(id.to_string());
        }
    }
}

/// `container:name` becomes `container:id`: names change. One that is not there is looked for again by
/// the start, which then refuses, as dockerd does: a 404 here would make the CLI pull the image.
fn name_by_id(engine: &Engine, mode: &mut String) {
    if let Some(name) = mode.strip_prefix("container:")
        && let Ok(container) = engine.containers.find(name)
    {
        *mode = format!("container:{}", container.id);
    }
}

/// The networks that a container is to be in, by name: what the client sends beside the mode, and the mode's own where
/// that is not among them.
fn endpoints(
    engine: &Engine,
    networking: NetworkingConfig,
    config: &mut ContainerConfig,
    host: &mut HostConfig,
) -> Result<BTreeMap<String, Option<Endpoint>>> {
    let mode = host.network_mode.clone();
    let mut endpoints: BTreeMap<String, Option<Endpoint>> = BTreeMap::new();
    for (wanted, asked) in networking.endpoints_config.unwrap_or_default() {
        let mut asked = asked.unwrap_or_default();
        let wanted = if wanted == "default" { "bridge".to_owned() } else { wanted };
        let network = engine.networks.index.find(&wanted).ok();
        let name = network.as_ref().map_or(wanted, |network| network.name.clone());
        networks::endpoint::check(&name, network.as_deref(), &asked)
            .map_err(|error| error.while_doing(format!("invalid config for network {name}")))?;
        // What only answers say means nothing in a request.
        asked = Endpoint {
            ipam_config: asked.ipam_config,
            links: asked.links,
            aliases: asked.aliases,
            mac_address: asked.mac_address,
            driver_opts: asked.driver_opts,
            gw_priority: asked.gw_priority,
            network_id: network.map(|network| network.id.clone()).unwrap_or_default(),
            ..Endpoint::default()
        };
        endpoints.insert(name, Some(asked));
    }
    if mode.starts_with("container:") {
        return match config.mac_address.is_empty() {
            true => Ok(BTreeMap::new()),
            false => Err(EngineError::invalid("conflicting options: mac-address and the network mode")),
        };
    }
    let own = match mode.as_str() {
        "" | "default" => "bridge".to_owned(),
        mode => match engine.networks.index.find(mode) {
            Ok(network) if mode != network.name && mode != network.id => {
                host.network_mode.clone_from(&network.id);
                network.name.clone()
            }
            Ok(network) => network.name.clone(),
            Err(_) => mode.to_owned(),
        },
    };
    if endpoints.is_empty() || !networks::is_predefined(&own) {
        endpoints.entry(own.clone()).or_insert_with(|| Some(Endpoint::default()));
    }
    let alone = endpoints.keys().find(|name| matches!(name.as_str(), "host" | "none"));
    if let Some(other) = alone.filter(|_| endpoints.len() > 1) {
        let word = if other == "none" { "private (none)" } else { "host" };
        return Err(EngineError::invalid(format!(
            "container cannot be connected to multiple networks with one of the networks in {word} mode"
        )));
    }
    // Below 1.44 the container has one hardware address: that of its mode's network.
    let mac = std::mem::take(&mut config.mac_address);
    if let Some(Some(endpoint)) = endpoints.get_mut(&own).filter(|_| !mac.is_empty()) {
        if !endpoint.mac_address.is_empty() && endpoint.mac_address != mac {
            return Err(EngineError::invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
            ));
        }
        endpoint.mac_address.clone_from(&mac);
    }
    config.mac_address = mac;
    Ok(endpoints)
}

/// Another container's network brings its host name; the host's UTS namespace the host's.
fn set_hostname(engine: &Engine, config: &mut ContainerConfig, host: &HostConfig, id: &str) -> Result<()> {
    let shares_network = host.network_mode.starts_with("container:");
    if (shares_network || host.uts_mode == "host") && !config.hostname.is_empty() {
        let what = if shares_network { "network" } else { "UTS" };
        return Err(EngineError::invalid(format!("conflicting options: hostname and the {what} mode")));
    }
    if !config.hostname.is_empty() {
        return Ok(());
    }
    config.hostname = match host.network_mode.strip_prefix("container:") {
        Some(other) => match engine.containers.find(other) {
            Ok(other) => other.view().record.config.hostname.clone(),
            Err(_) => id[..12].to_owned(),
        },
        None if host.network_mode == "host" || host.uts_mode == "host" => crate::system::info::host_name(),
        None => id[..12].to_owned(),
    };
    Ok(())
}

/// 404, as docker answers it: the CLI pulls the platform it wants.
fn check_platform(wanted: &str, image: &Image, name: &str) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut parts = wanted.split('/');
    let (os, architecture) = (parts.next().unwrap_or_default(), parts.next());
    let architecture = architecture.map(|word| match word {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    });
    match os == image.os && architecture.is_none_or(|architecture| architecture == image.architecture) {
        true => Ok(()),
        false => Err(EngineError::not_found(format!(
            "image with reference {name} was found but does not provide the specified platform ({wanted})"
        ))),
    }
}

/// What is asked for, or brought by the image, and cannot be had yet.
fn warnings(engine: &Engine, config: &ContainerConfig, host: &HostConfig, image: &Image) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_default = !config.network_disabled && matches!(host.network_mode.as_str(), "" | "default" | "bridge");
    if let Some(reason) = engine.networks.no_bridge().filter(|_| is_default) {
        warnings.push(format!(
            "There is no default bridge: the container has no network but its loopback device. {reason}"
        ));
    }
    if host.network_mode == "host" && host.port_bindings.as_ref().is_some_and(|bindings| !bindings.is_empty()) {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    let volumes: Vec<&str> = image.config.volumes.iter().flatten().map(|(path, _)| path.as_str()).collect();
    if !volumes.is_empty() {
        let paths = volumes.join(", ");
        warnings.push(format!(
            "Volumes are not supported yet: what the container writes to {paths} is removed with the container."
        ));
    }
    if image.config.healthcheck.as_ref().and_then(|check| check.test.as_ref()).is_some_and(|test| !test.is_empty()) {
        warnings.push("Health checks are not supported yet: the image's is not run.".to_owned());
    }
    match host.oom_kill_disable {
        Some(true) if is_cgroup_v2() => {
            warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned());
        }
        Some(true) if host.memory == 0 => warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".to_owned(),
        ),
        _ => {}
    }
    warnings
}
