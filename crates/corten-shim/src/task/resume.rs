//! Thawing a container.

use corten_proto::containerd::events::TaskResumed;
use corten_types::TaskStatus;

use crate::{error::TaskError, invoke, shim::Shim};

/// Thaws the container `id`.
///
/// # Errors
/// [`TaskError::State`] unless it is frozen.
pub async fn resume(shim: &Shim, id: &str) -> Result<(), TaskError> {
    let container = shim.container(id)?;
    match container.status() {
        TaskStatus::Paused => {}
        status => return Err(TaskError::State { verb: "resume", state: status.as_str(), noun: "container" }),
    }
    let command = container.runtime.resume(id);
    invoke::run_quietly(&shim.reaper, "resume", command, b"", &container.runtime_log()).await?;
    container.set_paused(false);
    shim.events.publish("/tasks/resumed", &TaskResumed { container_id: id.to_owned() });
    Ok(())
}
