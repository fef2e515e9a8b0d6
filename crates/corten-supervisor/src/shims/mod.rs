//! Shims: one process per container that outlives this one.
//!
//! [`bundle`] is the directory that names a task on disk; [`spawn`] starts a shim over it; [`adopt`]
//! finds those of an earlier life; [`settle`] cleans up after one that died. [`Shim`] is the
//! connection. Shims forward their events to [`EventsSocket`].

pub mod adopt;
pub mod bundle;
mod events_socket;
pub mod settle;
pub mod spawn;

use std::{
    path::{Path, PathBuf},
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use corten_proto::containerd::{
    events::TaskExit,
    task::v2::{ConnectRequest, DeleteResponse, ShutdownRequest},
};
use corten_shim_api::Client;
use corten_sys::pidfd::PidFd;
use corten_types::Signal;
use tokio::sync::{Mutex, watch};

pub use self::{bundle::Bundle, events_socket::EventsSocket};
use crate::error::{Error, Result};

/// How long a shim that holds nothing any more may take to leave (containerd: shim.shutdown).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// A shim that serves one task.
#[derive(Debug)]
pub struct Shim {
    bundle: Bundle,
    binary: PathBuf,
    /// Calls carry the task's namespace.
    pub client: Client,
    /// How the init process ended, once the task is deleted or the shim dead; held while either happens.
    pub deleted: Mutex<Option<DeleteResponse>>,
    /// Its end is wanted: nothing needs settling.
    end_expected: AtomicBool,
    settled: watch::Sender<bool>,
    /// The exit of the init process, once somebody announced it.
    exit_seen: std::sync::Mutex<Option<TaskExit>>,
    log: std::sync::Mutex<Option<LogPipe>>,
}

/// Ends the task that reads a shim's log.
#[derive(Debug)]
pub struct LogPipe(tokio::task::JoinHandle<()>);

impl Drop for LogPipe {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shim {
    /// A shim that was reached.
    pub fn new(bundle: Bundle, binary: PathBuf, client: Client) -> Self {
        let client = client.with_namespace(&bundle.namespace);
        let (deleted, end_expected) = (Mutex::default(), AtomicBool::new(false));
        let (exit_seen, log) = Default::default();
        Self { bundle, binary, client, deleted, end_expected, settled: watch::channel(false).0, exit_seen, log }
    }

    /// Reads the shim's log for as long as this connection is kept.
    pub fn keep_log(&self, log: LogPipe) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
    }

    /// The exit of the init process is announced.
    pub fn note_exit(&self, exit: &TaskExit) {
        *self.exit_seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit.clone());
    }

    fn exit_seen(&self) -> Option<TaskExit> {
        self.exit_seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The task's namespace.
    pub fn namespace(&self) -> &str {
        &self.bundle.namespace
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.bundle.id
    }

    /// The task's directory.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The program it was started from.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// From now on the end of the connection is no accident.
    pub fn expect_end(&self) {
        self.end_expected.store(true, Ordering::Release);
    }

    fn end_is_expected(&self) -> bool {
        self.end_expected.load(Ordering::Acquire)
    }

    /// The task is over and nothing of it is left.
    pub fn mark_settled(&self) {
        self.settled.send_replace(true);
    }

    /// Waits until what a dead shim left is cleaned up.
    pub async fn settled(&self) {
        // The sender lives as long as this shim.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Ends the shim, which holds no container any more: by asking, and when that does not help within
    /// three seconds, by SIGKILL. Answers when its connection is gone.
    ///
    /// # Errors
    /// That it is still there.
    pub async fn shut_down(&self) -> Result<()> {
        self.expect_end();
        let id = self.id().to_owned();
        // The socket's peer is the process that bound it, which with Go's shims has exited: only the
        // shim itself says who it is.
        let asked = self.client.connect_task(&ConnectRequest { id: id.clone() }, Some(SHUTDOWN_TIMEOUT)).await;
        let pidfd =
            asked.ok().filter(|answer| answer.shim_pid > 0).and_then(|answer| PidFd::open(answer.shim_pid).ok());
        // An error means that it is going already, or will be killed.
        let _ = self.client.shutdown(&ShutdownRequest { id: id.clone(), now: false }, Some(SHUTDOWN_TIMEOUT)).await;
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.client.closed()).await.is_ok() {
            return Ok(());
        }
        let Some(pidfd) = pidfd else {
            return Err(Error::internal(format!(
                "the shim of task {id} does not end and did not say which process it is"
            )));
        };
        tracing::warn!(ns = self.namespace(), id, "shim does not end, killing it");
        pidfd.send(Signal::KILL).map_err(|error| Error::io(format!("kill the shim of task {id}"), &error))?;
        let gone = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.client.closed()).await;
        gone.map_err(|_| Error::internal(format!("the shim of task {id} was killed and is still connected")))
    }
}
