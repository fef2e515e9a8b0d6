//! `docker network connect`.

use std::collections::BTreeSet;
use std::sync::Arc;

use corten_docker_api::containers::Endpoint;
use corten_network::plan::Network;
use corten_types::ErrorKind;

use super::attachment::{self, Attachment};
use super::record::Record;
use super::{announce, blocking, endpoint, links, moving, names, publish, sandbox};
use crate::containers::record::Record as Container;
use crate::containers::{Turn, View};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::files;

/// Connects a container to a network; one that does not run is when it is started.
///
/// # Errors
/// 404; 400 for what cannot be, 403 when it is in the network already, 409 for one that is being removed.
pub async fn connect(engine: &Arc<Engine>, wanted: &str, container: &str, asked: Endpoint) -> Result<()> {
    let container = engine.containers.find(container)?;
    let network = engine.networks.index.find(wanted)?;
    let turn = container.turn().await;
    let view = turn.view();
    refuse_removed(&turn)?;
    possible(&view.record, &network)?;
    if !asked.mac_address.is_empty() && attachment::mac(&asked.mac_address).is_err() {
        return Err(EngineError::invalid(format!("invalid MAC address {}", asked.mac_address)));
    }
    endpoint::check(&network.name, Some(&network), &asked)?;
    // One that does not run takes the last word, as docker's.
    let is_in = view.record.is_in(&network.name) || view.state.networking.attachments.contains_key(&network.name);
    if is_in && view.state.is_alive() {
        let text = format!("endpoint with name {} already exists in network {}", view.record.name, network.name);
        return Err(EngineError::new(ErrorKind::PermissionDenied, text));
    }
    let mut record = (*view.record).clone();
    record.endpoints = record.networks().into_iter().map(|(name, asked)| (name, Some(asked))).collect();
    record.endpoints.insert(network.name.clone(), Some(Endpoint { network_id: network.id.clone(), ..asked.clone() }));
    let while_writing = |error| EngineError::internal("write the container down").caused_by(error);
    if !view.state.is_alive() {
        return turn.replace_record(record).map_err(while_writing);
    }
    if !network.has_kernel_objects() {
        return Err(EngineError::invalid(format!("container cannot be connected to network {}", network.name)));
    }
    if !view.state.networking.sandbox {
        return Err(EngineError::invalid(
            "container has no network namespace of the engine's: stop it, connect it, and start it again",
        ));
    }
    let before = view.record.clone();
    turn.replace_record(record).map_err(while_writing)?;
    if let Err(error) = join(engine, &turn, &network, &asked).await {
        if let Err(left) = turn.replace_record((*before).clone()) {
            tracing::warn!(id = turn.id, error = %left, "undo a connect");
        }
        return Err(error);
    }
    publish(engine, &network, "connect", Some(&turn.id));
    Ok(())
}

/// A container that goes is not connected any more.
pub(super) fn refuse_removed(turn: &Turn<'_>) -> Result<()> {
    let state = &turn.view().state;
    match state.removing || state.dead {
        true => Err(EngineError::conflict(format!(
            "Container {} is marked for removal and cannot be connected or disconnected to the network",
            turn.id
        ))),
        false => Ok(()),
    }
}

/// docker's rules of what goes together.
fn possible(container: &Container, network: &Record) -> Result<()> {
    let mode = container.host_config.network_mode.as_str();
    if mode.starts_with("container:") || (mode == "host" && network.name != "host") {
        return Err(EngineError::invalid(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        ));
    }
    if network.driver == "host" {
        return Err(EngineError::invalid(
            "cannot connect container to host network - container must be created in host network mode",
        ));
    }
    if network.driver == "null" || mode == "none" {
        return Err(EngineError::invalid(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ));
    }
    Ok(())
}

