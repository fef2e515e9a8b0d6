//! A container's networks from its start to its end: the sandbox, its places in networks, its published ports.
//!
//! All of it is chosen first and written into the container's state, then made. Whatever fails, [`release`] undoes it; so
//! it does at the container's end, whoever notices that, and before a start for what a killed one has left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_docker_api::containers::Endpoint;
use corten_network::kernel::ResolverSockets;
use corten_network::plan;
use tracing::warn;

use super::attachment::{self, Attachment, Networking, Way};
use super::ports::{self, Reserved, Targets};
use super::record::Record;
use super::{announce, blocking, endpoint, links, names, relay};
use crate::containers::record::Record as Container;
use crate::containers::{Turn, View};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// What a start has made, and hands on.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The network namespace that the container's processes are to join; `None` where the engine makes none.
    pub path: Option<PathBuf>,
    reserved: Vec<Reserved>,
    resolver: Option<ResolverSockets>,
}

/// A container's places in networks: each network with what is asked of it.
pub type Places = Vec<(Arc<Record>, Endpoint)>;

/// Where the sandbox of a container is bound.
pub fn path(engine: &Engine, id: &str) -> PathBuf {
    directory(&engine.config.exec_root).join(id.get(..12).unwrap_or(id))
}

/// Where all of them are.
pub fn directory(exec_root: &Path) -> PathBuf {
    exec_root.join("netns")
}

/// The sandbox of a container.
pub fn of(engine: &Engine, id: &str) -> plan::Sandbox {
    plan::Sandbox { path: path(engine, id) }
}

/// The networks a container is to be in, that of its mode first. None are left for one without a network of its own, nor
/// of the default network where there is no bridge.
///
/// # Errors
/// 404 for a network that is gone.
pub fn places(engine: &Engine, view: &View) -> Result<Places> {
    let record = &view.record;
    if !record.has_own_networks() {
        return Ok(Vec::new());
    }
    let mode = record.network_name().unwrap_or_default().to_owned();
    let mut places: Places = Vec::new();
    for (name, asked) in record.networks() {
        let network = match engine.networks.index.find(&name) {
            Ok(network) => network,
            Err(error) => engine.networks.index.get(&asked.network_id).ok_or(error)?,
        };
        if network.has_kernel_objects() {
            places.push((network, asked));
        }
    }
    places.sort_by_key(|(network, _)| (network.name != mode && network.id != mode, network.name.clone()));
    Ok(places)
}

/// Refuses to publish ports of a container that gets no network because there is no default bridge, although there should
/// be one: what was asked for is never left out without a word.
fn refuse_ports_without_bridge(engine: &Engine, record: &Container) -> Result<()> {
    let Some(reason) = engine.networks.no_bridge().filter(|_| record.has_own_networks()) else { return Ok(()) };
    let is_default = engine.networks.index.find(record.network_name().unwrap_or_default());
    let is_default = is_default.is_ok_and(|network| network.name == "bridge");
    match ports::wanted(record)?.first() {
        Some(port) if is_default => {
            let number = port.container_port();
            Err(EngineError::unimplemented(format!("publish port {number}: there is no default network: {reason}")))
        }
        _ => Ok(()),
    }
}

/// Makes everything of a container's networks that is there before its processes.
///
/// # Errors
/// What cannot be had, in docker's words; nothing is left then.
pub async fn prepare(engine: &Arc<Engine>, turn: &Turn<'_>) -> Result<Prepared> {
    release(engine, turn).await;
    let while_setting_up = |error: EngineError| error.while_doing("failed to set up container networking");
    let places = places(engine, &turn.view()).map_err(while_setting_up)?;
    if places.is_empty() {
        refuse_ports_without_bridge(engine, &turn.view().record).map_err(while_setting_up)?;
        return Ok(Prepared::default());
    }
    let made = choose_and_make(engine, turn, places).await;
    if made.is_err() {
        release(engine, turn).await;
    }
    made.map_err(while_setting_up)
}

