//! Deletes a task that has ended.

use corten_proto::containerd::services::containers::v1::DeleteContainerRequest;
use corten_proto::containerd::services::tasks::v1::{DeleteTaskRequest, KillRequest};
use corten_types::{ErrorKind, Signal};

use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::Result;
use crate::execs::Exit;

/// Deletes the task and returns how it ended; `None` when there is no task.
///
/// # Errors
/// What containerd answers; a task that still runs is refused.
pub async fn delete(engine: &Engine, id: &str) -> Result<Option<Exit>> {
    let mut tasks = engine.containerd.tasks();
    let request = DeleteTaskRequest { container_id: id.to_owned() };
    match engine.containerd.step("delete task", tasks.delete(request)).await {
        Ok(deleted) => Ok(Some(Exit {
            pid: deleted.pid,
            status: deleted.exit_status,
            at: deleted.exited_at.as_ref().map_or_else(Moment::now, Moment::from_proto),
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes containerd's record of a container; one that is gone is no error.
///
/// # Errors
/// What containerd answers.
pub async fn delete_record(engine: &Engine, id: &str) -> Result<()> {
    let mut containers = engine.containerd.containers();
    let request = DeleteContainerRequest { id: id.to_owned() };
    match engine.containerd.step("delete container", containers.delete(request)).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// As [`force`], when there may be nothing.
///
/// # Errors
/// As [`force`].
pub async fn force_if_there(engine: &Engine, id: &str) -> Result<()> {
    match super::get::get(engine, id).await? {
        None => Ok(()),
        Some(_) => force(engine, id).await,
    }
}

/// Kills what is left of a task and deletes it: after a start that failed half way.
///
/// # Errors
/// What containerd answers to the deletion.
pub async fn force(engine: &Engine, id: &str) -> Result<()> {
    if delete(engine, id).await.is_ok() {
        return Ok(());
    }
    let mut tasks = engine.containerd.tasks();
    let request = KillRequest {
        container_id: id.to_owned(),
        signal: u32::from(Signal::KILL.number()),
        all: true,
        ..KillRequest::default()
    };
    // An error says that it has ended already; the deletion tells what is wrong, if anything is.
    let _ = engine.containerd.step("kill task", tasks.kill(request)).await;
    super::get::wait_until_stopped(engine, id).await?;
    delete(engine, id).await.map(drop)
}
