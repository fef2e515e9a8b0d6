//! Waiting for children: the shim is the only reaper below it.
//!
//! Every child we know is waited for by its pidfd. Orphans of a container without its own pid namespace
//! are handed to us as the subreaper; SIGCHLD makes us sweep those. A runtime writes its pid file and
//! ends, so between the two a child of ours is not known yet: while such a creation runs nothing is
//! swept, and the zombie waits for us. So no pid is ever used again before its exit was seen.

use std::{
    collections::HashSet,
    io,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use corten_sys::{
    pidfd::PidFd,
    wait::{self, SignalFd},
};
use corten_types::{ExitStatus, Signal};
use tokio::io::unix::AsyncFd;

use crate::readiness;

/// A child that is waited for.
#[derive(Debug)]
pub struct Child {
    /// Its pid, ours until [`Reaper::wait`] returns.
    pub pid: u32,
    pidfd: AsyncFd<PidFd>,
}

impl Child {
    /// Sends a signal.
    ///
    /// # Errors
    /// `ESRCH` when it has ended and was reaped.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.pidfd.get_ref().send(signal)
    }
}

#[derive(Debug, Default)]
struct Known {
    pids: HashSet<u32>,
    creations: usize,
}

/// The reaper. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Reaper(Arc<Mutex<Known>>);

/// A creation that is under way; see the module's text.
#[derive(Debug)]
pub struct Creation(Reaper);

impl Drop for Creation {
    fn drop(&mut self) {
        self.0.lock().creations -= 1;
        self.0.sweep();
    }
}

impl Reaper {
    /// Holds back the sweep until the returned guard is dropped.
    pub fn creation(&self) -> Creation {
        self.lock().creations += 1;
        Creation(self.clone())
    }

    /// Spawns `command` as a child that is waited for and that dies with the shim: a runtime that outlived it would go on
    /// making what the clean-up after the shim has already passed by. It gets default signals: the shim blocks some for
    /// itself. Called on the main thread, whose end is the shim's.
    ///
    /// # Errors
    /// Those of spawning it.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let pid = wait::as_helper(command).spawn()?.id();
        self.adopt(pid)
    }

    /// Waits from now on for `pid`, a descendant that was or will be handed to us.
    ///
    /// # Errors
    /// Those of pidfd_open(2).
    pub fn adopt(&self, pid: u32) -> io::Result<Child> {
        let pidfd = readiness::register(PidFd::open(pid)?)?;
        self.lock().pids.insert(pid);
        Ok(Child { pid, pidfd })
    }

    /// Waits until the child has ended, and reaps it.
    pub async fn wait(&self, child: &Child) -> ExitStatus {
        let status = loop {
            let ready = child.pidfd.readable().await;
            match child.pidfd.get_ref().try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {
                    if let Ok(mut ready) = ready {
                        ready.clear_ready();
                    }
                }
                Err(error) => {
                    // Not a child of ours: it was reaped by somebody else, and its status went there.
                    tracing::warn!(pid = child.pid, %error, "the exit status of a process is lost");
                    break ExitStatus::LOST;
                }
            }
        };
        self.lock().pids.remove(&child.pid);
        self.sweep();
        status
    }

    /// Reaps strangers until a known child is in the way; whoever waits for that one sweeps on.
    fn sweep(&self) {
        if self.lock().creations > 0 {
            return;
        }
        while let Ok(Some(ended)) = wait::peek_ended() {
            if self.lock().pids.contains(&ended.pid) || !matches!(wait::reap(ended.pid), Ok(Some(_))) {
                return;
            }
            tracing::debug!(pid = ended.pid, "an orphan was reaped");
        }
    }

    /// Reacts to signals for ever; `terminate` is called on SIGTERM and SIGINT.
    pub async fn serve(self, signals: SignalFd, terminate: impl Fn()) {
        let Ok(signals) = readiness::register(signals) else { return };
        while let Ok(mut ready) = signals.readable().await {
            while let Ok(Some(signal)) = signals.get_ref().read() {
                if signal == Signal::TERM || signal == Signal::INT {
                    terminate();
                } else {
                    self.sweep();
                }
            }
            ready.clear_ready();
        }
    }

    /// The set stays whole when a holder panics: each critical section is one operation on it.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
