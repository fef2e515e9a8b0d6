//! What of the snapshots is on the disk, and what a power cut took.
//!
//! A committed snapshot's record carries the boot in which it was made until its files were synced. One that names the
//! blob it was unpacked from is synced behind the answer: its image is acknowledged once its blobs are on the disk.
//! A start in another boot believes no such snapshot: it is unpacked again from its blob, or forgotten.

use std::{collections::BTreeMap, fs, io, path::Path, sync::Arc, time::Duration};

use corten_containerd_api::LAYER_LABEL;
use corten_layers::Target;
use corten_snapshots::Overlay;
use rusqlite::Connection;
use tracing::{info, warn};

use super::{Snapshots, records, refused};
use crate::{
    Supervisor, content,
    error::{Error, Result},
    metadata::{Database, Durability},
};

/// How long after a snapshot's commit its files are synced: the layers of one image, and those of the next, share it,
/// and what the kernel wrote meanwhile costs nothing.
const BEHIND: Duration = Duration::from_secs(2);

/// What tells this boot of the machine from every other: the kernel's id of it, and a file in the state directory, which
/// does not outlive it either; a virtual machine that is put back to an earlier state keeps the id.
pub(super) fn this_boot(state: &Path) -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let path = state.join("boot");
    let mark = match fs::read_to_string(&path) {
        Ok(mark) if !mark.is_empty() => mark,
        Ok(_) => new_mark(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_mark(&path)?,
        Err(error) => return Err(error),
    };
    Ok(format!("{} {}", id.trim(), mark.trim()))
}

fn new_mark(path: &Path) -> io::Result<String> {
    let mark = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, &mark)?;
    Ok(mark)
}

/// Syncs the files of the snapshots committed so far a little later, and then says so in their records.
pub(super) fn sync_behind(supervisor: &Arc<Supervisor>) {
    use std::sync::atomic::Ordering;
    if supervisor.snapshots.sync_is_coming.swap(true, Ordering::AcqRel) {
        return;
    }
    let supervisor = supervisor.clone();
    tokio::spawn(async move {
        tokio::time::sleep(BEHIND).await;
        supervisor.snapshots.sync_is_coming.store(false, Ordering::Release);
        if let Err(error) = sync(&supervisor).await {
            // The records go on saying so; the next durable commit or the next layer tries again.
            warn!(%error, "files of unpacked layers are not on disk yet");
            supervisor.metadata.files_await_sync();
        }
    });
}

async fn sync(supervisor: &Arc<Supervisor>) -> Result<()> {
    // Looked up first: what is committed while the sync runs may not be part of it.
    let numbers = supervisor.metadata.read(records::unsynced)?;
    if numbers.is_empty() {
        return Ok(());
    }
    let overlay = supervisor.snapshots.overlay.clone();
    crate::blocking(move || overlay.sync().map_err(|error| refused(&error))).await?;
    let change = move |c: &Connection| records::are_synced(c, &numbers);
    supervisor.metadata.write(Durability::Relaxed, change).await
}

impl Snapshots {
    /// After a power cut: unpacks again what was not on disk, forgets what cannot be, and makes the directories again
    /// of those to be written that were lost.
    pub(super) async fn recover(&self, metadata: &Database, content: &content::Store) -> Result<()> {
        let lost = metadata.read(|c| records::lost(c, &self.boot))?;
        if !lost.is_empty() {
            self.make_again(metadata, content, lost).await?;
        }
        if !metadata.read(records::unsynced)?.is_empty() {
            metadata.files_await_sync();
        }
        let mut missing = Vec::new();
        metadata.read(|c| {
            records::each_everywhere(c, |_, _, snapshot| {
                if snapshot.kind != super::Kind::Committed && !self.overlay.layer(snapshot.number).is_dir() {
                    missing.push(snapshot);
                }
            })
        })?;
        for snapshot in missing {
            let parents = metadata.read(|c| records::chain(c, snapshot.parent))?;
            let made = self.overlay.prepare(snapshot.number, &parents, snapshot.kind.of_directories());
            let (key, number) = (snapshot.info.name, snapshot.number);
            match made {
                Ok(()) => warn!(key, number, "the directories of a snapshot were lost and made again, empty"),
                Err(error) => warn!(key, number, %error, "the directories of a snapshot are lost"),
            }
        }
        Ok(())
    }

