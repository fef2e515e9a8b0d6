//! Removing a snapshot: the record at once, the directories behind the answer.

use std::sync::Arc;

use rusqlite::Connection;
use tracing::warn;

use super::records;
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

/// Removes the directories of snapshots that no record names any more; blocks.
pub(crate) fn remove_directories(supervisor: &Supervisor, numbers: &[u64]) {
    for &number in numbers {
        if let Err(error) = supervisor.snapshots.overlay.remove(number) {
            warn!(number, %error, "directories of a removed snapshot are left until the next start");
        }
    }
}
