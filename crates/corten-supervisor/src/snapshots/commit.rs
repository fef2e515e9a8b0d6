//! Committing: an active snapshot becomes a layer that others may stand on.

use std::{collections::HashMap, sync::Arc};

use rusqlite::Connection;

use super::{
    Kind, list,
    records::{self, Snapshot},
    refused,
};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result},
    identifier, leases,
    metadata::Durability,
    moment,
};

/// Renames the active snapshot `key` to `name` and freezes it. Its files are on disk before the
/// record is: both by the next durable commit, which an image's record is.
///
/// # Errors
/// `AlreadyExists` when the name is taken, `NotFound` without the key, `FailedPrecondition` when it
/// is not active.
pub(super) async fn commit(
    supervisor: &Arc<Supervisor>,
    caller: Caller,
    snapshotter: String,
    key: String,
    name: String,
    mut labels: HashMap<String, String>,
) -> Result<()> {
    supervisor.snapshots.check(&snapshotter)?;
    if name.is_empty() {
        return Err(Error::invalid("snapshot name must not be empty"));
    }
    identifier::validate_labels("info.Labels", &labels)?;
    labels.retain(|_, value| !value.is_empty());

    let number = supervisor.metadata.read(|c| committable(c, &caller, &snapshotter, &key, &name))?.number;
    let owner = supervisor.clone();
    let usage = crate::blocking(move || {
        let overlay = &owner.snapshots.overlay;
        overlay.usage(number).and_then(|usage| overlay.commit(number).map(|()| usage)).map_err(|error| refused(&error))
    })
    .await?;

    let boot = supervisor.snapshots.boot.clone();
    let change = move |c: &Connection| {
        let mut snapshot = committable(c, &caller, &snapshotter, &key, &name)?;
        if snapshot.number != number {
            return Err(records::missing(&key));
        }
        let kind = format!("snapshots/{snapshotter}");
        leases::leave(c, &caller.namespace, &kind, &key)?;
        leases::join(c, &caller, &kind, &name)?;
        (snapshot.kind, (snapshot.size, snapshot.inodes)) = (Kind::Committed, list::counts(usage));
        let now = Some(moment::now());
        let info = &mut snapshot.info;
        (info.name, info.kind, info.labels) = (name, Kind::Committed.to_wire().into(), labels);
        (info.created_at, info.updated_at) = (now, now);
        records::replace(c, &snapshot)?;
        records::await_sync(c, number, &boot)
    };
    supervisor.metadata.write(Durability::Relaxed, change).await?;
    supervisor.metadata.files_await_sync();
    Ok(())
}

fn committable(connection: &Connection, caller: &Caller, snapshotter: &str, key: &str, name: &str) -> Result<Snapshot> {
    if records::find(connection, &caller.namespace, snapshotter, name)?.is_some() {
        return Err(Error::already_exists(format!("snapshot {name:?}")));
    }
    let snapshot = records::get(connection, &caller.namespace, snapshotter, key)?;
    match snapshot.kind {
        Kind::Active => Ok(snapshot),
        Kind::View | Kind::Committed => Err(Error::precondition(format!("snapshot {key} is not active"))),
    }
}
