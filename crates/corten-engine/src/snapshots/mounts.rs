//! Says how a container's root filesystem is mounted.

use corten_proto::containerd::services::snapshots::v1::MountsRequest;
use corten_proto::containerd::types::Mount;

use crate::engine::Engine;
use crate::errors::Result;

/// The mounts of the snapshot `key`.
///
/// # Errors
/// What the snapshotter answers.
pub async fn mounts(engine: &Engine, snapshotter: &str, key: &str) -> Result<Vec<Mount>> {
    let request = MountsRequest { snapshotter: snapshotter.to_owned(), key: key.to_owned() };
    let mut snapshots = engine.containerd.snapshots();
    Ok(engine.containerd.step("look up the root filesystem", snapshots.mounts(request)).await?.mounts)
}
