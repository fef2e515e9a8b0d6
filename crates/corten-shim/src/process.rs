//! One process of a container: its init process, or an exec.
//!
//! ```text
//! Created ──start──> Running ──exit──> Stopped
//!    └────────────────exit───────────────┘        (killed before it was started)
//! ```

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use corten_types::TaskStatus;
use tokio::sync::watch;

use crate::{
    exit_file::Exit,
    hub::{ChildEnds, StdioNames, Streams},
    reaper::Child,
};

/// A process.
#[derive(Debug)]
pub struct Process {
    /// The exec's id; empty for init.
    pub id: String,
    /// The names its streams were requested with.
    pub stdio: StdioNames,
    /// What is run, for an exec: OCI process JSON.
    pub spec: Vec<u8>,
    /// Held while a start is under way, until its event is queued: the exit is announced after it.
    pub starting: tokio::sync::Mutex<()>,
    /// Held while a delete is under way.
    pub deleting: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    exit: watch::Sender<Option<Exit>>,
}

#[derive(Debug, Default)]
struct State {
    is_started: bool,
    child: Option<Arc<Child>>,
    streams: Option<Arc<Streams>>,
    terminal: Option<Arc<OwnedFd>>,
    child_ends: Option<ChildEnds>,
}

impl Process {
    /// A process that does not run yet.
    pub fn new(id: &str, stdio: StdioNames, spec: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            stdio,
            spec,
            starting: tokio::sync::Mutex::new(()),
            deleting: tokio::sync::Mutex::new(()),
            state: Mutex::default(),
            exit: watch::channel(None).0,
        })
    }

    /// Gives the process its streams.
    pub fn set_streams(&self, streams: Streams, terminal: Option<OwnedFd>) {
        let mut state = self.lock();
        state.streams = Some(Arc::new(streams));
        state.terminal = terminal.map(Arc::new);
    }

    /// Gives the process its terminal.
    pub fn set_terminal(&self, terminal: Option<OwnedFd>) {
        self.lock().terminal = terminal.map(Arc::new);
    }

    /// Keeps the ends for an exec that is started later.
    pub fn set_child_ends(&self, ends: ChildEnds) {
        self.lock().child_ends = Some(ends);
    }

    /// The ends for the runtime, once.
    pub fn take_child_ends(&self) -> Option<ChildEnds> {
        self.lock().child_ends.take()
    }

    /// Its streams, while they are open.
    pub fn streams(&self) -> Option<Arc<Streams>> {
        self.lock().streams.clone()
    }

    /// The master end of its terminal.
    pub fn terminal(&self) -> Option<Arc<OwnedFd>> {
        self.lock().terminal.clone()
    }

    /// Lets go of the streams: what is open of them is closed.
    pub fn close_streams(&self) {
        let mut state = self.lock();
        state.streams = None;
        state.terminal = None;
        state.child_ends = None;
    }

    /// Says which child this is.
    pub fn set_child(&self, child: Arc<Child>) {
        self.lock().child = Some(child);
    }

    /// The child, while it lives or waits to be reaped.
    pub fn child(&self) -> Option<Arc<Child>> {
        if self.exit().is_some() { None } else { self.lock().child.clone() }
    }

    /// Its pid; 0 before there is one.
    pub fn pid(&self) -> u32 {
        self.lock().child.as_ref().map_or(0, |child| child.pid)
    }

    /// Says that it runs.
    pub fn set_started(&self) {
        self.lock().is_started = true;
    }

    /// What it is doing; pausing concerns the container.
    pub fn status(&self) -> TaskStatus {
        if self.exit().is_some() {
            TaskStatus::Stopped
        } else if self.lock().is_started {
            TaskStatus::Running
        } else {
            TaskStatus::Created
        }
    }

    /// How it ended, once it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Records the end; whoever waits learns it.
    pub fn set_exit(&self, exit: Exit) {
        // The hub has a descriptor of its own and reads what is left.
        self.lock().terminal = None;
        self.exit.send_replace(Some(exit));
    }

    /// Waits for the end.
    pub async fn wait(&self) -> Option<Exit> {
        let mut exit = self.exit.subscribe();
        // The sender lives as long as `self`.
        exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit)
    }

    /// The state stays whole when a holder panics: each critical section is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
