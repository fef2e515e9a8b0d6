//! The files of names: who is in each network, and what each container sees.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use corten_relay::Subject;
use corten_relay::names::{ContainerNames, Forward, HostNames, Link, NetworkNames, SeenNetwork, Server, Standpoint};

use super::endpoint::split_link;
use super::relay::identifier;
use crate::containers::View;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::files;

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// docker's fallback, asked from the host.
const PUBLIC_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// Writes the names of these networks and has them read. Blocks.
///
/// # Errors
/// When a file cannot be written, or corten-proxy refuses it.
pub fn refresh(engine: &Arc<Engine>, networks: &BTreeSet<String>) -> Result<()> {
    let mut subjects = Vec::new();
    // Whoever comes last has seen everybody: states are changed before names are written. So all is gathered and written
    // while nobody else does.
    let _alone = engine.networks.relay.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for id in networks {
        let Some(network) = engine.networks.index.get(id).filter(|network| network.resolves_names()) else { continue };
        let names = NetworkNames { id: identifier(id)?, name: network.name.clone(), hosts: hosts(engine, id)? };
        engine.networks.relay.names.write_network(&names).map_err(|error| {
            EngineError::internal(format!("write the names of network {}", network.name)).caused_by(error)
        })?;
        subjects.push(Subject::Network(identifier(id)?));
    }
    if subjects.is_empty() || !engine.networks.relay.is_needed() {
        return Ok(());
    }
    engine.networks.relay.speak(|relay| relay.refresh(subjects.clone()))
}

fn hosts(engine: &Engine, network: &str) -> Result<Vec<HostNames>> {
    let mut hosts = Vec::new();
    for container in engine.containers.all() {
        let view = container.view();
        for place in view.state.networking.attachments.values().filter(|place| place.network == network) {
            hosts.push(HostNames {
                container: identifier(&view.record.id)?,
                names: place.names.clone(),
                addresses: place.addresses(),
            });
        }
    }
    Ok(hosts)
}

/// Writes what a container sees. Blocks.
///
/// # Errors
/// When the file cannot be written.
pub fn write_container(engine: &Engine, view: &View) -> Result<()> {
    let names = seen(engine, view)?;
    engine.networks.relay.names.write_container(&names).map_err(|error| {
        EngineError::internal(format!("write what container {} sees of its networks", view.record.name))
            .caused_by(error)
    })
}

fn seen(engine: &Engine, view: &View) -> Result<ContainerNames> {
    let mut networks = Vec::new();
    let mut is_internal = true;
    for (name, place) in &view.state.networking.attachments {
        let Some(network) = engine.networks.index.get(&place.network) else { continue };
        is_internal &= network.is_internal();
        if !network.resolves_names() {
            continue;
        }
        let asked = view.record.endpoints.get(name).cloned().flatten().unwrap_or_default();
        let links = asked.links.iter().flatten().filter_map(|link| split_link(link));
        let links = links.map(|(name, alias)| Link { alias: alias.to_owned(), name: container_name(engine, name) });
        networks.push(SeenNetwork { id: identifier(&place.network)?, links: links.collect() });
    }
    let resolver = files::resolver_of(engine, view);
    let standpoint = if resolver.are_of_the_host { Standpoint::Host } else { Standpoint::Container };
    let mut servers: Vec<Server> =
        resolver.servers.iter().filter_map(|text| server(text, standpoint)).take(3).collect();
    if servers.is_empty() {
        let public = |text: &&str| text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT));
        let from_host = |address| Server { address, standpoint: Standpoint::Host };
        servers = PUBLIC_SERVERS.iter().filter_map(public).map(from_host).collect();
    }
    Ok(ContainerNames {
        id: identifier(&view.record.id)?,
        networks,
        forward: if is_internal { Forward::OwnNetworks } else { Forward::Everywhere },
        keeps_single_labels: resolver.keeps_single_labels,
        servers,
    })
}

/// A link may say an id; networks know names.
fn container_name(engine: &Engine, wanted: &str) -> String {
    engine.containers.find(wanted).map_or_else(|_| wanted.to_owned(), |other| other.view().record.name.clone())
}

fn server(text: &str, standpoint: Standpoint) -> Option<Server> {
    let address: IpAddr = text.split('%').next()?.parse().ok()?;
    Some(Server { address: SocketAddr::new(address, DNS_PORT), standpoint })
}
