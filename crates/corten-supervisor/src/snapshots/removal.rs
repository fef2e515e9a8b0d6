//! Files of removed snapshots: out of the way at once, removed behind every answer.
//!
//! One thread removes one tree after another: a hundred thousand files take seconds, minutes on a disk that is told of
//! each block that becomes free, and several threads would fight over the same journal. What a kill leaves waits under
//! names of its own, and the next start goes on with it.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use corten_snapshots::Overlay;
use tracing::warn;

use crate::Supervisor;

/// The queue, and the thread that works on it while it is not empty.
#[derive(Debug)]
pub(crate) struct Removal {
    overlay: Overlay,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// At most what there were snapshots.
    doomed: VecDeque<String>,
    running: Option<JoinHandle<()>>,
    /// Layers that are being applied.
    applying: usize,
    /// What waits for one of them: the client that asked for it died and its lease with it, so the snapshot was
    /// collected, but the writing goes on and fills the directories while they are removed.
    waiting: Vec<String>,
}

impl Removal {
    pub(super) fn of(overlay: Overlay) -> Arc<Self> {
        Arc::new(Self { overlay, state: Mutex::default() })
    }

    /// Names and counts are whole whenever they can be seen, also after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the directories of snapshots that no record names any more out of the way, and has their files removed.
    pub(crate) fn remove_behind(self: &Arc<Self>, numbers: &[u64]) {
        let mut doomed = Vec::new();
        for &number in numbers {
            match self.overlay.doom(number) {
                Ok(name) => doomed.extend(name),
                Err(error) => warn!(number, %error, "directories of a removed snapshot are left until the next start"),
            }
        }
        self.clear_behind(doomed);
    }

    /// Has the files of `doomed` removed.
    pub(super) fn clear_behind(self: &Arc<Self>, doomed: Vec<String>) {
        let mut state = self.lock();
        state.doomed.extend(doomed);
        if state.running.is_some() || state.doomed.is_empty() {
            return;
        }
        let own = self.clone();
        match thread::Builder::new().name("removal".to_owned()).spawn(move || own.run()) {
            Ok(thread) => state.running = Some(thread),
            Err(error) => warn!(%error, "files of removed snapshots are left until the next removal"),
        }
    }

    fn run(&self) {
        loop {
            let mut state = self.lock();
            let Some(doomed) = state.doomed.pop_front() else {
                state.running = None;
                return;
            };
            drop(state);
            self.clear(&doomed);
        }
    }

    fn clear(&self, doomed: &str) {
        // An apply that ended between the failure and the look at it is in the way only once.
        let is_left = self.overlay.clear(doomed).is_err() && !self.keep(doomed);
        if is_left && let Err(error) = self.overlay.clear(doomed) {
            warn!(doomed, %error, "files of a removed snapshot are left until the next start");
        }
    }

    /// Notes what could not be removed; whether an apply is under way whose end will see to it.
    fn keep(&self, doomed: &str) -> bool {
        let mut state = self.lock();
        if state.applying > 0 {
            state.waiting.push(doomed.to_owned());
        }
        state.applying > 0
    }
}

/// A layer that is being applied. Its end removes what had to wait for it.
#[derive(Debug)]
pub(crate) struct Applying(Arc<Removal>);

impl Applying {
    /// To be held while a layer is written.
    pub(crate) fn begin(supervisor: &Supervisor) -> Self {
        let removal = supervisor.snapshots.removal.clone();
        removal.lock().applying += 1;
        Self(removal)
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.applying -= 1;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        self.0.clear_behind(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Waits for the thread, if it still runs.
    fn join(removal: &Removal) {
        let running = removal.lock().running.take();
        running.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn a_removed_snapshot_is_out_of_the_way_at_once_and_its_files_are_gone_later() {
        let root = tempfile::Builder::new().prefix("corten-removal-").tempdir().unwrap();
        let overlay = Overlay::new(root.path()).unwrap();
        let removal = Removal::of(overlay.clone());
        for number in 1..=3 {
            overlay.prepare(number, &[], corten_snapshots::Kind::Active).unwrap();
            fs::write(overlay.layer(number).join("file"), "data").unwrap();
        }
        removal.remove_behind(&[1, 2, 7]);
        assert!(!overlay.layer(1).exists() && !overlay.layer(2).exists() && overlay.layer(3).exists());
        let names = || fs::read_dir(overlay.root().join("snapshots")).unwrap().count();
        join(&removal);
        assert_eq!(names(), 1);
        // The thread that ended is started again.
        removal.remove_behind(&[3]);
        join(&removal);
        assert_eq!(names(), 0);
    }
}
