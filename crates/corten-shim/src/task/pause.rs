//! Freezing a container.

use corten_proto::containerd::events::TaskPaused;
use corten_types::TaskStatus;

use crate::{error::TaskError, invoke, shim::Shim};

/// Freezes the container `id`.
///
/// # Errors
/// [`TaskError::State`] unless it runs.
pub async fn pause(shim: &Shim, id: &str) -> Result<(), TaskError> {
    let container = shim.container(id)?;
    match container.status() {
        TaskStatus::Running => {}
        status => return Err(TaskError::State { verb: "pause", state: status.as_str(), noun: "container" }),
    }
    let command = container.runtime.pause(id);
    invoke::run_quietly(&shim.reaper, "pause", command, b"", &container.runtime_log()).await?;
    container.set_paused(true);
    shim.events.publish("/tasks/paused", &TaskPaused { container_id: id.to_owned() });
    Ok(())
}
