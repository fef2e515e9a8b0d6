//! `docker pause`.

use std::sync::Arc;

use super::Turn;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::tasks;

/// Freezes a container that runs.
///
/// # Errors
/// 409 when its state does not allow it.
pub async fn pause(engine: &Arc<Engine>, wanted: &str) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    engine.containerd.linked().await?;
    let turn = container.turn().await;
    must_run(&turn)?;
    if turn.view().state.paused {
        return Err(EngineError::conflict(format!("Container {} is already paused", turn.id)));
    }
    let paused = tasks::pause::pause(engine, &turn.id).await;
    paused.map_err(|error| error.while_doing(format!("Cannot pause container {}", turn.id)))?;
    turn.change(|state| state.paused = true);
    engine.events.publish(Kind::Container, "pause", &turn.id, turn.view().record.event_attributes());
    Ok(())
}

/// Refuses, in docker's words, unless the container has an init.
pub(super) fn must_run(turn: &Turn<'_>) -> Result<()> {
    let state = &turn.view().state;
    match () {
        () if state.restarting => Err(EngineError::conflict(format!(
            "Container {} is restarting, wait until the container is running",
            turn.id
        ))),
        () if !state.running => Err(EngineError::conflict(format!("container {} is not running", turn.id))),
        () => Ok(()),
    }
}
