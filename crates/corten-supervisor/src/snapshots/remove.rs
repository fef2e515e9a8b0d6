//! Removing a snapshot: the record at once, the directories behind the answer.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;
use tracing::warn;

use super::{Snapshots, records};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result},
    leases,
    metadata::Durability,
};

/// Removes the snapshot `key`, which must have no child.
///
/// # Errors
/// `NotFound`, or `FailedPrecondition` while another snapshot stands on it.
pub(super) async fn remove(
    supervisor: &Arc<Supervisor>,
    caller: Caller,
    snapshotter: String,
    key: String,
) -> Result<()> {
    supervisor.snapshots.check(&snapshotter)?;
    let change = move |c: &Connection| {
        let snapshot = records::get(c, &caller.namespace, &snapshotter, &key)?;
        if records::has_child(c, snapshot.number)? {
            return Err(Error::precondition("cannot remove snapshot with child"));
        }
        records::delete(c, snapshot.number)?;
        leases::leave(c, &caller.namespace, &format!("snapshots/{snapshotter}"), &key)?;
        Ok(snapshot.number)
    };
    let number = supervisor.metadata.write(Durability::Relaxed, change).await?;
    let owner = supervisor.clone();
    // A tree of a hundred thousand files takes seconds; what a kill leaves, the next start removes.
    tokio::task::spawn_blocking(move || remove_directories(&owner, &[number]));
    Ok(())
}

/// Removals that wait for a layer being applied: the client that asked for it died and its lease with it, so the
/// snapshot was collected, but the writing goes on and fills the directories while they are removed.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    applying: usize,
    numbers: Vec<u64>,
}

impl Waiting {
    /// Notes a directory that could not be removed; whether an apply is under way whose end will see to it.
    fn keep(&self, number: u64) -> bool {
        let mut state = self.lock();
        if state.applying > 0 {
            state.numbers.push(number);
        }
        state.applying > 0
    }

    /// Numbers and a count are whole whenever they can be seen, also after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A layer that is being applied. Its end removes what had to wait for it.
#[derive(Debug)]
pub(crate) struct Applying<'s>(&'s Supervisor);

impl<'s> Applying<'s> {
    /// To be held while a layer is written.
    pub(crate) fn begin(supervisor: &'s Supervisor) -> Self {
        supervisor.snapshots.waiting.lock().applying += 1;
        Self(supervisor)
    }
}

impl Drop for Applying<'_> {
    fn drop(&mut self) {
        let mut state = self.0.snapshots.waiting.lock();
        state.applying -= 1;
        let numbers = mem::take(&mut state.numbers);
        drop(state);
        remove_directories(self.0, &numbers);
    }
}

/// Removes the directories of snapshots that no record names any more; blocks.
pub(crate) fn remove_directories(supervisor: &Supervisor, numbers: &[u64]) {
    let Snapshots { overlay, waiting, .. } = &supervisor.snapshots;
    for &number in numbers {
        // An apply that ended between the failure and the look at it is in the way only once.
        let left = overlay.remove(number).is_err() && !waiting.keep(number);
        if left && let Err(error) = overlay.remove(number) {
            warn!(number, %error, "directories of a removed snapshot are left until the next start");
        }
    }
}
