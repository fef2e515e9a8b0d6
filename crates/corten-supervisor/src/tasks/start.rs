//! Starting what was created: the init process, or an exec.

use corten_proto::containerd::{services::tasks::v1::StartRequest, task::v2 as shim_api};

use super::{STATE_TIMEOUT, refused};
use crate::{Supervisor, error::Result};

/// Starts the process and answers its pid.
///
/// # Errors
/// `NotFound` without the task, else what the shim says.
pub async fn start(supervisor: &Supervisor, namespace: &str, request: StartRequest) -> Result<u32> {
    let StartRequest { container_id: id, exec_id } = request;
    let shim = supervisor.tasks.get(namespace, &id).await?;
    let asked = shim_api::StartRequest { id: id.clone(), exec_id: exec_id.clone() };
    let started = shim.client.start(&asked, None).await.map_err(refused)?;
    if started.pid != 0 {
        return Ok(started.pid);
    }
    // Shims that leave the pid out tell it in the state, where containerd takes it from.
    let state = shim_api::StateRequest { id, exec_id };
    Ok(shim.client.state(&state, Some(STATE_TIMEOUT)).await.map_err(refused)?.pid)
}
