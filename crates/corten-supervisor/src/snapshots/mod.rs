//! Snapshots: file systems in layers. What they are called, who their parent is and what labels they
//! carry is metadata (here); the directories, known by number only, are `corten-snapshots`'.
//!
//! A directory exists before its record and outlives it: what a kill leaves between is a directory no
//! record names, which the next start removes.

mod commit;
mod durability;
mod list;
mod prepare;
pub(crate) mod records;
mod removal;
mod remove;
mod service;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use corten_proto::containerd::types::Mount;
use corten_snapshots::{Overlay, OverlayError};
use rusqlite::Connection;
use tracing::info;

pub use self::service::SnapshotsService;
pub(crate) use self::{records::Kind, removal::Applying};
use crate::{
    content,
    error::{Error, Result},
    metadata::Database,
};

/// The one snapshotter offered so far.
pub const OVERLAYFS: &str = "overlayfs";

/// The directories of every snapshotter.
#[derive(Debug)]
pub struct Snapshots {
    overlay: Overlay,
    next: AtomicU64,
    /// Of this boot of the machine.
    boot: String,
    /// Of the files of removed snapshots.
    pub(crate) removal: Arc<removal::Removal>,
    /// Whether files of committed snapshots are going to be synced soon.
    sync_is_coming: AtomicBool,
}

impl Snapshots {
    /// Opens the snapshotters under `root`. Numbers are never given twice, also not those of
    /// directories that a lost database no longer names.
    ///
    /// # Errors
    /// The kernel's, or the database's.
    pub async fn open(root: &Path, state: &Path, metadata: &Database, content: &content::Store) -> Result<Self> {
        let overlay = Overlay::new(root).map_err(|error| refused(&error))?;
        // Also of those whose removal is not done: a number stands for one snapshot for ever.
        let on_disk = overlay.largest().map_err(|error| refused(&error))?;
        let recorded = metadata.read(|c| {
            Ok(c.query_row("SELECT coalesce(max(number), 0) FROM snapshots", [], |row| row.get::<_, i64>(0))?)
        })?;
        let next = on_disk.unwrap_or(0).max(recorded.unsigned_abs()) + 1;
        let boot = durability::this_boot(state).map_err(|error| Error::io("tell this boot from others", &error))?;
        let snapshots = Self {
            removal: removal::Removal::of(overlay.clone()),
            overlay,
            next: AtomicU64::new(next),
            boot,
            sync_is_coming: AtomicBool::new(false),
        };
        snapshots.recover(metadata, content).await?;
        let synced = snapshots.overlay.clone();
        metadata.sync_files_with(move || synced.sync().map_err(|error| refused(&error)));
        Ok(snapshots)
    }

    /// Refuses what is no snapshotter of ours, in containerd's words.
    pub(crate) fn check(&self, snapshotter: &str) -> Result<()> {
        match snapshotter {
            OVERLAYFS => Ok(()),
            "" => Err(Error::invalid("snapshotter argument missing")),
            other => Err(Error::invalid(format!("snapshotter not loaded: {other}"))),
        }
    }

    /// Where the snapshotter keeps its directories.
    pub fn root(&self) -> &Path {
        self.overlay.root()
    }

    fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn mounts(&self, number: u64, parents: &[u64], kind: Kind) -> Vec<Mount> {
        let mounts = self.overlay.mounts(number, parents, kind.of_directories()).into_iter();
        mounts
            .map(|mount| Mount { r#type: mount.kind, source: mount.source, options: mount.options, ..Mount::default() })
            .collect()
    }
}

/// The mounts of the active snapshot or view `key`.
///
/// # Errors
/// `NotFound` when there is none, `FailedPrecondition` when it is committed.
pub(crate) fn mounts(
    snapshots: &Snapshots,
    connection: &Connection,
    namespace: &str,
    snapshotter: &str,
    key: &str,
) -> Result<Vec<Mount>> {
    snapshots.check(snapshotter)?;
    let row = records::get(connection, namespace, snapshotter, key)?;
    if row.kind == Kind::Committed {
        return Err(Error::precondition(format!("requested snapshot {key} not active or view")));
    }
    let parents = records::chain(connection, row.parent)?;
    Ok(snapshots.mounts(row.number, &parents, row.kind))
}

/// An error of the directories, with its causes.
pub(crate) fn refused(error: &OverlayError) -> Error {
    Error::new(error.kind(), corten_types::error::chain(error))
}

/// Before anything is prepared: takes the directories away that no record names, and what a kill left of removals.
pub(crate) fn remove_orphans(supervisor: &crate::Supervisor) -> Result<()> {
    let mut known = std::collections::HashSet::new();
    let note = |_: &str, _: &str, snapshot: records::Snapshot| {
        known.insert(snapshot.number);
    };
    supervisor.metadata.read(|c| records::each_everywhere(c, note))?;
    let doomed = supervisor.snapshots.overlay.doom_unknown(|number| known.contains(&number));
    let doomed = doomed.map_err(|error| refused(&error))?;
    if !doomed.is_empty() {
        info!(removed = doomed.len(), "removing snapshot directories no record names");
    }
    supervisor.snapshots.removal.clear_behind(doomed);
    Ok(())
}