    /// Unpacks the snapshots `lost` again, those below first; those that cannot be are forgotten with what stands on
    /// them.
    async fn make_again(
        &self,
        metadata: &Database,
        content: &content::Store,
        lost: Vec<records::Snapshot>,
    ) -> Result<()> {
        let mut todo: BTreeMap<usize, Vec<records::Snapshot>> = BTreeMap::new();
        for snapshot in lost {
            let depth = metadata.read(|c| records::chain(c, snapshot.parent))?.len();
            todo.entry(depth).or_default().push(snapshot);
        }
        let mut made = Vec::new();
        for snapshot in todo.into_values().flatten() {
            let number = snapshot.number;
            // Forgotten by now if what it stood on was.
            if !metadata.read(|c| records::is_there(c, number))? {
                continue;
            }
            let parents = metadata.read(|c| records::chain(c, snapshot.parent))?;
            let again = unpack_again(&self.overlay, content, &snapshot, &parents);
            let key = &snapshot.info.name;
            match again {
                Ok(()) => {
                    info!(key, number, "a layer was not on disk when the machine went down, and unpacked again");
                    made.push(number);
                }
                Err(error) => {
                    let forget = move |c: &Connection| records::forget(c, number);
                    let forgotten = metadata.write(Durability::Relaxed, forget).await?;
                    warn!(key, number, forgotten, %error, "a snapshot was not on disk when the machine went down");
                }
            }
        }
        self.overlay.sync().map_err(|error| refused(&error))?;
        metadata.write(Durability::Relaxed, move |c| records::are_synced(c, &made)).await
    }
}

fn unpack_again(
    overlay: &Overlay,
    content: &content::Store,
    snapshot: &records::Snapshot,
    parents: &[u64],
) -> Result<()> {
    let digest = snapshot.info.labels.get(LAYER_LABEL).ok_or_else(|| Error::not_found("blob it was made from"))?;
    content::check_digest(digest)?;
    let blob = content.open_blob(digest)?;
    let number = snapshot.number;
    overlay.prepare(number, parents, corten_snapshots::Kind::Active).map_err(|error| refused(&error))?;
    let lowers = parents.iter().map(|parent| overlay.layer(*parent)).collect();
    let target = Target::overlay(overlay.layer(number), lowers);
    let applied = corten_layers::apply(blob, &target)
        .map_err(|error| Error::new(error.kind(), corten_types::error::chain(&error)))?;
    if applied.compressed.as_str() != digest.as_str() {
        return Err(Error::precondition(format!("blob {digest} on disk has digest {}", applied.compressed)));
    }
    overlay.commit(number).map_err(|error| refused(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshots::Kind;
    use corten_layers::writer::Writer;
    use corten_proto::containerd::services::snapshots::v1::Info;

    fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = Writer::new(Vec::new());
        for (name, data) in entries {
            tar.append_bytes(name, 0o644, data.as_bytes()).unwrap();
        }
        tar.finish().unwrap()
    }

    /// A blob in the store, and its digest.
    fn blob(root: &Path, content: &content::Store, data: &[u8]) -> String {
        use sha2::Digest;
        let digest = crate::content::sha256_text(sha2::Sha256::new_with_prefix(data));
        let path = root.join("blob");
        fs::write(&path, data).unwrap();
        content.adopt(&path, &digest).unwrap();
        digest
    }

    #[tokio::test]
    async fn what_a_cut_took_is_unpacked_again_from_its_blob_or_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state");
        let metadata = Database::open(root.path()).unwrap();
        let content = content::Store::open(root.path()).unwrap();
        let first = blob(root.path(), &content, &layer(&[("kept", "whole"), ("hidden", "x")]));
        let second = blob(root.path(), &content, &layer(&[(".wh.hidden", ""), ("new", "n")]));
        let missing = format!("sha256:{}", "0".repeat(64));
        let snapshots = Snapshots::open(root.path(), &state, &metadata, &content).await.unwrap();
        for (number, parent, digest) in
            [(1, None, Some(&first)), (2, Some(1), Some(&second)), (3, Some(2), Some(&missing)), (4, Some(3), None)]
        {
            let labels = digest.map(|digest| (LAYER_LABEL.to_owned(), digest.clone())).into_iter().collect();
            let info = Info { name: format!("s{number}"), labels, ..Info::default() };
            let record = records::Snapshot { number, parent, kind: Kind::Committed, size: 0, inodes: 0, info };
            let insert = move |c: &Connection| {
                records::insert(c, "n", "overlayfs", &record)?;
                records::await_sync(c, number, "another boot")
            };
            metadata.write(Durability::Relaxed, insert).await.unwrap();
            // A file without its data, as a cut leaves it.
            snapshots.overlay.prepare(number, &[], corten_snapshots::Kind::Active).unwrap();
            fs::write(snapshots.overlay.layer(number).join("kept"), "").unwrap();
        }

        let snapshots = Snapshots::open(root.path(), &state, &metadata, &content).await.unwrap();

        let kept = |number| fs::read_to_string(snapshots.overlay.layer(number).join("kept"));
        assert_eq!(kept(1).unwrap(), "whole");
        assert!(kept(2).is_err());
        assert_eq!(fs::read_to_string(snapshots.overlay.layer(2).join("new")).unwrap(), "n");
        use std::os::unix::fs::FileTypeExt;
        let whiteout = fs::symlink_metadata(snapshots.overlay.layer(2).join("hidden")).unwrap();
        assert!(whiteout.file_type().is_char_device());
        let there = |number| metadata.read(|c| records::is_there(c, number)).unwrap();
        assert_eq!([there(1), there(2), there(3), there(4)], [true, true, false, false]);
        assert_eq!(metadata.read(records::unsynced).unwrap(), Vec::<u64>::new());
        // The same boot goes on believing what it made.
        assert_eq!(this_boot(&state).unwrap(), snapshots.boot);
    }
}
