//! `docker network rm`.

use std::sync::Arc;

use corten_types::ErrorKind;

use super::record::Record;
use super::{blocking, publish, store, with_kernel};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Removes a network.
///
/// # Errors
/// 404; 403 for the engine's own and for one that running containers are in.
pub async fn delete(engine: &Arc<Engine>, wanted: &str) -> Result<()> {
    let _changes = engine.networks.index.changes.lock().await;
    let network = engine.networks.index.find(wanted)?;
    if network.is_predefined() {
        let text = format!("{} is a pre-defined network and cannot be removed", network.name);
        return Err(EngineError::new(ErrorKind::PermissionDenied, text));
    }
    remove(engine, &network).await
}

/// Removes a network nobody is in; the caller holds the changes.
pub(super) async fn remove(engine: &Arc<Engine>, network: &Arc<Record>) -> Result<()> {
    let members = members(engine, &network.id);
    if !members.is_empty() {
        let text = format!(
            "error while removing network: network {} has active endpoints ({})",
            network.name,
            members.join(", ")
        );
        return Err(EngineError::new(ErrorKind::PermissionDenied, text));
    }
    // The kernel first: whoever is killed in between finds a network that is there, and removes it again.
    if let Some(plan) = network.plan()? {
        with_kernel(engine, move |kernel| kernel.remove_network(&plan)).await?;
    }
    let (data_root, id) = (engine.config.data_root.clone(), network.id.clone());
    let while_removing = |error| EngineError::internal("remove a network's record").caused_by(error);
    blocking(move || store::remove(&data_root, &id).map_err(while_removing)).await?;
    engine.networks.index.remove(&network.id);
    engine.networks.relay.forget_network(&network.id);
    publish(engine, network, "destroy", None);
    Ok(())
}

/// The running containers in a network, as docker names them.
pub(super) fn members(engine: &Engine, id: &str) -> Vec<String> {
    let mut members = Vec::new();
    for container in engine.containers.all() {
        let view = container.view();
        if let Some(place) = view.state.networking.attachments.values().find(|place| place.network == id) {
            let short = place.endpoint.get(..12).unwrap_or(&place.endpoint);
            members.push(format!("name:\"{}\" id:\"{short}\"", view.record.name));
        }
    }
    members
}
