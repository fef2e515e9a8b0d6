//! `kill`: sends a signal to the container's first process, or to all of them.

use std::io;
use std::path::Path;

use corten_cgroups::CgroupError;
use corten_runtime_api::arguments::Kill;
use corten_runtime_api::texts;
use corten_types::Signal;

use crate::container::{Container, Status};
use crate::state_dir::StateError;

/// Why a signal could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// No such signal.
    #[error("unknown signal {0:?}")]
    Signal(String),
    /// There is no process to send it to.
    #[error("{}", texts::NOT_RUNNING)]
    NotRunning,
    /// The kernel refused.
    #[error("signal process {pid}")]
    Send {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
}

/// Sends the signal; SIGTERM without one.
///
/// # Errors
/// [`KillError`].
pub fn kill(root: &Path, arguments: &Kill) -> Result<(), KillError> {
    let signal = match arguments.signal.as_deref() {
        None | Some("") => Some(Signal::TERM),
        // Asks only whether there is somebody to signal (kill(2)).
        Some("0") => None,
        Some(text) => Some(text.parse().map_err(|_| KillError::Signal(text.to_owned()))?),
    };
    let container = Container::load(root, &arguments.id)?;
    let cgroup = container.record.cgroup();
    let is_kill = signal == Some(Signal::KILL);
    // Without a cgroup its other processes cannot be found: the first one is all there is to signal.
    let is_grouped = !cgroup.directories().is_empty();
    if is_kill && !container.record.has_own_pids && is_grouped {
        // Without a pid namespace the end of the first process does not end the others.
        let had_processes = !cgroup.processes()?.is_empty();
        cgroup.kill_all()?;
        return if had_processes || arguments.all { Ok(()) } else { Err(KillError::NotRunning) };
    }
    let Some(init) = container.init().filter(|_| container.status().is_ok_and(|status| status != Status::Stopped))
    else {
        return if arguments.all { Ok(()) } else { Err(KillError::NotRunning) };
    };
    let Some(signal) = signal else { return Ok(()) };
    let pid = container.record.init_process_pid;
    match init.send(signal) {
        Err(error) if error.raw_os_error() == Some(ESRCH) => return Err(KillError::NotRunning),
        result => result.map_err(|source| KillError::Send { pid, source })?,
    }
    if is_kill && cgroup.is_frozen()? {
        // A frozen process of v1 does not die before it is thawed.
        cgroup.thaw()?;
    }
    Ok(())
}

const ESRCH: i32 = 3;
