//! `docker network disconnect`.

use std::sync::Arc;

use super::{connect, publish};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// What becomes of a container that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It is an error.
    Refuse,
    /// Whatever it left in the network goes.
    Disconnect,
}

/// Takes a container out of a network.
///
/// # Errors
/// 404; 400 from the host's network, 500 when it is not in it.
pub async fn disconnect(engine: &Arc<Engine>, wanted: &str, container: &str, gone: Gone) -> Result<()> {
    let network = engine.networks.index.find(wanted);
    let container = match (engine.containers.find(container), gone) {
        (Ok(container), _) => container,
        (Err(error), Gone::Refuse) => return Err(error),
        (Err(_), Gone::Disconnect) => {
            // Places are kept with their containers: whoever is gone has left none behind.
            network?;
            return Err(EngineError::not_found(format!("endpoint {container} not found")));
        }
    };
    let turn = container.turn().await;
    connect::refuse_removed(&turn)?;
    let view = turn.view();
    // A network that is gone still stands in the record.
    let name = match &network {
        Ok(network) => network.name.clone(),
        Err(_) if gone == Gone::Disconnect || !view.state.is_alive() => wanted.to_owned(),
        Err(_) => return network.map(drop),
    };
    if view.record.host_config.network_mode == "host" && name == "host" {
        return Err(EngineError::invalid(
            "cannot disconnect container from host network - container was created in host network mode",
        ));
    }
    let networks = view.record.networks();
    if !networks.contains_key(&name) {
        let the = if view.state.is_alive() && network.is_ok() { "" } else { "the " };
        return Err(EngineError::internal(format!("container {} is not connected to {the}network {name}", turn.id)));
    }
    let mut record = (*view.record).clone();
    record.endpoints =
        networks.into_iter().filter(|(other, _)| *other != name).map(|(name, asked)| (name, Some(asked))).collect();
    // Its mode would bring it there again.
    record.left_mode = record.left_mode || record.network_name() == Some(name.as_str());
    turn.replace_record(record).map_err(|error| EngineError::internal("write the container down").caused_by(error))?;
    if let (Ok(network), Some(place)) = (&network, view.state.networking.attachments.get(&name)) {
        connect::leave(engine, &turn, network, place).await;
    }
    if let Ok(network) = &network
        && view.state.is_alive()
    {
        publish(engine, network, "disconnect", Some(&turn.id));
    }
    Ok(())
}
