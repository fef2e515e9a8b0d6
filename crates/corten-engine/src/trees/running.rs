//! The file system of a container that runs: its init's root.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::tasks;

/// `O_PATH | O_DIRECTORY`.
const HANDLE: i32 = 0o10_200_000;

/// The root of the init `pid`; `None` when it has ended.
///
/// The task is asked after the root was opened: one that still runs then was that process all the time, so that the
/// number cannot have gone to another process meanwhile.
///
/// # Errors
/// What containerd answers, and those of opening.
pub async fn open(engine: &Engine, id: &str, pid: u32) -> Result<Option<OwnedFd>> {
    let root = match open_root(pid) {
        Ok(root) => root,
        // ENOENT: no such process; ESRCH: it has just ended.
        Err(error) if matches!(error.raw_os_error(), Some(2 | 3)) => return Ok(None),
        Err(error) => {
            return Err(EngineError::internal(format!("open the root of container {id}")).caused_by(error));
        }
    };
    let task = tasks::get::get(engine, id).await?;
    Ok(task.filter(|task| task.pid == pid && is_alive(task)).map(|_| root))
}

fn is_alive(task: &corten_proto::containerd::v1::types::Process) -> bool {
    use corten_proto::containerd::v1::types::Status;
    matches!(task.status(), Status::Created | Status::Running | Status::Paused | Status::Pausing)
}

fn open_root(pid: u32) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = format!("/proc/{pid}/root");
    File::options().read(true).custom_flags(HANDLE).open(path).map(OwnedFd::from)
}
