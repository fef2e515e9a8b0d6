//! Makes a container's root filesystem on top of its image's layers.

use std::collections::HashMap;

use corten_proto::containerd::services::snapshots::v1::PrepareSnapshotRequest;

use super::{ENGINE_LABEL, ROOT_LABEL};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::Result;

/// Makes the snapshot `key` above `parent`; an empty parent gives an empty filesystem.
///
/// # Errors
/// What the snapshotter answers.
pub async fn prepare(engine: &Engine, snapshotter: &str, key: &str, parent: &str) -> Result<()> {
    let labels = [(ROOT_LABEL, Moment::now().to_string()), (ENGINE_LABEL, engine.id.clone())];
    let request = PrepareSnapshotRequest {
        snapshotter: snapshotter.to_owned(),
        key: key.to_owned(),
        parent: parent.to_owned(),
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<HashMap<_, _>>(),
    };
    let mut snapshots = engine.containerd.snapshots();
    engine.containerd.step("prepare the root filesystem", snapshots.prepare(request)).await.map(drop)
}
