//! Freezing a container for as long as its files are read, and never longer.
//!
//! A file beside the container's record says that the engine froze it: an engine that dies meanwhile finds it when it
//! comes up, and thaws the container (dockerd leaves it paused for ever).

use std::fs::{self, File};
use std::path::PathBuf;

use tracing::warn;

use super::{Container, Turn};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::tasks;

/// How often a container is thawed when containerd does not answer.
const TRIES: u32 = 3;

/// Freezes the container unless somebody has; answers whether it is ours to thaw.
///
/// # Errors
/// 500 when the note cannot be written, and what the runtime says; the container runs then.
pub(super) async fn freeze(engine: &Engine, turn: &Turn<'_>) -> Result<bool> {
    let state = &turn.view().state;
    if !state.is_alive() || state.paused {
        return Ok(false);
    }
    let while_noting = |error| EngineError::internal("note that the container is frozen").caused_by(error);
    File::create(note(turn)).map_err(while_noting)?;
    if let Err(error) = tasks::pause::pause(engine, &turn.id).await {
        forget(turn);
        return Err(error.while_doing(format!("Cannot pause container {}", turn.id)));
    }
    turn.change(|state| state.paused = true);
    engine.events.publish(Kind::Container, "pause", &turn.id, turn.view().record.event_attributes());
    Ok(true)
}

/// Thaws what [`freeze`] froze. When containerd does not answer, the next link does it.
pub(super) async fn thaw(engine: &Engine, turn: &Turn<'_>) {
    for _ in 0..TRIES {
        match tasks::resume::resume(engine, &turn.id).await {
            Ok(()) => {
                turn.change(|state| state.paused = false);
                engine.events.publish(Kind::Container, "unpause", &turn.id, turn.view().record.event_attributes());
                return forget(turn);
            }
            Err(error) => warn!(id = turn.id, error = error.message(), "thaw a container"),
        }
        if engine.containerd.linked().await.is_err() {
            return;
        }
    }
}

/// Whether the container was frozen by an engine that then died; asked with its turn.
pub(super) fn is_left_frozen(container: &Container) -> bool {
    note(container).exists()
}

/// Nothing is frozen by the engine any more.
pub(super) fn forget(container: &Container) {
    // A note that cannot be removed thaws a container once too often.
    let _ = fs::remove_file(note(container));
}

fn note(container: &Container) -> PathBuf {
    container.directory().join("frozen")
}
