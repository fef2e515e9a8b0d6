//! One container in memory: a view that readers take without waiting, and a turn that changes take.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use corten_sys::atomic_file::Durability;
use tokio::sync::{Mutex, MutexGuard, RwLock, watch};
use tracing::warn;

use super::record::{FORMAT, Record, State};
use crate::store;

/// One moment of a container. Readers keep it as long as they like.
#[derive(Clone, Debug)]
pub struct View {
    /// What it is.
    pub record: Arc<Record>,
    /// What it does.
    pub state: State,
}

/// What those who wait for a container look at.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// How often it has ended since the engine knows it.
    pub exits: u64,
    /// How it ended last.
    pub exit_code: i64,
    /// Whether it runs or is about to.
    pub running: bool,
    /// Set once it is gone; with the reason when the removal failed.
    pub removed: Option<Result<(), String>>,
}

/// One container.
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    directory: PathBuf,
    view: ArcSwap<View>,
    turn: Mutex<()>,
    lifecycle: watch::Sender<Lifecycle>,
    /// The restart policy's last pause, milliseconds; 0 after a start by somebody.
    back_off_ms: AtomicU64,
    removal_begun: AtomicBool,
    removal_holds: AtomicUsize,
    /// Who uses its file system from outside: copies of a running container's share it, a copy of a stopped one's and a
    /// start have it alone. Taken after the turn, by who takes both.
    pub tree: RwLock<()>,
    /// Clients that attached before the start; [`crate::attach`] hands them to the shim.
    pub parked: crate::attach::Parked,
}

impl Container {
    /// A container whose files are in `directory`.
    pub fn new(record: Record, state: State, directory: PathBuf) -> Self {
        let lifecycle = Lifecycle { running: state.running, exit_code: state.exit_code, ..Lifecycle::default() };
        Self {
            id: record.id.clone(),
            directory,
            view: ArcSwap::from_pointee(View { record: Arc::new(record), state }),
            turn: Mutex::default(),
            lifecycle: watch::Sender::new(lifecycle),
            back_off_ms: AtomicU64::new(0),
            removal_begun: AtomicBool::new(false),
            removal_holds: AtomicUsize::new(0),
            tree: RwLock::default(),
            parked: crate::attach::Parked::default(),
        }
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it is and does right now; never waits.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Waits until nobody else changes it.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { container: self, _guard: self.turn.lock().await }
    }

    /// The turn, when nobody else has it.
    pub fn try_turn(&self) -> Option<Turn<'_>> {
        Some(Turn { container: self, _guard: self.turn.try_lock().ok()? })
    }

    /// The restart policy's last pause; none after a start by somebody.
    pub fn back_off(&self) -> Option<Duration> {
        Some(self.back_off_ms.load(Ordering::Relaxed)).filter(|millis| *millis != 0).map(Duration::from_millis)
    }

    /// Remembers the restart policy's pause.
    pub fn set_back_off(&self, pause: Duration) {
        self.back_off_ms.store(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Somebody starts it: the policy begins anew.
    pub fn reset_back_off(&self) {
        self.back_off_ms.store(0, Ordering::Relaxed);
    }

    /// Claims the removal; answers whether somebody else has it.
    pub fn begin_removal(&self) -> bool {
        self.removal_begun.swap(true, Ordering::AcqRel)
    }

    /// Gives the removal back: it was refused or failed.
    pub fn give_up_removal(&self) {
        self.removal_begun.store(false, Ordering::Release);
    }

    /// Keeps an end from removing the container, as long as the answer lives: a restart by hand.
    pub fn hold_removal(&self) -> RemovalHold<'_> {
        self.removal_holds.fetch_add(1, Ordering::AcqRel);
        RemovalHold(self)
    }

    /// Whether somebody holds the removal.
    pub fn is_removal_held(&self) -> bool {
        self.removal_holds.load(Ordering::Acquire) > 0
    }

    /// What those who wait look at.
    pub fn lifecycle(&self) -> watch::Receiver<Lifecycle> {
        self.lifecycle.subscribe()
    }
}

/// Keeps an end from removing a container.
pub struct RemovalHold<'a>(&'a Container);

impl Drop for RemovalHold<'_> {
    fn drop(&mut self) {
        self.0.removal_holds.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to change a container.
pub struct Turn<'a> {
    container: &'a Container,
    _guard: MutexGuard<'a, ()>,
}

impl std::ops::Deref for Turn<'_> {
    type Target = Container;

    fn deref(&self) -> &Container {
        self.container
    }
}

impl Turn<'_> {
    /// Changes the state, writes it down and shows it to readers.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        let view = self.view();
        let mut state = view.state.clone();
        change(&mut state);
        state.format = FORMAT;
        if let Err(error) = store::save_state(&self.directory, &state) {
            // The state is a hint: after a restart the task itself is asked.
            warn!(id = self.id, %error, "write the container's state");
        }
        let (running, exit_code) = (state.running, state.exit_code);
        self.container.view.store(Arc::new(View { record: Arc::clone(&view.record), state }));
        self.container.lifecycle.send_if_modified(|lifecycle| {
            let changed = lifecycle.running != running;
            lifecycle.running = running;
            lifecycle.exit_code = exit_code;
            changed
        });
    }

    /// Writes a state down that readers do not see yet: for what must be known after a crash.
    pub fn write_down(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.view().state.clone();
        change(&mut state);
        state.format = FORMAT;
        if let Err(error) = store::save_state(&self.directory, &state) {
            warn!(id = self.id, %error, "write the container's state");
        }
    }

    /// Tells those who wait that its init has ended. The state was changed before.
    pub fn announce_exit(&self) {
        self.container.lifecycle.send_modify(|lifecycle| lifecycle.exits += 1);
    }

    /// Tells those who wait that it is gone, or why it is not.
    pub fn announce_removal(&self, outcome: Result<(), String>) {
        self.container.lifecycle.send_modify(|lifecycle| {
            lifecycle.running = false;
            lifecycle.removed = Some(outcome);
        });
    }

    /// Replaces the record: on disk, synced, then for readers.
    ///
    /// # Errors
    /// Those of writing the file; nothing has changed then.
    pub fn replace_record(&self, record: Record) -> std::io::Result<()> {
        store::save_record(&self.directory, &record, Durability::PowerCut)?;
        let state = self.view().state.clone();
        self.container.view.store(Arc::new(View { record: Arc::new(record), state }));
        Ok(())
    }
}
