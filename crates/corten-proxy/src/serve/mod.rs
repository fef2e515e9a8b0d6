//! The long-lived program beside an engine: it holds what the engine hands over ([`corten_relay`]), in two threads: this
//! one holds ports, relays some of them and obeys; the other one answers names.
//!
//! It outlives the engine and is found again by it. It ends when it holds nothing and nobody has been connected for a
//! while, or when a newer one has taken everything over and what flowed through it has ended.

mod control;
mod holdings;
mod keeper;
mod log;
mod ports;
mod sandbox;

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use corten_relay::{Relay, RelayError, server};
use corten_sys::{
    credentials,
    daemon::{self, Forked},
    descriptors,
    lock_file::{self, LockError},
    rlimit,
};
use corten_types::error;

use crate::{arguments::ServeRequest, status::complain};
use keeper::Keeper;

/// How long a lock is waited for that is being given up: its holder has nothing else to do by then.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// What is said to the process that was started, and waits.
const READY: &[u8] = b"ready";

/// Why the program does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process has the lock, or it cannot be had.
    #[error("lock {}: {source}", path.display())]
    Lock {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: LockError,
    },
    /// Who has the lock does not hand over.
    #[error("take over from the one that serves {}", path.display())]
    TakeOver {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: RelayError,
    },
    /// What was handed over cannot be held.
    #[error("take over from the one that serves {}: {refused}", path.display())]
    Hold {
        /// Its socket.
        path: PathBuf,
        /// Why.
        refused: String,
    },
    /// The socket cannot be made.
    #[error("listen at {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system has no descriptors or processes.
    #[error("become a process of its own")]
    Prepare(#[source] io::Error),
}

/// Serves an engine from a process of its own; returns once that one listens.
pub fn serve(request: &ServeRequest) -> ExitCode {
    let told = descriptors::pipe().and_then(|(reader, writer)| {
        Ok(match daemon::fork_single_threaded()? {
            Forked::Parent(_) => {
                drop(writer);
                let mut said = Vec::new();
                File::from(reader).read_to_end(&mut said)?;
                Some(said)
            }
            Forked::Child => {
                drop(reader);
                run(request, File::from(writer));
                None
            }
        })
    });
    match told {
        Ok(Some(said)) if said == READY => ExitCode::SUCCESS,
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(said)) if said.is_empty() => failed("it ended before it said anything"),
        Ok(Some(said)) => failed(&String::from_utf8_lossy(&said)),
        Err(source) => failed(&error::chain(&ServeError::Prepare(source))),
    }
}

fn failed(why: &str) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

/// The process that stays. `parent` is told that it listens, or why not.
fn run(request: &ServeRequest, mut parent: File) {
    // What an engine was given and did not mark, such as its own sockets, must not stay open here. Before Linux 5.9 it does.
    let _ = daemon::close_all_but(&parent);
    let begun = begin(request);
    // Nobody waits any more when that fails.
    let _ = match &begun {
        Ok(_) => parent.write_all(READY),
        Err(why) => parent.write_all(error::chain(why).as_bytes()),
    };
    drop(parent);
    if let Ok(mut keeper) = begun
        && let Err(why) = keeper.run()
    {
        complain(format_args!("serve {}: {why}", request.socket.display()));
    }
}

fn begin(request: &ServeRequest) -> Result<Keeper, ServeError> {
    let socket = &request.socket;
    credentials::new_session().map_err(ServeError::Prepare)?;
    // The directory it was started in may be unmounted.
    std::env::set_current_dir("/").map_err(ServeError::Prepare)?;
    log::to(&beside(socket, "log")).map_err(ServeError::Prepare)?;
    // With the limit it was started with it holds less.
    let _ = rlimit::raise_open_files();
    let mut keeper =
        Keeper::new(&request.names, request.sandboxes.clone(), request.linger).map_err(ServeError::Prepare)?;
    let lock = take_lock(socket, &mut keeper)?;
    let listener = server::listen(socket).map_err(|source| ServeError::Listen { path: socket.clone(), source })?;
    keeper.listen(listener, lock).map_err(ServeError::Prepare)?;
    Ok(keeper)
}

/// The lock that says who serves; where another has it, `keeper` has everything of that one's, too.
fn take_lock(socket: &Path, keeper: &mut Keeper) -> Result<File, ServeError> {
    let path = beside(socket, "lock");
    match lock_file::hold(&path, LOCK_PATIENCE) {
        Err(LockError::Held { lives: true, .. }) => take_over(socket, keeper)?,
        Err(source) => return Err(ServeError::Lock { path, source }),
        Ok(lock) => return Ok(lock),
    }
    lock_file::hold(&path, LOCK_PATIENCE).map_err(|source| ServeError::Lock { path, source })
}

/// Takes everything over from whoever serves `socket`. From the first socket on both serve it; then the other one stops.
fn take_over(socket: &Path, keeper: &mut Keeper) -> Result<(), ServeError> {
    let failed = |source| ServeError::TakeOver { path: socket.to_owned(), source };
    let mut other = Relay::connect(socket).map_err(failed)?;
    for hold in other.take_over().map_err(failed)? {
        keeper.hold(hold).map_err(|refused| ServeError::Hold { path: socket.to_owned(), refused })?;
    }
    other.taken().map_err(failed)
}

/// The file `<socket>.<suffix>`.
fn beside(socket: &Path, suffix: &str) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// A copy of a descriptor, to be given away.
fn copy(fd: impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}
