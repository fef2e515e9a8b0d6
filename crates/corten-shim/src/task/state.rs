//! Telling the state of a process.

use corten_proto::containerd::task::v2::StateResponse;

use crate::{error::TaskError, shim::Shim};

/// The state of the process `exec_id` of the container `id`, init for the empty one.
///
/// # Errors
/// [`TaskError::NoContainer`], [`TaskError::NoProcess`].
pub fn state(shim: &Shim, id: &str, exec_id: &str) -> Result<StateResponse, TaskError> {
    let container = shim.container(id)?;
    let process = container.process(exec_id)?;
    let status = if exec_id.is_empty() { container.status() } else { process.status() };
    let exit = process.exit();
    Ok(StateResponse {
        // containerd's shim answers the process's own id here.
        id: if exec_id.is_empty() { container.id.clone() } else { process.id.clone() },
        bundle: container.bundle.display().to_string(),
        pid: process.pid(),
        status: status.wire(),
        stdin: process.stdio.stdin.clone(),
        stdout: process.stdio.stdout.clone(),
        stderr: process.stdio.stderr.clone(),
        terminal: process.stdio.terminal,
        exit_status: exit.map_or(0, |exit| exit.status.code()),
        exited_at: exit.map(|exit| exit.at_proto()),
        exec_id: exec_id.to_owned(),
    })
}
