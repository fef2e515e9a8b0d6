//! The file system of a container that runs: its init's root.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use corten_sys::at;
use corten_sys::clone::{self, Namespaces};
use corten_sys::mount::{self, Extent};

use super::Mounts;
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
pub async fn open(engine: &Engine, id: &str, pid: u32, mounts: Mounts) -> Result<Option<OwnedFd>> {
    let opening = tokio::task::spawn_blocking(move || match mounts {
        Mounts::Shown => open_root(pid),
        Mounts::Hidden => open_bare_root(pid),
    });
    let root = match opening.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
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

/// The mount that is the root of the init's namespace, alone: a copy that is attached nowhere, of the same file system.
/// A thread of its own takes it, since only who is in the namespace may.
fn open_bare_root(pid: u32) -> io::Result<OwnedFd> {
    let namespace = File::open(format!("/proc/{pid}/ns/mnt"))?;
    let take = move || {
        clone::unshare(Namespaces::MOUNT)?;
        clone::enter(namespace.as_fd(), Namespaces::MOUNT)?;
        let root = at::open_root(Path::new("/"))?;
        mount::clone_tree(root.as_fd(), c"", Extent::Single)
    };
    let thread = std::thread::Builder::new().name("bare-root".to_owned()).spawn(take)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that enters a mount namespace panicked")))
}
