//! Makes a container's root filesystem on top of its image's layers.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use corten_proto::containerd::services::snapshots::v1::PrepareSnapshotRequest;
use corten_proto::containerd::types::Mount;

use super::layers::directories;
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
    let made = engine.containerd.step("prepare the root filesystem", snapshots.prepare(request)).await?;
    mark(&made.mounts, key);
    Ok(())
}

/// By this file programs and scripts know that they are in one of docker's containers.
const MARK: &str = ".dockerenv";

/// Makes it in the container's own directory, in which nothing has run yet and where no link is followed. What an image
/// has there stays.
fn mark(mounts: &[Mount], key: &str) {
    let Some(directory) = directories(mounts).into_iter().next() else { return };
    let made = OpenOptions::new().write(true).create_new(true).mode(0o755).open(directory.join(MARK));
    if let Err(error) = made
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        tracing::warn!(id = key, %error, "make /{MARK} in the root filesystem");
    }
}
