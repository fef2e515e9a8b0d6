//! Takes a container's root filesystem away.

use corten_proto::containerd::services::snapshots::v1::RemoveSnapshotRequest;
use corten_types::ErrorKind;

use crate::engine::Engine;
use crate::errors::Result;

/// Removes the snapshot `key`; one that is gone is no error.
///
/// # Errors
/// What the snapshotter answers.
pub async fn remove(engine: &Engine, snapshotter: &str, key: &str) -> Result<()> {
    let request = RemoveSnapshotRequest { snapshotter: snapshotter.to_owned(), key: key.to_owned() };
    let mut snapshots = engine.containerd.snapshots();
    match engine.containerd.step("remove the root filesystem", snapshots.remove(request)).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
