//! Removing a snapshot: the record at once, its files behind the answer.

use std::sync::Arc;

use rusqlite::Connection;

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
    supervisor.snapshots.removal.remove_behind(&[number]);
    Ok(())
}
