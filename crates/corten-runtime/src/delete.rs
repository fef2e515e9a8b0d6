//! `delete`: removes what is left of a container. Works from the record alone, whatever was killed when.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use corten_cgroups::{Cgroup, CgroupError};
use corten_runtime_api::arguments::Delete;
use corten_runtime_api::texts;
use corten_sys::descriptors::wait_readable;
use corten_types::Signal;

use crate::container::{Container, Status};
use crate::hooks;
use crate::log::Log;
use crate::state_dir::{self, StateDir, StateError};

/// Why a container could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// It could not be found, or its directory not removed.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup could not be read or removed.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// It runs.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// Its id.
        id: String,
        /// What it is doing.
        status: &'static str,
    },
    /// Its process does not end.
    #[error("{}", texts::INIT_STILL_RUNNING)]
    StillRunning,
    /// Its process could not be waited for.
    #[error("wait for process {pid}")]
    Wait {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
}

/// How long a killed process may take to end.
const KILL_LIMIT_MS: i32 = 10_000;

/// Removes the container.
///
/// # Errors
/// [`DeleteError`]. Every step is tried; the first error is returned, and the record stays so that it can be tried
/// again.
pub fn delete(root: &Path, arguments: &Delete, log: &Log) -> Result<(), DeleteError> {
    let container = match Container::load(root, &arguments.id) {
        Ok(container) => container,
        Err(StateError::NotFound | StateError::Damaged { .. }) => return without_record(root, arguments),
        Err(error) => return Err(error.into()),
    };
    match container.status()? {
        Status::Stopped => {}
        Status::Created => end(&container)?,
        Status::Creating if arguments.force => end_creator(&container)?,
        _ if arguments.force => end(&container)?,
        status => {
            return Err(DeleteError::NotStopped { id: arguments.id.clone(), status: status.as_str() });
        }
    }
    destroy(container, log)
}

/// A directory without a record was claimed by a create that was killed before it made anything else.
fn without_record(root: &Path, arguments: &Delete) -> Result<(), DeleteError> {
    let found = StateDir::open(root, &arguments.id);
    let result = match found {
        Ok(directory) => directory.remove(),
        Err(StateError::NotFound) if arguments.force => return Ok(state_dir::sweep(root, &arguments.id)?),
        Err(error) => Err(error),
    };
    result?;
    if arguments.force { Ok(()) } else { Err(StateError::NotFound.into()) }
}

/// Kills the first process and waits for its end.
fn end(container: &Container) -> Result<(), DeleteError> {
    let Some(init) = container.init() else { return Ok(()) };
    let pid = container.record.init_process_pid;
    let _ = init.send(Signal::KILL); // it may have ended by itself
    let cgroup = container.record.cgroup();
    if cgroup.is_frozen()? {
        cgroup.thaw()?;
    }
    let [ended] =
        wait_readable([init.as_fd()], Some(KILL_LIMIT_MS)).map_err(|source| DeleteError::Wait { pid, source })?;
    if ended { Ok(()) } else { Err(DeleteError::StillRunning) }
}

/// Kills the create that is still at it: whoever asked for it has died, and what it made from now on would stay.
fn end_creator(container: &Container) -> Result<(), DeleteError> {
    let Some(creator) = container.creator() else { return Ok(()) };
    let pid = container.record.creator.0;
    let _ = creator.send(Signal::KILL); // it may have ended by itself
    let [ended] =
        wait_readable([creator.as_fd()], Some(KILL_LIMIT_MS)).map_err(|source| DeleteError::Wait { pid, source })?;
    if ended { Ok(()) } else { Err(DeleteError::StillRunning) }
}

/// Removes what is left of a container whose process has ended.
pub(crate) fn destroy(container: Container, log: &Log) -> Result<(), DeleteError> {
    let Container { directory, record } = container;
    let cgroup = record.cgroup();
    let removed = if cgroup.delete_empty() { Ok(()) } else { end_all(&cgroup) };
    let state = hooks::State { status: "stopped", pid: 0, record: &record };
    for failure in hooks::run_all(&record.hooks.poststop, "poststop", &state) {
        log.warn(&failure.to_string());
    }
    removed?;
    directory.remove()?;
    Ok(())
}

/// Whoever is left: a process without a pid namespace, or one of a create that was killed.
fn end_all(cgroup: &Cgroup) -> Result<(), CgroupError> {
    let killed = cgroup.kill_all();
    cgroup.delete().and(killed)
}
