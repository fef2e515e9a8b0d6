//! `state`: prints what is known about a container.

use std::path::Path;

use corten_cgroups::CgroupError;
use corten_runtime_api::state::State;

use crate::container::{Container, Status};
use crate::state_dir::StateError;

/// Why a state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateOfError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// The state of container `id`.
///
/// # Errors
/// [`StateOfError`].
pub fn state(root: &Path, id: &str) -> Result<State, StateOfError> {
    let container = Container::load(root, id)?;
    Ok(of(&container)?)
}

/// The state of a container that was found.
///
/// # Errors
/// [`CgroupError`].
pub fn of(container: &Container) -> Result<State, CgroupError> {
    let (record, status) = (&container.record, container.status()?);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(State {
        oci_version: record.oci_version.clone(),
        id: record.id.clone(),
        pid: if status == Status::Stopped { 0 } else { record.init_process_pid },
        status: status.as_str().to_owned(),
        bundle: text(&record.bundle),
        rootfs: text(&record.config.rootfs),
        created: record.created.clone(),
        annotations: record.annotations.clone(),
        owner: String::new(),
    })
}
