//! `run`: create and start in one; in the foreground also wait and delete.

use std::io;
use std::path::Path;

use corten_runtime_api::arguments::Run;
use corten_sys::wait;

use crate::caller::Caller;
use crate::container::Container;
use crate::create::{Attachment, CreateError, Made, make};
use crate::delete::{self, DeleteError};
use crate::foreground::{self, Relay};
use crate::hooks;
use crate::init::{InitError, about_init};
use crate::log::Log;
use crate::notify::Notify;
use crate::state_dir::{Record, StateDir};

/// Why a container could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Its process could not be started.
    #[error(transparent)]
    Init(#[from] InitError),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] hooks::HookError),
    /// It could not be waited for.
    #[error("wait for the container's process")]
    Wait(#[source] io::Error),
    /// systemd's notification socket.
    #[error("pass the notification socket on")]
    Notify(#[source] io::Error),
    /// What was left could not be removed.
    #[error(transparent)]
    Delete(#[from] DeleteError),
}

/// Runs the container; its exit status, 0 when detached.
///
/// # Errors
/// [`RunError`]; nothing outlives a failure.
pub fn run(root: &Path, arguments: &Run, caller: &Caller) -> Result<u8, RunError> {
    let attachment = if arguments.detach { Attachment::Detached } else { Attachment::Foreground };
    if attachment == Attachment::Foreground && !arguments.no_subreaper {
        wait::become_subreaper().map_err(RunError::Wait)?;
    }
    let mut own_end = None;
    let made = make(root, &arguments.create, caller, attachment, &mut own_end)?;
    let relay = Relay::prepare(own_end, made.plan.process.terminal).map_err(RunError::Wait)?;
    let Made { directory, record, staged, init, plan, cgroup } = made;
    let notify = caller.notify_socket.as_deref().map(|host| Notify::bind(&directory, host));
    let notify = notify.transpose().map_err(RunError::Notify)?;
    let init_pid = record.init_process_pid.unsigned_abs();
    let explain = |fault: &_| about_init(&plan, fault);
    let released = init.release(explain)?;
    drop(staged);
    let executed = released.executed(explain);
    if let Err(InitError::Execute(_)) = &executed
        && attachment == Attachment::Foreground
    {
        // The process itself has told why; what is left is its status.
        return foreground::wait(&released.pidfd, init_pid, relay, None, &caller.log).map_err(RunError::Wait);
    }
    executed?;
    cgroup.keep();
    let directory = directory.kept();
    let state = hooks::State { status: "running", pid: record.init_process_pid, record: &record };
    if let Err(error) = hooks::run(&record.hooks.poststart, "poststart", &state) {
        let _ = released.pidfd.send(corten_types::Signal::KILL); // it may have ended by itself
        remove(directory, record, &caller.log)?;
        return Err(error.into());
    }
    if attachment == Attachment::Detached {
        if let Some(notify) = notify {
            notify.wait(&released.pidfd, init_pid, &caller.log).map_err(RunError::Notify)?;
        }
        return Ok(0);
    }
    // While the container runs: giving it back writes to memory that was shared with the child.
    drop(plan);
    let status = foreground::wait(&released.pidfd, init_pid, relay, notify, &caller.log).map_err(RunError::Wait)?;
    if !arguments.keep {
        remove(directory, record, &caller.log)?;
    }
    Ok(status)
}

/// Removes the container, unless somebody else has: what is there under its id then is another one.
fn remove(directory: StateDir, record: Record, log: &Log) -> Result<(), RunError> {
    if directory.is_of(&record).map_err(DeleteError::from)? {
        delete::destroy(Container { directory, record }, log)?;
    }
    Ok(())
}