async fn choose_and_make(engine: &Arc<Engine>, turn: &Turn<'_>, places: Places) -> Result<Prepared> {
    let _work = engine.networks.work.read().await;
    let view = turn.view();
    let mut attachments: BTreeMap<String, Attachment> = BTreeMap::new();
    for (network, asked) in &places {
        let others: Vec<String> = attachments.values().map(|place: &Attachment| place.interface.clone()).collect();
        let chosen = endpoint::choose(engine, &view, network, asked, &others);
        match chosen {
            Ok(chosen) => drop(attachments.insert(network.name.clone(), chosen)),
            Err(error) => {
                attachments.values().for_each(|place| give_back(engine, &view.record.id, place));
                return Err(error);
            }
        }
    }
    // From here on a failure is undone by what the state says.
    turn.change(|state| state.networking = Networking { sandbox: true, attachments, ports: Vec::new() });
    let reserved = reserve(engine, turn, &places).await?;
    let published: Vec<_> = reserved.iter().map(|reserved| reserved.port.clone()).collect();
    if !published.is_empty() {
        turn.change(|state| state.networking.ports = published);
    }
    let view = turn.view();
    let networks: Vec<Arc<Record>> = places.into_iter().map(|(network, _)| network).collect();
    let own = Arc::clone(engine);
    let resolver = blocking(move || make(&own, &view, &networks)).await?;
    Ok(Prepared { path: Some(path(engine, &turn.id)), reserved, resolver })
}

/// Reserves the ports that the container publishes.
async fn reserve(engine: &Arc<Engine>, turn: &Turn<'_>, places: &Places) -> Result<Vec<Reserved>> {
    let view = turn.view();
    let wanted = ports::wanted(&view.record)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (own, networks) =
        (Arc::clone(engine), places.iter().map(|(network, _)| Arc::clone(network)).collect::<Vec<_>>());
    blocking(move || {
        let targets = targets(&view.state.networking, &networks);
        ports::reserve(&own, &view.record.id, &wanted, &targets).map_err(|error| {
            let endpoint = view.record.endpoint_id(networks.first().map_or("", |network| &network.id));
            let name = &view.record.name;
            error
                .while_doing(format!("driver failed programming external connectivity on endpoint {name} ({endpoint})"))
        })
    })
    .await
}

fn pairs<'a>(networking: &'a Networking, networks: &'a [Arc<Record>]) -> Vec<(&'a Record, &'a Attachment)> {
    let of = |place: &Attachment| networks.iter().find(|network| network.id == place.network);
    networking.attachments.values().filter_map(|place| Some((&**of(place)?, place))).collect()
}

pub(super) fn targets<'a>(networking: &'a Networking, networks: &'a [Arc<Record>]) -> Targets<'a> {
    let pairs = pairs(networking, networks);
    // On a wire of its own nobody stands between a container and whoever asks it.
    let of = |way| attachment::way_out(pairs.iter().copied(), way).filter(|(network, _)| network.bridge.is_some());
    Targets { v4: of(Way::V4), v6: of(Way::V6) }
}

/// Makes what the state says. Blocks.
fn make(engine: &Engine, view: &View, networks: &[Arc<Record>]) -> Result<Option<ResolverSockets>> {
    let (id, networking) = (&view.record.id, &view.state.networking);
    let kernel = engine.networks.kernel()?;
    let sandbox = of(engine, id);
    kernel.make_sandbox(&sandbox)?;
    let pairs = pairs(networking, networks);
    // In the order of their interfaces' names, so that these are also the order in which they were made.
    for network in networks {
        let Some((_, place)) = pairs.iter().find(|(other, _)| other.id == network.id) else { continue };
        if let Some(plan) = network.plan()? {
            kernel.join(&sandbox, &plan, &place.plan(id)?)?;
        }
    }
    kernel.route(&sandbox, &attachment::default_routes(pairs.into_iter()))?;
    let planned: Vec<plan::Port> = networking.ports.iter().filter_map(attachment::PublishedPort::plan).collect();
    if !planned.is_empty() {
        kernel.publish(&planned)?;
    }
    links::make(engine, view)?;
    let resolves = networks.iter().any(|network| network.resolves_names());
    let resolver = if resolves { Some(kernel.resolver(&sandbox)?) } else { None };
    Ok(resolver)
}

