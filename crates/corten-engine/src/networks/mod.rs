//! The three networks every engine has: `bridge`, `host` and `none`.

use std::collections::BTreeMap;

use corten_docker_api::Filters;
use corten_docker_api::networks::{Ipam, Network, NetworkEndpoint};
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::errors::{EngineError, Result};

const PREDEFINED: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

const FILTER_KEYS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// A predefined network's id: the same as long as the data root is the same.
pub fn id_of(engine_id: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("{engine_id}/{name}").as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The driver of a predefined network.
pub fn driver_of(name: &str) -> &'static str {
    PREDEFINED.iter().find(|(known, _)| *known == name).map_or("", |(_, driver)| driver)
}

/// The networks that `filters` ask for.
///
/// # Errors
/// 400 for an unknown filter.
pub fn list(engine: &Engine, filters: &Filters) -> Result<Vec<Network>> {
    filters.allow(FILTER_KEYS)?;
    let networks = PREDEFINED.map(|(name, driver)| network(engine, name, driver));
    let wanted = |network: &Network| {
        filters.any("name", |name| network.name.contains(name))
            && filters.any("id", |id| network.id.starts_with(id))
            && filters.any("driver", |driver| network.driver == driver)
            && filters.any("scope", |scope| network.scope == scope)
            && filters.any("type", |kind| kind == "builtin")
            && filters.any("dangling", |dangling| matches!(dangling, "0" | "false"))
            && filters.match_labels(&BTreeMap::new())
    };
    // A list has no containers in it; inspect does.
    Ok(networks
        .into_iter()
        .filter(wanted)
        .map(|network| Network { containers: Some(BTreeMap::new()), ..network })
        .collect())
}

/// One network by name, id, or the beginning of an id.
///
/// # Errors
/// 404.
pub fn inspect(engine: &Engine, wanted: &str) -> Result<Network> {
    let networks = PREDEFINED.map(|(name, driver)| network(engine, name, driver));
    let found = networks.into_iter().find(|network| network.name == wanted || network.id.starts_with(wanted));
    found.ok_or_else(|| EngineError::not_found(format!("network {wanted} not found")))
}

fn network(engine: &Engine, name: &str, driver: &str) -> Network {
    Network {
        name: name.to_owned(),
        id: id_of(&engine.id, name),
        created: engine.born.to_string(),
        scope: "local".to_owned(),
        driver: driver.to_owned(),
        enable_ipv4: true,
        ipam: Ipam { driver: "default".to_owned(), options: None, config: Some(Vec::new()) },
        containers: Some(members(engine, name)),
        options: Some(BTreeMap::new()),
        labels: Some(BTreeMap::new()),
        ..Network::default()
    }
}

/// The running containers in a network.
fn members(engine: &Engine, name: &str) -> BTreeMap<String, NetworkEndpoint> {
    let running =
        engine.containers.all().into_iter().map(|container| container.view()).filter(|view| view.state.running);
    let joined = running.filter(|view| view.record.network_name() == Some(name));
    joined
        .map(|view| {
            let endpoint = NetworkEndpoint {
                name: view.record.name.clone(),
                endpoint_id: view.record.endpoint_id(name),
                ..NetworkEndpoint::default()
            };
            (view.record.id.to_string(), endpoint)
        })
        .collect()
}
