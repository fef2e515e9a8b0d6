//! Preparing a snapshot to write to, or a view to read: directories first, then the record.

use std::{collections::HashMap, sync::Arc};

use corten_proto::containerd::{services::snapshots::v1::Info, types::Mount};
use rusqlite::Connection;
use tracing::warn;

use super::{
    Kind,
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

/// Label that asks: is that snapshot there already? (the protocol of remote snapshotters)
const TARGET: &str = "containerd.io/snapshot.ref";

/// What a client asks for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub snapshotter: String,
    pub key: String,
    pub parent: String,
    pub labels: HashMap<String, String>,
    pub kind: Kind,
}

/// Makes the snapshot and answers how to mount it.
///
/// # Errors
/// `AlreadyExists` when the key (or the target a label names) is taken, `NotFound` without the parent.
pub(super) async fn prepare(supervisor: &Arc<Supervisor>, caller: Caller, mut wanted: Wanted) -> Result<Vec<Mount>> {
    supervisor.snapshots.check(&wanted.snapshotter)?;
    if wanted.key.is_empty() {
        return Err(Error::invalid("snapshot key must not be empty"));
    }
    identifier::validate_labels("info.Labels", &wanted.labels)?;
    wanted.labels.retain(|_, value| !value.is_empty());

    let plan = supervisor.metadata.read(|c| Ok(plan(c, &caller.namespace, &wanted)))?;
    let (parent, parents) = match plan {
        Err(Refused::Taken(error, resource)) => {
            let holder = caller.clone();
            let kind = format!("snapshots/{}", wanted.snapshotter);
            let change = move |c: &Connection| leases::join(c, &holder, &kind, &resource);
            if caller.lease.is_some() {
                supervisor.metadata.write(Durability::Relaxed, change).await?;
            }
            return Err(error);
        }
        Err(Refused::Other(error)) => return Err(error),
        Ok(plan) => plan,
    };

    let number = supervisor.snapshots.next_number();
    let (owner, lower, kind) = (supervisor.clone(), parents.clone(), wanted.kind.of_directories());
    let make = move || owner.snapshots.overlay.prepare(number, &lower, kind).map_err(|error| refused(&error));
    let made = crate::blocking(make).await;
    let mounts = supervisor.snapshots.mounts(number, &parents, wanted.kind);
    let recorded = match made {
        Ok(()) => {
            let record = move |c: &Connection| record(c, &caller, &wanted, number, parent);
            supervisor.metadata.write(Durability::Relaxed, record).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = recorded {
        let owner = supervisor.clone();
        let undone = crate::blocking(move || owner.snapshots.overlay.remove(number).map_err(|error| refused(&error)));
        if let Err(error) = undone.await {
            warn!(number, %error, "directories of a failed snapshot are left until the next start");
        }
        return Err(error);
    }
    Ok(mounts)
}

enum Refused {
    /// The key, or the target; the existing snapshot joins the caller's lease.
    Taken(Error, String),
    Other(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Taken(error, _) | Refused::Other(error) => error,
        }
    }
}

type Plan = (Option<u64>, Vec<u64>);

fn plan(connection: &Connection, namespace: &str, wanted: &Wanted) -> Result<Plan, Refused> {
    if let Some(target) = wanted.labels.get(TARGET)
        && records::find(connection, namespace, &wanted.snapshotter, target)?
            .is_some_and(|found| found.kind == Kind::Committed)
    {
        return Err(Refused::Taken(Error::already_exists(format!("target snapshot {target:?}")), target.clone()));
    }
    if records::find(connection, namespace, &wanted.snapshotter, &wanted.key)?.is_some() {
        return Err(Refused::Taken(Error::already_exists(format!("snapshot {:?}", wanted.key)), wanted.key.clone()));
    }
    let parent =
        records::parent(connection, namespace, &wanted.snapshotter, &wanted.parent)?.map(|parent| parent.number);
    Ok((parent, records::chain(connection, parent)?))
}

/// Records what was made, if nothing it stands on went away meanwhile.
fn record(connection: &Connection, caller: &Caller, wanted: &Wanted, number: u64, parent: Option<u64>) -> Result<()> {
    let found = records::parent(connection, &caller.namespace, &wanted.snapshotter, &wanted.parent)?;
    if found.map(|found| found.number) != parent {
        return Err(Error::not_found(format!("parent snapshot {} does not exist", wanted.parent)));
    }
    leases::join(connection, caller, &format!("snapshots/{}", wanted.snapshotter), &wanted.key)?;
    let now = Some(moment::now());
    let info = Info {
        name: wanted.key.clone(),
        parent: wanted.parent.clone(),
        kind: wanted.kind.to_wire().into(),
        created_at: now,
        updated_at: now,
        labels: wanted.labels.clone(),
    };
    let snapshot = Snapshot { number, parent, kind: wanted.kind, size: 0, inodes: 0, info };
    match records::insert(connection, &caller.namespace, &wanted.snapshotter, &snapshot)? {
        true => Ok(()),
        false => Err(Error::already_exists(format!("snapshot {:?}", wanted.key))),
    }
}
