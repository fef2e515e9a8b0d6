//! What a killed engine had begun with the networks of a running container, brought to its end: the container's record is
//! written first by connect and disconnect, so it says what was wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use corten_docker_api::containers::Endpoint;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::attachment::Attachment;
use super::record::Record;
use super::{blocking, connect, moving};
use crate::containers::Turn;
use crate::engine::Engine;

/// How many containers are brought to their end at the same time: each asks the kernel in a thread of its own.
const AT_ONCE: usize = 8;

/// Connects and disconnects every running container as its record says.
pub async fn finish(engine: &Arc<Engine>) {
    let mut under_way = JoinSet::new();
    for container in engine.containers.all() {
        if under_way.len() >= AT_ONCE {
            let _ = under_way.join_next().await; // a panic of one is no reason to leave the others
        }
        let engine = Arc::clone(engine);
        under_way.spawn(async move {
            let turn = container.turn().await;
            let state = &turn.view().state;
            if state.is_alive() && state.networking.sandbox && !state.removing && !state.dead {
                finish_one(&engine, &turn).await;
            }
        });
    }
    while under_way.join_next().await.is_some() {}
}

async fn finish_one(engine: &Arc<Engine>, turn: &Turn<'_>) {
    let view = turn.view();
    let find = |(name, asked): (String, Endpoint)| {
        let network =
            engine.networks.index.find(&name).ok().or_else(|| engine.networks.index.get(&asked.network_id))?;
        Some((network.id.clone(), (network, asked)))
    };
    let wanted: BTreeMap<String, (Arc<Record>, Endpoint)> =
        view.record.networks().into_iter().filter_map(find).collect();
    for place in view.state.networking.attachments.values() {
        let Some(network) = engine.networks.index.get(&place.network) else { continue };
        if !wanted.contains_key(&place.network) {
            info!(id = turn.id, network = network.name, "a disconnect is finished");
            connect::leave(engine, turn, &network, place).await;
        } else if place.unfinished {
            info!(id = turn.id, network = network.name, "a connect is finished");
            complete(engine, turn, &network, place).await;
        }
    }
    let is_in = |id: &str| view.state.networking.attachments.values().any(|place| place.network == id);
    for (network, asked) in wanted.into_values() {
        if !network.has_kernel_objects() || is_in(&network.id) {
            continue;
        }
        match connect::join(engine, turn, &network, &asked).await {
            Ok(()) => info!(id = turn.id, network = network.name, "a connect is finished"),
            Err(error) => {
                warn!(id = turn.id, network = network.name, error = error.message(), "finish a connect");
                give_up(turn, &network);
            }
        }
    }
    if moving::is_behind(engine, &turn.view()) {
        info!(id = turn.id, "published ports follow the way out");
        let _work = engine.networks.work.read().await;
        if let Err(error) = moving::settle(engine, turn).await {
            warn!(id = turn.id, error = error.message(), "published ports do not follow the way out");
        }
    }
}

/// Makes the rest of a place in the kernel; ports and names were handed over with those of all containers.
async fn complete(engine: &Arc<Engine>, turn: &Turn<'_>, network: &Arc<Record>, place: &Attachment) {
    let work = engine.networks.work.read().await;
    let (own, view, plan, place) = (Arc::clone(engine), turn.view(), network.plan(), place.clone());
    let made = blocking(move || connect::make(&own, &view, plan?.as_ref(), &place)).await;
    drop(work);
    match made {
        Ok(()) => {
            connect::finished(turn, network);
            connect::write_files(engine, turn);
        }
        Err(error) => warn!(id = turn.id, network = network.name, error = error.message(), "finish a connect"),
    }
}

/// Nobody was told of the connect, so it is as if it had never been asked for.
fn give_up(turn: &Turn<'_>, network: &Record) {
    let mut record = (*turn.view().record).clone();
    record.endpoints.retain(|name, _| *name != network.name);
    if let Err(error) = turn.replace_record(record) {
        warn!(id = turn.id, %error, "undo a connect");
    }
}
