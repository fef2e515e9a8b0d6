//! `docker network inspect`.

use std::collections::BTreeMap;

use corten_docker_api::networks::{Ipam, IpamPool, Network, NetworkEndpoint};

use super::attachment::text;
use super::record::Record;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// One network by name, id, or the beginning of an id, with its running containers. `scope` limits where it is looked
/// for.
///
/// # Errors
/// 404.
pub fn inspect(engine: &Engine, wanted: &str, scope: &str) -> Result<Network> {
    if !matches!(scope, "" | "local") {
        return Err(EngineError::not_found(format!("network {wanted} not found")));
    }
    Ok(whole(engine, &*engine.networks.index.find(wanted)?))
}

/// A network as the API shows it, with its running containers.
pub fn whole(engine: &Engine, record: &Record) -> Network {
    Network { containers: Some(members(engine, record)), ..shown(record) }
}

/// A network as the API shows it, without its containers.
pub fn shown(record: &Record) -> Network {
    Network {
        name: record.name.clone(),
        id: record.id.clone(),
        created: record.created.to_string(),
        scope: "local".to_owned(),
        driver: record.driver.clone(),
        enable_ipv4: record.enable_ipv4,
        enable_ipv6: record.enable_ipv6,
        ipam: ipam(record),
        internal: record.internal,
        attachable: record.attachable,
        containers: Some(BTreeMap::new()),
        options: Some(record.options.clone()),
        labels: Some(record.labels.clone().unwrap_or_default()),
        ..Network::default()
    }
}

/// What was asked for stays as it was sent; a family nobody said anything of shows what was chosen.
fn ipam(record: &Record) -> Ipam {
    let asked = record.ipam.config.clone().unwrap_or_default();
    let has = |v6: bool| asked.iter().any(|pool| !pool.subnet.is_empty() && pool.subnet.contains(':') == v6);
    let mut config: Vec<IpamPool> = asked.iter().filter(|pool| !pool.subnet.is_empty()).cloned().collect();
    for subnet in &record.subnets {
        let is_v6 = subnet.subnet.addr().is_ipv6();
        if !has(is_v6) {
            config.push(IpamPool {
                subnet: subnet.subnet.to_string(),
                ip_range: text(subnet.range),
                gateway: text(subnet.gateway),
                ..IpamPool::default()
            });
        }
    }
    // Networks without addresses of the engine's have no list of pools, not an empty one.
    let config = Some(config).filter(|_| record.has_kernel_objects());
    Ipam { driver: record.ipam.driver.clone(), options: record.ipam.options.clone(), config }
}

/// The running containers in a network.
fn members(engine: &Engine, network: &Record) -> BTreeMap<String, NetworkEndpoint> {
    let mut members = BTreeMap::new();
    for container in engine.containers.all() {
        let view = container.view();
        if !view.state.is_alive() {
            continue;
        }
        let name = view.record.name.clone();
        if let Some(place) = view.state.networking.attachments.values().find(|place| place.network == network.id) {
            let endpoint = NetworkEndpoint {
                name,
                endpoint_id: place.endpoint.clone(),
                mac_address: place.mac.clone(),
                ipv4_address: text(place.v4),
                ipv6_address: text(place.v6),
            };
            members.insert(view.record.id.clone(), endpoint);
        } else if !network.has_kernel_objects() && view.record.is_in(&network.name) {
            let endpoint_id = view.record.endpoint_id(&network.id);
            members.insert(view.record.id.clone(), NetworkEndpoint { name, endpoint_id, ..NetworkEndpoint::default() });
        }
    }
    members
}
