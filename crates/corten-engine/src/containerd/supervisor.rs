//! Our own supervisor: started when nobody serves its socket, watched, and started again at once.
//!
//! It is not tied to this process: after `kill -9` of the engine it goes on, and the next engine
//! finds it by its socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use corten_sys::pidfd::PidFd;
use corten_types::Signal;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

/// Time it has to serve its socket.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at the socket while it starts; it is there after some 10 ms.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A supervisor that ends sooner than this after its start is broken: the next start waits.
const LIVES_AT_LEAST: Duration = Duration::from_secs(2);

/// The wait before a broken one is started again.
const BROKEN_BACK_OFF: Duration = Duration::from_secs(1);

/// Time it has to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// How to start the supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    /// The program.
    pub program: PathBuf,
    /// Its persistent directory.
    pub root: PathBuf,
    /// Its directory until the next boot.
    pub state: PathBuf,
    /// Its socket.
    pub address: PathBuf,
    /// Its log level.
    pub log_level: String,
    /// Told whenever it has come to serve its socket.
    pub arrival: Arc<Notify>,
}

/// A supervisor that lives.
struct Living {
    handle: AsyncFd<OwnedFd>,
    pid: u32,
    /// Ours to reap, when we started it.
    child: Option<Child>,
}

impl Supervisor {
    /// Keeps a supervisor alive until `stop` says to end it; then ends it.
    pub async fn keep_alive(self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let stop = async move {
            // A closed channel says the same: nobody is left to ask.
            let _ = stop.wait_for(|stop| *stop).await.map(drop);
        };
        tokio::pin!(stop);
        loop {
            let started = Instant::now();
            let living = match self.find_or_start().await {
                Ok(living) => living,
                Err(error) => {
                    error!(%error, program = %self.program.display(), "start the supervisor");
                    tokio::select! {
                        () = sleep(BROKEN_BACK_OFF) => continue,
                        () = &mut stop => return,
                    }
                }
            };
            self.arrival.notify_one();
            tokio::select! {
                _ = living.handle.readable() => warn!(pid = living.pid, "the supervisor has ended"),
                () = &mut stop => return living.end().await,
            }
            living.reap();
            if started.elapsed() < LIVES_AT_LEAST {
                sleep(BROKEN_BACK_OFF).await;
            }
        }
    }

    async fn find_or_start(&self) -> io::Result<Living> {
        if let Some(pid) = serving(&self.address) {
            info!(pid, "the supervisor runs already");
            return living(pid, None);
        }
        for directory in [&self.root, &self.state] {
            std::fs::create_dir_all(directory)?;
        }
        if let Some(parent) = self.address.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(&self.root)
            .arg("--state")
            .arg(&self.state)
            .arg("--address")
            .arg(&self.address)
            .args(["--log-level", &self.log_level])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A group of its own: the terminal's Ctrl-C is the engine's, not its.
            .process_group(0);
        let mut child = corten_sys::rlimit::with_open_files_as_before(&mut command).spawn()?;
        let pid = child.id();
        let deadline = Instant::now() + START_DEADLINE;
        while serving(&self.address).is_none() {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("it ended at once: {status}")));
            }
            if Instant::now() > deadline {
                // Not usable; a half-started one must not hold the lock.
                child.kill()?;
                child.wait()?;
                let seconds = START_DEADLINE.as_secs();
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no socket within {seconds} s")));
            }
            sleep(LOOK_AGAIN).await;
        }
        info!(pid, "supervisor started");
        living(pid, Some(child))
    }
}

impl Living {
    /// Asks it to end, and waits a little; containers go on under their shims.
    async fn end(self) {
        let sent = PidFd::open(self.pid).and_then(|pidfd| pidfd.send(Signal::TERM));
        if sent.is_ok() && tokio::time::timeout(STOP_DEADLINE, self.handle.readable()).await.is_err() {
            warn!(pid = self.pid, "the supervisor does not end; left running");
        }
        self.reap();
    }

    fn reap(mut self) {
        if let Some(child) = &mut self.child {
            // It has ended, or is left running on purpose: then there is nothing to reap yet.
            let _ = child.try_wait();
        }
    }
}

// The safe constructor is deprecated for types whose descriptor may change; `OwnedFd`'s cannot.
#[allow(deprecated)]
fn living(pid: u32, child: Option<Child>) -> io::Result<Living> {
    let pidfd = PidFd::open(pid)?;
    Ok(Living { handle: AsyncFd::new(pidfd.as_fd().try_clone_to_owned()?)?, pid, child })
}

/// The process that serves the socket, if there is one.
fn serving(address: &Path) -> Option<u32> {
    let stream = corten_sys::sockets::connect(address).ok()?;
    let peer = corten_sys::scm::peer(&stream).ok()?;
    // A dead one's child, between fork and exec, has its sockets still.
    corten_sys::pidfd::lives(peer.pid).then_some(peer.pid)
}
