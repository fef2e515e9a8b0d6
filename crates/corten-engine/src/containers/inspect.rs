//! `docker inspect`.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_docker_api::containers::{ContainerInspect, ContainerState, Endpoint, MountPoint, NetworkSettings, PortMap};
use corten_docker_api::images::GraphDriver;

use super::record::{Record, State};
use super::{View, check, logging, size};
use crate::clock::or_never;
use crate::engine::Engine;
use crate::errors::Result;
use crate::networks::{self, is_predefined};
use crate::spec::{SecurityOptions, apparmor};

/// Whether the sizes are wanted, which are added up on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithSize {
    /// They are.
    Yes,
    /// They are not.
    No,
}

/// Everything about a container. Nothing but its size is waited for: it shows as it is right now.
///
/// # Errors
/// 404; what the snapshotter answers when the size is wanted.
pub async fn inspect(engine: &Arc<Engine>, wanted: &str, size: WithSize) -> Result<ContainerInspect> {
    let container = engine.containers.find(wanted)?;
    let view = container.view();
    let size = match size {
        WithSize::Yes => Some(size::size(engine, &view.record).await?),
        WithSize::No => None,
    };
    let (record, state) = (&view.record, &view.state);
    let command = record.command();
    let has_started = state.started_at.is_some();
    let file = |name: &str| {
        let path = container.directory().join(name);
        if has_started && path.exists() { path.display().to_string() } else { String::new() }
    };
    let log_path = logging::path(container.directory(), &record.id);
    let logs = record.host_config.log_config.kind != "none" && has_started;
    Ok(ContainerInspect {
        id: record.id.clone(),
        created: record.created.to_string(),
        path: command.first().cloned().unwrap_or_default(),
        args: command.into_iter().skip(1).collect(),
        state: state_of(state),
        image: record.image_id.clone(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path: if logs { log_path.display().to_string() } else { String::new() },
        name: format!("/{}", record.name),
        restart_count: i64::from(state.restart_count),
        driver: record.snapshotter.clone(),
        platform: "linux".to_owned(),
        app_armor_profile: apparmor_profile(record),
        exec_ids: crate::execs::ids(engine, &record.id),
        host_config: record.host_config.clone(),
        graph_driver: GraphDriver { data: None, name: record.snapshotter.clone() },
        mounts: mount_points(record),
        config: record.config.clone(),
        network_settings: network_settings(engine, &view),
        size_rw: size.map(|size| size.written_bytes),
        size_root_fs: size.map(|size| size.total_bytes),
        ..ContainerInspect::default()
    })
}

/// Empty where nothing can be confined, as docker has it.
fn apparmor_profile(record: &Record) -> String {
    let options = SecurityOptions::read(&record.host_config).ok().filter(|_| apparmor::is_supported());
    let profile =
        |options: SecurityOptions| apparmor::profile_of(options.apparmor.as_deref(), record.host_config.privileged);
    options.map(profile).unwrap_or_default()
}

fn state_of(state: &State) -> ContainerState {
    ContainerState {
        status: state.status().to_owned(),
        running: state.running,
        paused: state.paused,
        restarting: state.restarting,
        oom_killed: state.oom_killed,
        dead: state.dead,
        pid: i64::from(state.pid),
        exit_code: state.exit_code,
        error: state.error.clone(),
        started_at: or_never(state.started_at),
        finished_at: or_never(state.finished_at),
        health: None,
    }
}

/// The mounts as they are asked for; docker leaves `--tmpfs` out, and so do we.
pub(super) fn mount_points(record: &Record) -> Vec<MountPoint> {
    let all = check::mounts(&record.host_config).unwrap_or_default();
    let short_tmpfs =
        |target: &str| record.host_config.tmpfs.iter().flatten().any(|(path, _)| crate::spec::clean(path) == target);
    all.iter().filter(|mount| !short_tmpfs(&mount.target)).map(crate::spec::UserMount::mount_point).collect()
}

/// The container's places in networks: what was asked for, and what it has while it runs.
pub(super) fn endpoints(engine: &Engine, view: &View) -> BTreeMap<String, Endpoint> {
    let runs = view.state.is_alive();
    let shown = |(name, asked): (String, Endpoint)| {
        let asked = Endpoint { dns_names: None, network_id: String::new(), ..asked };
        let endpoint = match view.state.networking.attachments.get(&name) {
            Some(place) if runs => place.shown(asked),
            _ => match engine.networks.index.find(&name) {
                Ok(network) if runs && !network.has_kernel_objects() => Endpoint {
                    network_id: network.id.clone(),
                    endpoint_id: view.record.endpoint_id(&network.id),
                    ..asked
                },
                Ok(network) if network.resolves_names() => Endpoint { network_id: network.id.clone(), ..asked },
                _ => asked,
            },
        };
        (name, endpoint)
    };
    view.record.networks().into_iter().map(shown).collect()
}

/// Adds its short id and host name to the aliases of networks that resolve names, where older clients look for them.
pub fn add_own_names(shown: &mut ContainerInspect) {
    let own = [shown.id.get(..12).unwrap_or(&shown.id).to_owned(), shown.config.hostname.clone()];
    for (_, place) in shown.network_settings.networks.iter_mut().flatten().filter(|(name, _)| !is_predefined(name)) {
        let mut seen = std::collections::BTreeSet::new();
        let aliases = place.aliases.get_or_insert_default();
        aliases.extend(own.iter().cloned());
        aliases.retain(|name| seen.insert(name.clone()));
    }
}

/// Whether it is in a network from which ports can be published: of another one docker shows no ports at all.
fn has_way_in(engine: &Engine, view: &View) -> bool {
    let mut networks =
        view.state.networking.attachments.values().filter_map(|place| engine.networks.index.get(&place.network));
    networks.any(|network| !network.is_internal())
}

fn network_settings(engine: &Engine, view: &View) -> NetworkSettings {
    let networks = endpoints(engine, view);
    let runs = view.state.is_alive();
    let sandbox = (runs && view.record.network_name().is_some()).then(|| networks::id_of(&view.record.id, "sandbox"));
    // What older clients read is the default network's.
    let old = networks.get("bridge").filter(|_| runs).cloned().unwrap_or_default();
    let key = match view.state.networking.sandbox {
        true => networks::sandbox::path(engine, &view.record.id).display().to_string(),
        false => format!("/proc/{}/ns/net", view.state.pid),
    };
    NetworkSettings {
        sandbox_key: sandbox.as_ref().map(|_| key).unwrap_or_default(),
        sandbox_id: sandbox.unwrap_or_default(),
        ports: if runs && has_way_in(engine, view) {
            networks::ports::shown(&view.record, &view.state.networking.ports)
        } else {
            PortMap::new()
        },
        endpoint_id: if old.ip_address.is_empty() { String::new() } else { old.endpoint_id },
        gateway: old.gateway,
        global_ipv6_address: old.global_ipv6_address,
        global_ipv6_prefix_len: old.global_ipv6_prefix_len,
        ip_address: old.ip_address,
        ip_prefix_len: old.ip_prefix_len,
        ipv6_gateway: old.ipv6_gateway,
        mac_address: old.mac_address,
        networks: Some(networks),
        ..NetworkSettings::default()
    }
}
