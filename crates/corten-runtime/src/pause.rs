//! `pause`: stops every process of a container.

use std::path::Path;

use corten_cgroups::CgroupError;
use corten_runtime_api::texts;

use crate::container::{Container, Status};
use crate::state_dir::StateError;

/// Why a container could not be paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its processes could not be stopped.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its status does not allow it.
    #[error("{0}")]
    Status(&'static str),
}

/// Stops the processes of container `id` and returns when all have stopped.
///
/// # Errors
/// [`PauseError`].
pub fn pause(root: &Path, id: &str) -> Result<(), PauseError> {
    let container = Container::load(root, id)?;
    match container.status()? {
        Status::Running | Status::Created => Ok(container.record.cgroup().freeze()?),
        _ => Err(PauseError::Status(texts::NOT_RUNNING_OR_CREATED)),
    }
}
