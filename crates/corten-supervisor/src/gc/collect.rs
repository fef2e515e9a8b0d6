//! Removing what marking did not reach: records in one transaction, then files.

use std::{sync::Arc, time::SystemTime};

use corten_proto::containerd::events::{ContentDelete, SnapshotRemove};
use rusqlite::{Connection, OptionalExtension};
use tracing::{info, warn};

use super::mark::{Garbage, mark};
use crate::{
    Supervisor,
    content::ingest,
    error::{Error, Result},
    leases,
    metadata::{Durability, records},
    snapshots,
};

/// One collection.
///
/// # Errors
/// The database's, or a record that does not decode.
pub(super) async fn collect(supervisor: &Arc<Supervisor>) -> Result<()> {
    let marking = supervisor.clone();
    let first = crate::blocking(move || {
        let connection = marking.metadata.snapshot()?;
        connection.execute_batch("BEGIN")?;
        mark(&connection, SystemTime::now())
    });
    if !first.await?.is_empty() {
        let change = |c: &Connection| {
            let garbage = mark(c, SystemTime::now())?;
            forget(c, &garbage)?;
            Ok(garbage)
        };
        let garbage = supervisor.metadata.write(Durability::Relaxed, change).await?;
        announce(supervisor, &garbage);
        let owner = supervisor.clone();
        crate::blocking(move || remove_files(&owner, &garbage)).await?;
    }
    remove_abandoned_ingests(supervisor).await?;
    let owner = supervisor.clone();
    crate::blocking(move || expire_ingests(&owner)).await
}

/// Those whose lease has ended go at once; one that is still written, at the collection after this.
async fn remove_abandoned_ingests(supervisor: &Arc<Supervisor>) -> Result<()> {
    let abandoned = supervisor.metadata.read(leases::abandoned_ingests)?;
    if abandoned.is_empty() {
        return Ok(());
    }
    let owner = supervisor.clone();
    let remove = move || {
        let mut gone = Vec::new();
        for (namespace, reference) in abandoned {
            let removed = ingest::remove_abandoned(&owner.content, &namespace, &reference);
            if removed.map_err(|error| Error::io(format!("remove ingest {reference}"), &error))? {
                gone.push((namespace, reference));
            } else {
                owner.gc.deleted();
            }
        }
        Ok(gone)
    };
    let gone = crate::blocking(remove).await?;
    let change = move |c: &Connection| {
        let sql = "DELETE FROM lease_resources WHERE namespace = ?1 AND lease = '' AND type = 'ingests' AND id = ?2";
        for (namespace, reference) in &gone {
            c.prepare_cached(sql)?.execute([namespace, reference])?;
        }
        Ok(())
    };
    supervisor.metadata.write(Durability::Relaxed, change).await
}

fn forget(connection: &Connection, garbage: &Garbage) -> Result<()> {
    for (namespace, id) in &garbage.leases {
        records::LEASES.delete(connection, namespace, id)?;
        leases::let_go(connection, namespace, id)?;
    }
    for (namespace, snapshotter, key, number) in &garbage.snapshots {
        snapshots::records::delete(connection, *number)?;
        leases::leave(connection, namespace, &format!("snapshots/{snapshotter}"), key)?;
    }
    for (namespace, digest) in &garbage.content {
        records::BLOBS.delete(connection, namespace, digest)?;
        leases::leave(connection, namespace, "content", digest)?;
    }
    Ok(())
}

fn announce(supervisor: &Supervisor, garbage: &Garbage) {
    for (namespace, snapshotter, key, _) in &garbage.snapshots {
        let event = SnapshotRemove { key: key.clone(), snapshotter: snapshotter.clone() };
        supervisor.events.publish(namespace, "/snapshot/remove", &event);
    }
    for (namespace, digest) in &garbage.content {
        supervisor.events.publish(namespace, "/content/delete", &ContentDelete { digest: digest.clone() });
    }
}

fn remove_files(supervisor: &Supervisor, garbage: &Garbage) -> Result<()> {
    let numbers: Vec<u64> = garbage.snapshots.iter().map(|(_, _, _, number)| *number).collect();
    supervisor.snapshots.removal.remove_behind(&numbers);
    for (_, digest) in &garbage.content {
        remove_blob(supervisor, digest)?;
    }
    let (blobs, snapshots, leases) = (garbage.content.len(), garbage.snapshots.len(), garbage.leases.len());
    info!(blobs, snapshots, leases, "collected garbage");
    Ok(())
}

/// Removes the file of a blob that no namespace has any more.
fn remove_blob(supervisor: &Supervisor, digest: &str) -> Result<bool> {
    let named = || {
        supervisor.metadata.read(|c| Ok(c.prepare_cached("SELECT 1 FROM blobs WHERE digest = ?1")?.exists([digest])?))
    };
    supervisor.content.remove_unless(digest, named)
}

fn expire_ingests(supervisor: &Supervisor) -> Result<()> {
    let leased = |namespace: &str, reference: &str| {
        let held = supervisor.metadata.read(|c| {
            let sql =
                "SELECT 1 FROM lease_resources WHERE namespace = ?1 AND type = 'ingests' AND id = ?2 AND lease <> ''";
            Ok(c.prepare_cached(sql)?.exists([namespace, reference])?)
        });
        // Not knowing is no reason to remove.
        held.unwrap_or(true)
    };
    ingest::remove_expired(&supervisor.content, leased).map_err(|error| Error::io("remove expired ingests", &error))?;
    Ok(())
}

/// At the start: removes files that no record names, which a kill left between file and record. Not
/// after a database was set aside: then they are somebody's data.
pub fn remove_orphans(supervisor: &Supervisor) {
    let set_aside = supervisor.metadata.read(|c| {
        Ok(c.query_row("SELECT 1 FROM facts WHERE name = 'set_aside'", [], |_| Ok(())).optional()?.is_some())
    });
    match set_aside {
        Ok(false) => {}
        Ok(true) => {
            warn!("a database was set aside here: files no record names are left alone");
            return;
        }
        Err(error) => {
            warn!(%error, "files no record names are left alone");
            return;
        }
    }
    if let Err(error) = snapshots::remove_orphans(supervisor) {
        warn!(%error, "snapshot directories no record names are left");
    }
    let digests = supervisor.content.on_disk().unwrap_or_default();
    for digest in digests {
        match remove_blob(supervisor, &digest) {
            Ok(true) => info!(digest, "removed a blob no record names"),
            Ok(false) => {}
            Err(error) => warn!(digest, %error, "a blob no record names is left"),
        }
    }
}
