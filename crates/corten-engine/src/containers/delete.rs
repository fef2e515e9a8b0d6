//! `docker rm`: the record, the root filesystem, and what containerd knows of it.

use std::sync::Arc;

use tracing::{error, warn};

use super::kill;
use super::stop::Reason;
use super::{Container, Turn};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::networks::sandbox;
use crate::{snapshots, store, tasks};

/// Whether a container that runs is killed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// It is refused.
    Refuse,
    /// It is killed.
    Kill,
}

/// Removes a container.
///
/// # Errors
/// 404; 409 when it runs, or when somebody else is removing it, which clients take for done.
pub async fn delete(engine: &Arc<Engine>, wanted: &str, running: Running) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    if container.begin_removal() {
        return Err(EngineError::conflict(format!("removal of container {wanted} is already in progress")));
    }
    let removed = remove(engine, &container, running).await;
    if removed.is_err() {
        container.give_up_removal();
    }
    removed.map_err(|error| error.while_doing(format!("cannot remove container \"{wanted}\"")))
}

/// Removes a container whose end asks for it, behind the back of whoever waits for that.
pub fn soon(engine: &Arc<Engine>, container: &Arc<Container>) {
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    tokio::spawn(async move {
        if container.begin_removal() {
            return;
        }
        if let Err(error) = remove(&engine, &container, Running::Refuse).await {
            container.give_up_removal();
            warn!(id = container.id, error = error.message(), "remove a container after its end");
        }
    });
}

async fn remove(engine: &Arc<Engine>, container: &Arc<Container>, running: Running) -> Result<()> {
    let state = container.view().state.clone();
    match (state.running, running) {
        (true, Running::Refuse) if state.paused => {
            return Err(EngineError::conflict("container is paused and must be unpaused first"));
        }
        (true, Running::Refuse) => {
            return Err(EngineError::conflict(format!(
                "container is {}: stop the container before removing or force remove",
                state.status()
            )));
        }
        _ => {}
    }
    engine.containerd.linked().await?;
    if state.running {
        let killed = kill::kill_for_sure(engine, container, Reason::ByUser).await;
        killed.map_err(|error| error.while_doing("could not kill container"))?;
    }
    let turn = container.turn().await;
    if turn.view().state.running {
        return Err(EngineError::conflict("container was started again meanwhile"));
    }
    turn.change(|state| state.removing = true);
    finish(engine, &turn).await
}

/// Does what a removal consists of; each step may have been done before, by a removal that was
/// killed half way.
///
/// # Errors
/// The first failure; the container shows as dead then, and can be removed again.
pub(super) async fn finish(engine: &Arc<Engine>, turn: &Turn<'_>) -> Result<()> {
    let view = turn.view();
    let taken_away = take_away(engine, turn).await;
    match taken_away {
        Ok(()) => {
            engine.containers.remove(&turn.id);
            engine.events.publish(Kind::Container, "destroy", &turn.id, view.record.event_attributes());
            turn.announce_removal(Ok(()));
            Ok(())
        }
        Err(failure) => {
            error!(id = turn.id, error = failure.message(), "remove a container");
            let text = failure.message();
            turn.change(|state| (state.removing, state.dead, state.error) = (false, true, text.clone()));
            turn.announce_removal(Err(text));
            Err(failure)
        }
    }
}

async fn take_away(engine: &Arc<Engine>, turn: &Turn<'_>) -> Result<()> {
    let id = turn.id.as_str();
    let snapshotter = turn.view().record.snapshotter.clone();
    tasks::delete::force_if_there(engine, id).await?;
    sandbox::release(engine, turn).await;
    tasks::delete::delete_record(engine, id).await?;
    snapshots::remove(engine, &snapshotter, id).await?;
    let (data_root, owned) = (engine.config.data_root.clone(), id.to_owned());
    let moved = tokio::task::spawn_blocking(move || store::remove(&data_root, &owned)).await;
    let while_removing = |error: std::io::Error| EngineError::internal("remove the container's files").caused_by(error);
    let trash = moved.map_err(|error| while_removing(std::io::Error::other(error)))?.map_err(while_removing)?;
    // Logs can be large: they are deleted behind the answer, and at the next start if not now.
    tokio::task::spawn_blocking(move || {
        let _ = std::fs::remove_dir_all(trash);
    });
    Ok(())
}
