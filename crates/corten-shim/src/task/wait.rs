//! Waiting for the end of a process.

use corten_proto::containerd::task::v2::WaitResponse;

use crate::{error::TaskError, shim::Shim};

/// Waits until the process `exec_id` of the container `id` has ended, init for the empty one.
///
/// # Errors
/// [`TaskError::NoContainer`], [`TaskError::NoProcess`].
pub async fn wait(shim: &Shim, id: &str, exec_id: &str) -> Result<WaitResponse, TaskError> {
    let process = shim.container(id)?.process(exec_id)?;
    let exit = process.wait().await.ok_or(TaskError::NoContainer)?;
    Ok(WaitResponse { exit_status: exit.status.code(), exited_at: Some(exit.at_proto()) })
}
