//! Changing a container's limits.

use corten_proto::containerd::task::v2::UpdateTaskRequest;
use corten_types::TaskStatus;

use crate::{error::TaskError, invoke, shim::Shim};

/// Bytes of resources that are passed on: they go through a pipe before the runtime reads.
const MAX_RESOURCES_BYTES: usize = 60 * 1024;

/// Hands the resources of `request`, LinuxResources as JSON, to the runtime.
///
/// # Errors
/// [`TaskError::State`] for a stopped container; the runtime's refusal.
pub async fn update(shim: &Shim, request: &UpdateTaskRequest) -> Result<(), TaskError> {
    let container = shim.container(&request.id)?;
    if container.status() == TaskStatus::Stopped {
        return Err(TaskError::State { verb: "update", state: "stopped", noun: "container" });
    }
    let resources = request.resources.as_ref().map_or(b"".as_slice(), |resources| resources.value.as_slice());
    if resources.is_empty() || resources.len() > MAX_RESOURCES_BYTES {
        let bytes = resources.len();
        return Err(TaskError::Invalid(format!("resources of {bytes} bytes; 1 to {MAX_RESOURCES_BYTES} are taken")));
    }
    let command = container.runtime.update(&request.id);
    invoke::run_quietly(&shim.reaper, "update", command, resources, &container.runtime_log()).await
}
