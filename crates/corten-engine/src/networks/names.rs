//! The files of names: who is in each network, and what each container sees.

use std::collections::{BTreeMap, BTreeSet};
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

/// Writes the names a container has in these networks now, or takes them back from those it is not in, and has them read.
/// Blocks.
///
/// # Errors
/// When a file cannot be written, or corten-proxy refuses it.
pub fn refresh(engine: &Arc<Engine>, container: &str, networks: &BTreeSet<String>) -> Result<()> {
    let keeper = &engine.networks.relay;
    let id = identifier(container)?;
    let mut subjects = Vec::new();
    // Whoever comes last has seen what is so: states are changed before names are written. So it is looked at and written
    // while nobody else does.
    let _alone = keeper.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let view = engine.containers.get(container).map(|container| container.view());
    for network in networks {
        let Some(record) = engine.networks.index.get(network).filter(|record| record.resolves_names()) else {
            continue;
        };
        let host = view.as_ref().map(|view| hosts(view, network)).transpose()?.unwrap_or_default();
        let network = identifier(network)?;
        let written = match host.is_empty() {
            true => keeper.names.remove_host(&network, &id),
            false => {
                let names = NetworkNames { id: network.clone(), name: record.name.clone(), hosts: host };
                keeper.names.write_hosts(&names)
            }
        };
        written.map_err(|error| not_written(&record.name, error))?;
        subjects.push(Subject::Host { network, container: id.clone() });
    }
    if subjects.is_empty() || !keeper.is_needed() {
        return Ok(());
    }
    keeper.speak(|relay| relay.refresh(subjects.clone()))
}

/// Makes the files what the records say, and removes all others. Blocks.
///
/// # Errors
/// When a file cannot be written or removed.
pub fn write_all(engine: &Engine) -> Result<Vec<Subject>> {
    let keeper = &engine.networks.relay;
    let _alone = keeper.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let views: Vec<_> = engine.containers.all().iter().map(|container| container.view()).collect();
    let mut are_in = BTreeMap::new();
    for network in engine.networks.index.all().iter().filter(|network| network.resolves_names()) {
        let hosts: Vec<HostNames> = views
            .iter()
            .map(|view| hosts(view, &network.id))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let id = identifier(&network.id)?;
        are_in.insert(id.clone(), hosts.iter().map(|host| host.container.clone()).collect());
        let names = NetworkNames { id, name: network.name.clone(), hosts };
        keeper.names.write_hosts(&names).map_err(|error| not_written(&network.name, error))?;
    }
    // After the others are written: until then what a release before wrote is all that is known.
    let swept = keeper.names.keep(&are_in);
    swept.map_err(|error| EngineError::internal("remove names that nobody has").caused_by(error))?;
    Ok(are_in.into_keys().map(Subject::Network).collect())
}

fn not_written(network: &str, error: std::io::Error) -> EngineError {
    EngineError::internal(format!("write the names of network {network}")).caused_by(error)
}

/// What a container is called in a network, when it is in it.
fn hosts(view: &View, network: &str) -> Result<Vec<HostNames>> {
    let places = view.state.networking.attachments.values().filter(|place| place.network == network);
    places
        .map(|place| {
            let container = identifier(&view.record.id)?;
            Ok(HostNames { container, names: place.names.clone(), addresses: place.addresses() })
        })
        .collect()
}

/// Writes what a container sees. Blocks.
///
/// # Errors
/// When the file cannot be written.
pub fn write_container(engine: &Engine, view: &View) -> Result<()> {
    let names = seen(engine, view)?;
    let keeper = &engine.networks.relay;
    // [`write_all`] would take it for one that nobody has.
    let _alone = keeper.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    keeper.names.write_container(&names).map_err(|error| {
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
