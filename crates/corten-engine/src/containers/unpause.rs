//! `docker unpause`.

use std::sync::Arc;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::tasks;

/// Thaws a paused container.
///
/// # Errors
/// 500 when it is not paused, as dockerd answers it.
pub async fn unpause(engine: &Arc<Engine>, wanted: &str) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    engine.containerd.linked().await?;
    let turn = container.turn().await;
    if !turn.view().state.paused {
        return Err(EngineError::internal(format!("Container {} is not paused", turn.id)));
    }
    let resumed = tasks::resume::resume(engine, &turn.id).await;
    resumed.map_err(|error| error.while_doing(format!("Cannot unpause container {}", turn.id)))?;
    turn.change(|state| state.paused = false);
    engine.events.publish(Kind::Container, "unpause", &turn.id, turn.view().record.event_attributes());
    Ok(())
}