/// Connects a running container to a network; nothing is left of it when that fails.
pub(super) async fn join(engine: &Arc<Engine>, turn: &Turn<'_>, network: &Arc<Record>, asked: &Endpoint) -> Result<()> {
    let work = engine.networks.work.read().await;
    let view = turn.view();
    let others: Vec<String> = view.state.networking.attachments.values().map(|place| place.interface.clone()).collect();
    let had_resolver = view.state.networking.attachments.values().any(|place| !place.names.is_empty());
    let chosen = Attachment { unfinished: true, ..endpoint::choose(engine, &view, network, asked, &others)? };
    turn.change(|state| drop(state.networking.attachments.insert(network.name.clone(), chosen.clone())));
    let (own, plan, view) = (Arc::clone(engine), network.plan()?, turn.view());
    let (id, place, resolves) = (turn.id.clone(), chosen.clone(), network.resolves_names());
    let made = blocking(move || {
        let kernel = own.networks.kernel()?;
        let sandbox = sandbox::of(&own, &id);
        make(&own, &view, plan.as_ref(), &place)?;
        if resolves {
            names::write_container(&own, &view)?;
        }
        names::refresh(&own, &id, &BTreeSet::from([place.network.clone()]))?;
        if resolves && !had_resolver {
            let sockets = kernel.resolver(&sandbox)?;
            super::relay::hold(&own, &id, view.state.pid, &[], Some(&sockets))?;
        } else if resolves {
            let subject = corten_relay::Subject::Container(super::relay::identifier(&id)?);
            own.networks.relay.speak(|relay| relay.refresh(vec![subject.clone()]))?;
        }
        Ok(())
    });
    let mut made = made.await;
    if made.is_ok() {
        made = moving::settle(engine, turn).await;
    }
    drop(work);
    if let Err(error) = made {
        leave(engine, turn, network, &chosen).await;
        return Err(error);
    }
    finished(turn, network);
    write_files(engine, turn);
    announce::begin(engine, &turn.id, [&Attachment { unfinished: false, ..chosen }]);
    Ok(())
}

/// Writes anew what a running container reads of its addresses and of who answers names; what it wrote there itself stays.
pub(super) fn write_files(engine: &Engine, turn: &Turn<'_>) {
    if let Err(error) = files::prepare(engine, turn, &turn.view(), files::When::Running) {
        tracing::warn!(id = turn.id, error = error.message(), "hosts and resolv.conf of a container are old");
    }
}

/// Makes a place of a running container in the kernel, or the rest of it. Blocks.
pub(super) fn make(engine: &Engine, view: &View, plan: Option<&Network>, place: &Attachment) -> Result<()> {
    if let Some(plan) = plan {
        let (id, kernel) = (&view.record.id, engine.networks.kernel()?);
        kernel.join(&sandbox::of(engine, id), plan, &place.plan(id)?)?;
    }
    links::make(engine, view)?;
    route(engine, view)
}

/// Remembers that a place was made.
pub(super) fn finished(turn: &Turn<'_>, network: &Record) {
    turn.change(|state| {
        if let Some(place) = state.networking.attachments.get_mut(&network.name) {
            place.unfinished = false;
        }
    });
}

/// Makes the default routes what the places of a container make of them. Blocks.
pub(super) fn route(engine: &Engine, view: &View) -> Result<()> {
    let networks: Vec<(Arc<Record>, &Attachment)> = view
        .state
        .networking
        .attachments
        .values()
        .filter_map(|place| Some((engine.networks.index.get(&place.network)?, place)))
        .collect();
    let routes = attachment::default_routes(networks.iter().map(|(network, place)| (&**network, *place)));
    Ok(engine.networks.kernel()?.route(&sandbox::of(engine, &view.record.id), &routes)?)
}

/// Takes a running container out of a network; what cannot be taken back is told.
pub(super) async fn leave(engine: &Arc<Engine>, turn: &Turn<'_>, network: &Arc<Record>, place: &Attachment) {
    let _work = engine.networks.work.read().await;
    let before = turn.view();
    // From here on nobody mends what is taken back.
    turn.change(|state| drop(state.networking.attachments.remove(&network.name)));
    let (own, id, plan, gone) = (Arc::clone(engine), turn.id.clone(), network.plan(), place.clone());
    let had_links = network.is_predefined();
    let left = blocking(move || {
        if had_links {
            links::remove(&own, &before);
        }
        if let Some(plan) = plan? {
            own.networks.kernel()?.leave(&sandbox::of(&own, &id), &plan, &gone.plan(&id)?)?;
        }
        Ok(())
    });
    if let Err(error) = left.await {
        tracing::warn!(id = turn.id, error = error.message(), "take a container out of a network");
    }
    // Nobody gets the address before nothing leads to it any more.
    if let Err(error) = moving::settle(engine, turn).await {
        tracing::warn!(id = turn.id, error = error.message(), "a container's ports do not follow its way out");
    }
    sandbox::give_back(engine, &turn.id, place);
    let (own, view, id) = (Arc::clone(engine), turn.view(), place.network.clone());
    let told = blocking(move || {
        route(&own, &view)?;
        if view.state.networking.attachments.values().any(|place| !place.names.is_empty()) {
            names::write_container(&own, &view)?;
            let subject = corten_relay::Subject::Container(super::relay::identifier(&view.record.id)?);
            own.networks.relay.speak(|relay| relay.refresh(vec![subject.clone()]))?;
        }
        names::refresh(&own, &view.record.id, &BTreeSet::from([id]))
    });
    if let Err(error) = told.await {
        tracing::warn!(id = turn.id, error = error.message(), "what a container sees of its networks is old");
    }
    write_files(engine, turn);
}
