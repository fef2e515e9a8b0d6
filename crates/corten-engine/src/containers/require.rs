//! What a verb demands of a container's state, in docker's words: clients match on them.

use super::View;
use crate::errors::{EngineError, Result};

/// Its init lives, frozen or not.
///
/// # Errors
/// 409 while it does not.
pub fn alive(view: &View) -> Result<()> {
    let (id, state) = (&view.record.id, &view.state);
    if !state.running {
        return Err(EngineError::conflict(format!("container {id} is not running")));
    }
    if state.restarting {
        return Err(EngineError::conflict(format!(
            "Container {id} is restarting, wait until the container is running"
        )));
    }
    Ok(())
}

/// Its init lives and is not frozen; `wanted` is how the client called it.
///
/// # Errors
/// 409 otherwise.
pub fn active(view: &View, wanted: &str) -> Result<()> {
    alive(view)?;
    match view.state.paused {
        true => Err(EngineError::conflict(format!("Container {wanted} is paused, unpause the container before exec"))),
        false => Ok(()),
    }
}
