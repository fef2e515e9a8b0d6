//! The size of a container's terminal.

use std::sync::Arc;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::tasks;

/// Tells the terminal of a container that runs its size.
///
/// # Errors
/// 409 when it does not run.
pub async fn resize(engine: &Arc<Engine>, wanted: &str, height: u32, width: u32) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    if !container.view().state.is_alive() {
        return Err(EngineError::conflict(format!("container {} is not running", container.id)));
    }
    tasks::resize::resize(engine, &container.id, "", width, height).await?;
    let mut attributes = container.view().record.event_attributes();
    attributes.insert("height".to_owned(), height.to_string());
    attributes.insert("width".to_owned(), width.to_string());
    engine.events.publish(Kind::Container, "resize", &container.id, attributes);
    Ok(())
}
