//! Committing: an active snapshot becomes a layer that others may stand on.

use std::{collections::HashMap, sync::Arc};

use corten_containerd_api::LAYER_LABEL;
use rusqlite::Connection;

use super::{
    Kind,
    durability::sync_behind,
    list,
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

/// What a client finishes.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub snapshotter: String,
    pub key: String,
    pub name: String,
    /// What it is to stand on although it was prepared without a parent; empty to leave it as it is.
    pub parent: String,
    pub labels: HashMap<String, String>,
}

/// Renames the active snapshot to its name and freezes it, on top of `parent` where one is given (containerd 2.2's
/// "rebase").
///
/// Its files are on disk before the record is, both by the next durable commit, which an image's record is; but when
/// a label names the blob it was unpacked from, they are written behind the answer, and made again from that blob
/// should a power cut come before.
///
/// # Errors
/// `AlreadyExists` when the name is taken, `NotFound` without the key or the parent, `FailedPrecondition` when it is
/// not active, or has a parent already.
pub(super) async fn commit(supervisor: &Arc<Supervisor>, caller: Caller, mut finished: Finished) -> Result<()> {
    supervisor.snapshots.check(&finished.snapshotter)?;
    if finished.name.is_empty() {
        return Err(Error::invalid("snapshot name must not be empty"));
    }
    identifier::validate_labels("info.Labels", &finished.labels)?;
    finished.labels.retain(|_, value| !value.is_empty());

    let (snapshot, onto) = supervisor.metadata.read(|c| committable(c, &caller.namespace, &finished))?;
    let (number, below) = (snapshot.number, onto.map(|onto| onto.number));
    let owner = supervisor.clone();
    let usage = crate::blocking(move || {
        let overlay = &owner.snapshots.overlay;
        let stand = below.map_or(Ok(()), |below| overlay.stand_on(number, below));
        let done = stand.and_then(|()| overlay.usage(number));
        done.and_then(|usage| overlay.commit(number).map(|()| usage)).map_err(|error| refused(&error))
    })
    .await?;

    let boot = supervisor.snapshots.boot.clone();
    let is_made_again = finished.labels.contains_key(LAYER_LABEL);
    let change = move |c: &Connection| {
        let (mut snapshot, onto) = committable(c, &caller.namespace, &finished)?;
        if snapshot.number != number || onto.as_ref().map(|onto| onto.number) != below {
            return Err(records::missing(&finished.key));
        }
        let Finished { snapshotter, key, name, parent, labels } = finished;
        let kind = format!("snapshots/{snapshotter}");
        leases::leave(c, &caller.namespace, &kind, &key)?;
        leases::join(c, &caller, &kind, &name)?;
        (snapshot.kind, (snapshot.size, snapshot.inodes)) = (Kind::Committed, list::counts(usage));
        let now = Some(moment::now());
        if let Some(onto) = onto {
            snapshot.parent = Some(onto.number);
            snapshot.info.parent = parent;
        }
        let info = &mut snapshot.info;
        (info.name, info.kind, info.labels) = (name, Kind::Committed.to_wire().into(), labels);
        (info.created_at, info.updated_at) = (now, now);
        records::replace(c, &snapshot)?;
        records::await_sync(c, number, &boot)
    };
    supervisor.metadata.write(Durability::Relaxed, change).await?;
    match is_made_again {
        true => sync_behind(supervisor),
        false => supervisor.metadata.files_await_sync(),
    }
    Ok(())
}

fn committable(connection: &Connection, namespace: &str, finished: &Finished) -> Result<(Snapshot, Option<Snapshot>)> {
    let Finished { snapshotter, key, name, parent, .. } = finished;
    if records::find(connection, namespace, snapshotter, name)?.is_some() {
        return Err(Error::already_exists(format!("snapshot {name:?}")));
    }
    let snapshot = records::get(connection, namespace, snapshotter, key)?;
    match snapshot.kind {
        Kind::Active => {}
        Kind::View | Kind::Committed => return Err(Error::precondition(format!("snapshot {key} is not active"))),
    }
    let onto = records::parent(connection, namespace, snapshotter, parent)?;
    if onto.is_some() && snapshot.parent.is_some() {
        return Err(Error::precondition(format!("snapshot {key} has a parent already")));
    }
    Ok((snapshot, onto))
}
