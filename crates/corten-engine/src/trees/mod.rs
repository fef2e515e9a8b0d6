//! A container's file system as the engine reaches it, for copying: by one descriptor of its root.
//!
//! Of a container that runs it is what its processes see. Of one that does not, overlay and mounts are mounted in a
//! mount namespace of a thread of ours ([`stopped`]), which ends with the engine: nothing stays mounted, whoever dies.
//! One upper directory is never in two overlays at once: who mounts it holds the container's turn and its
//! [`Container::tree`] alone, who uses the mount of a running one shares that, and a start waits for both.
//!
//! Nothing below the descriptor is ever named by a path of the host.

mod path;
mod running;
mod stopped;

pub use path::{follow, last_component, read_file};

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use corten_types::ErrorKind;
use tokio::sync::RwLockReadGuard;
use tokio::sync::RwLockWriteGuard;

use crate::containers::{Container, Turn, start};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::{snapshots, tasks};

/// How long the end of an init may take to be recorded.
const END_DEADLINE: Duration = Duration::from_secs(20);

/// How often a container may start or end while its file system is being opened.
const CHANGES_AT_MOST: u32 = 5;

/// A container's file system, held open.
struct Tree<'a> {
    root: OwnedFd,
    mounted: Option<stopped::Mounted>,
    _hold: Hold<'a>,
}

/// What keeps the overlay from being mounted a second time.
enum Hold<'a> {
    /// It is the running container's.
    Shared { _tree: RwLockReadGuard<'a, ()> },
    /// It is ours.
    Alone { _tree: RwLockWriteGuard<'a, ()>, _turn: Turn<'a> },
}

/// Runs `work`, which may block, on the root of the container's file system. Once begun it is carried through, also
/// when whoever asked has left.
///
/// # Errors
/// Those of `work`, and what kept the file system from being opened.
pub async fn with<T: Send + 'static>(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    with_mounts(engine, container, Mounts::Shown, work).await
}

/// As [`with`], without what is mounted in the container: what lies below shows.
///
/// # Errors
/// As [`with`].
pub async fn with_bare<T: Send + 'static>(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    with_mounts(engine, container, Mounts::Hidden, work).await
}

/// Whether what is mounted in a container belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounts {
    Shown,
    Hidden,
}

async fn with_mounts<T: Send + 'static>(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    mounts: Mounts,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    let all = async move {
        let tree = open(&engine, &container, mounts).await?;
        let copy_root = |error| EngineError::internal("keep a container's root open").caused_by(error);
        let root = tree.root.try_clone().map_err(copy_root)?;
        let done = tokio::task::spawn_blocking(move || work(root.as_fd())).await;
        tree.close().await;
        done.unwrap_or_else(|error| Err(broken(error)))
    };
    tokio::spawn(all).await.unwrap_or_else(|error| Err(broken(error)))
}

fn broken(error: tokio::task::JoinError) -> EngineError {
    EngineError::internal("use a container's file system").caused_by(error)
}

impl Tree<'_> {
    /// Unmounts what was mounted before anybody else may.
    async fn close(self) {
        let Self { root, mounted, _hold } = self;
        drop(root);
        if let Some(mounted) = mounted {
            // Waits for the kernel; a panic of it would have been seen when it was opened.
            let _ = tokio::task::spawn_blocking(move || mounted.unmount()).await;
        }
    }
}

async fn open<'a>(engine: &Arc<Engine>, container: &'a Arc<Container>, mounts: Mounts) -> Result<Tree<'a>> {
    for _ in 0..CHANGES_AT_MOST {
        let tree = container.tree.read().await;
        let state = container.view().state.clone();
        if state.is_alive() {
            if let Some(root) = running::open(engine, &container.id, state.pid, mounts).await? {
                return Ok(Tree { root, mounted: None, _hold: Hold::Shared { _tree: tree } });
            }
            drop(tree);
            wait_for_end(container).await?;
            continue;
        }
        drop(tree);
        let turn = container.turn().await;
        let state = turn.view().state.clone();
        if state.is_alive() {
            continue;
        }
        if state.removing || state.dead {
            return Err(EngineError::conflict("container is marked for removal and its files cannot be reached"));
        }
        let tree = container.tree.write().await;
        // What a start that was killed half way has left has the overlay mounted.
        tasks::delete::force_if_there(engine, &container.id).await?;
        let record = Arc::clone(&turn.view().record);
        let overlay = snapshots::mounts(engine, &record.snapshotter, &container.id).await?;
        let binds = match mounts {
            Mounts::Shown => start::mounts_before(container)?,
            Mounts::Hidden => Vec::new(),
        };
        let scratch = container.directory().to_owned();
        let mounting = tokio::task::spawn_blocking(move || stopped::mount(overlay, binds, scratch)).await;
        let (root, mounted) = mounting.map_err(broken)?.map_err(|error| {
            EngineError::internal(format!("mount the file system of container {}", container.id)).caused_by(error)
        })?;
        return Ok(Tree { root, mounted: Some(mounted), _hold: Hold::Alone { _tree: tree, _turn: turn } });
    }
    Err(EngineError::new(
        ErrorKind::Unavailable,
        format!("container {} starts and ends all the time; try again", container.id),
    ))
}

/// Waits until the engine knows that an init is gone.
async fn wait_for_end(container: &Container) -> Result<()> {
    let mut lifecycle = container.lifecycle();
    let ended = lifecycle.wait_for(|lifecycle| !lifecycle.running || lifecycle.removed.is_some());
    let stuck = || {
        let seconds = END_DEADLINE.as_secs();
        let text = format!("the init of container {} is gone, and its end not recorded for {seconds} s", container.id);
        EngineError::new(ErrorKind::Unavailable, text)
    };
    tokio::time::timeout(END_DEADLINE, ended).await.map_err(|_| stuck())?.map_err(|_| stuck())?;
    Ok(())
}
