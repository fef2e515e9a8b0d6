//! `start`: lets a created container's process go on.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use corten_cgroups::CgroupError;
use corten_runtime_api::texts;
use corten_sys::files::O_NONBLOCK;

use crate::caller::Caller;
use crate::container::{Container, Status};
use crate::hooks::{self, HookError};
use crate::notify::Notify;
use crate::state_dir::StateError;

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its status could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// It does not wait for start.
    #[error("{0}")]
    Status(&'static str),
    /// The fifo could not be written.
    #[error("write {}", path.display())]
    Fifo {
        /// The fifo.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// systemd's notification socket.
    #[error("pass the notification socket on")]
    Notify(#[source] io::Error),
    /// A hook failed: the container is not left running.
    #[error(transparent)]
    Hook(#[from] HookError),
}

/// Lets the first process of container `id` go on.
///
/// # Errors
/// [`StartError`].
pub fn start(root: &Path, id: &str, caller: &Caller) -> Result<(), StartError> {
    let container = Container::load(root, id)?;
    let path = container.directory.fifo();
    let fail = |source| StartError::Fifo { path: path.clone(), source };
    // Only a process that waits has it open for reading: without one this fails with ENXIO.
    let fifo = match OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(&path) {
        Ok(fifo) => fifo,
        Err(_) => return Err(why_not(&container)?),
    };
    let notify = caller.notify_socket.as_deref().map(|host| Notify::bind(&container.directory, host));
    let notify = notify.transpose().map_err(StartError::Notify)?;
    (&fifo).write_all(b"0").map_err(fail)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let record = &container.record;
    let state = hooks::State { status: "running", pid: record.init_process_pid, record };
    if let Err(error) = hooks::run(&record.hooks.poststart, "poststart", &state) {
        // runtime-spec 1.3, "Lifecycle": a failed poststart hook fails the start.
        let _ = container.init().map(|init| init.send(corten_types::Signal::KILL)); // it may have ended by itself
        return Err(error.into());
    }
    if let (Some(notify), Some(init)) = (notify, container.init()) {
        notify.wait(&init, record.init_process_pid.unsigned_abs(), &caller.log).map_err(StartError::Notify)?;
    }
    Ok(())
}

fn why_not(container: &Container) -> Result<StartError, CgroupError> {
    Ok(StartError::Status(match container.status()? {
        Status::Stopped => texts::START_STOPPED,
        Status::Creating => "cannot start a container that is being created",
        _ => texts::START_RUNNING,
    }))
}
