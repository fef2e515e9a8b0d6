//! Reading a container's statistics.

use prost_types::Any;

use crate::{error::TaskError, metrics, shim::Shim};

/// The statistics of the container `id`, as containerd's message for the machine's cgroup version.
///
/// # Errors
/// [`TaskError::NoCgroup`] when there is none any more.
pub fn stats(shim: &Shim, id: &str) -> Result<Any, TaskError> {
    let cgroup = shim.container(id)?.cgroup().ok_or(TaskError::NoCgroup)?;
    let stats = cgroup.stats().map_err(|_| TaskError::NoCgroup)?;
    Ok(metrics::pack(&stats, cgroup.is_v2()))
}
