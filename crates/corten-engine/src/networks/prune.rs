//! `docker network prune`.

use std::sync::Arc;

use corten_docker_api::Filters;
use corten_docker_api::networks::NetworksPruned;

use super::delete;
use crate::clock::Moment;
use crate::containers::list_filter::moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Removes every network that no running container is in, but for the engine's own.
///
/// # Errors
/// 400 for a filter docker refuses.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<NetworksPruned> {
    filters.allow(&["label", "label!", "until"])?;
    let now = Moment::now();
    let mut until = filters.values("until");
    let limit = until
        .next()
        .map(|text| {
            let wrong = || EngineError::invalid(format!("failed to parse value as time or duration: {text:?}"));
            moment(text, now).ok_or_else(wrong)
        })
        .transpose()?;
    if until.next().is_some() {
        return Err(EngineError::invalid("more than one until filter specified"));
    }
    let mut deleted = Vec::new();
    let _changes = engine.networks.index.changes.lock().await;
    for network in engine.networks.index.all() {
        let labels = network.labels.clone().unwrap_or_default();
        let is_young = limit.is_some_and(|limit| network.created > limit);
        if network.is_predefined() || is_young || !filters.match_labels(&labels) {
            continue;
        }
        if !delete::members(engine, &network.id).is_empty() {
            continue;
        }
        match delete::remove(engine, &network).await {
            Ok(()) => deleted.push(network.name.clone()),
            Err(error) => tracing::warn!(id = network.id, error = error.message(), "prune a network"),
        }
    }
    engine.events.publish(
        crate::events::Kind::Network,
        "prune",
        "",
        std::collections::BTreeMap::from([("reclaimed".to_owned(), "0".to_owned())]),
    );
    Ok(NetworksPruned { networks_deleted: Some(deleted).filter(|deleted| !deleted.is_empty()) })
}