/// Hands what outlives the engine to corten-proxy, now that the container has an init: with the answer its ports are held,
/// and its names and its own are known.
///
/// # Errors
/// What keeps corten-proxy from it.
pub async fn hand_over(engine: &Arc<Engine>, turn: &Turn<'_>, prepared: Prepared, pid: u32) -> Result<()> {
    let view = turn.view();
    let networks = networks_of(&view.state.networking);
    if networks.is_empty() {
        return Ok(());
    }
    announce::begin(engine, &turn.id, view.state.networking.attachments.values());
    let own = Arc::clone(engine);
    blocking(move || {
        if prepared.resolver.is_some() {
            names::write_container(&own, &view)?;
        }
        // Its own names are known before its first question.
        names::refresh(&own, &view.record.id, &networks)?;
        if prepared.resolver.is_none() && prepared.reserved.iter().all(|one| one.socket.is_none()) {
            return Ok(());
        }
        relay::hold(&own, &view.record.id, pid, &prepared.reserved, prepared.resolver.as_ref())
    })
    .await
}

/// Has corten-proxy hold everything that it should hold, after it has died.
pub async fn hand_over_again(engine: &Arc<Engine>) {
    let own = Arc::clone(engine);
    let settled = blocking(move || {
        relay::settle(&own);
        Ok(())
    });
    if let Err(error) = settled.await {
        warn!(error = error.message(), "hand ports and names over again");
    }
}

/// The ids of the networks a container is in.
pub(super) fn networks_of(networking: &Networking) -> BTreeSet<String> {
    networking.attachments.values().map(|place| place.network.clone()).collect()
}

/// Takes everything of a container's networks back. What cannot be taken back is told and left: nobody uses it.
pub async fn release(engine: &Arc<Engine>, turn: &Turn<'_>) {
    let networking = turn.view().state.networking.clone();
    if networking == Networking::default() {
        return;
    }
    let _work = engine.networks.work.read().await;
    // From here on nobody mends what is taken back.
    turn.change(|state| state.networking.sandbox = false);
    let (own, view) = (Arc::clone(engine), turn.view());
    let undone = blocking(move || {
        undo(&own, &view);
        Ok(())
    });
    if let Err(error) = undone.await {
        warn!(id = turn.id, error = error.message(), "take a container's networks back");
    }
    // Nobody gets an address before nothing leads to it any more.
    networking.attachments.values().for_each(|place| give_back(engine, &turn.id, place));
    turn.change(|state| state.networking = Networking::default());
    let (own, id, networks) = (Arc::clone(engine), turn.id.clone(), networks_of(&networking));
    if let Err(error) = blocking(move || names::refresh(&own, &id, &networks)).await {
        warn!(id = turn.id, error = error.message(), "take a container's names back");
    }
}

fn undo(engine: &Engine, view: &View) {
    let (id, networking) = (view.record.id.as_str(), &view.state.networking);
    links::remove(engine, view);
    let complain = |step: &str, error: EngineError| warn!(id, error = error.message(), "{step}");
    let kernel = match engine.networks.kernel() {
        Ok(kernel) => kernel,
        Err(error) => return complain("take a container's networks back", error.into()),
    };
    let planned: Vec<plan::Port> = networking.ports.iter().filter_map(attachment::PublishedPort::plan).collect();
    if !planned.is_empty()
        && let Err(error) = kernel.unpublish(&planned)
    {
        complain("take a container's ports back", error.into());
    }
    for place in networking.attachments.values() {
        let Some(network) = engine.networks.index.get(&place.network) else { continue };
        let forgotten = network.plan().and_then(|plan| match plan {
            // The kernel takes the sandbox away behind the answer, and an interface in it keeps its parent until then.
            Some(plan) if matches!(plan.driver, plan::Driver::Macvlan(_)) => {
                Ok(kernel.leave(&of(engine, id), &plan, &place.plan(id)?)?)
            }
            Some(plan) => Ok(kernel.forget(&plan, &place.plan(id)?)?),
            None => Ok(()),
        });
        if let Err(error) = forgotten {
            complain("take a container out of a network", error);
        }
    }
    relay::let_go(engine, id);
    if let Err(error) = kernel.remove_sandbox(&of(engine, id)) {
        complain("remove a container's sandbox", error.into());
    }
}

/// Gives the addresses of a place back.
pub(super) fn give_back(engine: &Engine, container: &str, place: &Attachment) {
    engine.networks.index.give_back(&place.network, container, &place.addresses());
}
