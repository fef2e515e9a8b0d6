//! Listing a container's processes.

use corten_proto::{
    any,
    containerd::{runc::v1::ProcessDetails, v1::types::ProcessInfo},
};
use corten_types::error::chain;

use crate::{error::TaskError, shim::Shim};

/// The processes in the cgroup of the container `id`; those that were exec'd are tagged with their id.
///
/// # Errors
/// [`TaskError`] when the cgroup cannot be read.
pub fn pids(shim: &Shim, id: &str) -> Result<Vec<ProcessInfo>, TaskError> {
    let container = shim.container(id)?;
    let Some(cgroup) = container.cgroup() else { return Ok(Vec::new()) };
    let execs = container.all_execs();
    let pids = cgroup.processes().map_err(|error| TaskError::Invalid(chain(&error)))?;
    let info = |pid: u32| {
        let exec = execs.iter().find(|exec| exec.pid() == pid)?;
        Some(any::pack(&ProcessDetails { exec_id: exec.id.clone() }))
    };
    Ok(pids.into_iter().map(i32::unsigned_abs).map(|pid| ProcessInfo { pid, info: info(pid) }).collect())
}
