//! A container's tree and what it is to be compared with, to tell what the container changed.

use std::path::Path;

use corten_containerd_api::{ApiError, Labels, Snapshotter};
use corten_layers::changes::{self, Trees};
use corten_layers::name::Name;
use corten_sys::at::{FileType, Stat};

use super::{ENGINE_LABEL, ROOT_LABEL, mounts};
use crate::clock::Moment;
use crate::containers::record::Record;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Names that exist only because something is mounted on them, as docker's init layer has them.
const PLACEHOLDERS: [&[u8]; 16] = [
    b".dockerenv",
    b"dev",
    b"dev/console",
    b"dev/mqueue",
    b"dev/pts",
    b"dev/shm",
    b"etc",
    b"etc/hostname",
    b"etc/hosts",
    b"etc/mtab",
    b"etc/resolv.conf",
    b"proc",
    b"sys",
    b"sys/fs",
    b"sys/fs/cgroup",
    b"run/.containerenv",
];

/// Trees to compare, and a snapshot that shows one of them.
pub struct Compared {
    /// The trees.
    pub trees: Trees,
    view: Option<String>,
}

/// The trees of a container. An overlay has its changes in one directory; of a snapshotter that copies, the parent is
/// shown by a snapshot of its own, which [`release`] removes, or the next start of the engine.
///
/// # Errors
/// What the snapshotter answers; 501 for mounts that cannot be compared.
pub async fn compare(engine: &Engine, record: &Record) -> Result<Compared> {
    let own = mounts(engine, &record.snapshotter, &record.id).await?;
    let [own] = own.as_slice() else {
        return Err(EngineError::unimplemented("comparing a root filesystem of several mounts: not supported yet"));
    };
    let trees_of = |parent: Option<&Path>| {
        let trees = changes::trees_of(&own.r#type, &own.source, &own.options, parent);
        trees.map_err(|text| EngineError::unimplemented(format!("compare the root filesystem: {text}")))
    };
    if own.r#type != "bind" {
        return Ok(Compared { trees: trees_of(None)?, view: None });
    }
    let failed = |error: ApiError| {
        EngineError::new(error.kind(), format!("show the image of container {}", record.id)).caused_by(error)
    };
    let snapshots = engine.containerd.with_snapshotter(&record.snapshotter);
    let parent = snapshots.stat(&record.id).await.map_err(failed)?.parent;
    if parent.is_empty() {
        return Ok(Compared { trees: trees_of(None)?, view: None });
    }
    let now = Moment::now();
    let key = format!("{}-view-{now}", record.id);
    let labels = [(ROOT_LABEL, now.to_string()), (ENGINE_LABEL, engine.id.clone())];
    let labels: Labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let shown = snapshots.view(&key, &parent, &labels).await.map_err(failed)?;
    let source = shown.first().map(|mount| mount.source.clone()).unwrap_or_default();
    Ok(Compared { trees: trees_of(Some(Path::new(&source)))?, view: Some(key) })
}

/// Removes what [`compare`] made.
pub async fn release(engine: &Engine, record: &Record, compared: Compared) {
    let Some(key) = compared.view else { return };
    if let Err(error) = super::remove(engine, &record.snapshotter, &key).await {
        tracing::warn!(key, error = error.message(), "a snapshot that was only looked at is left");
    }
}

/// Whether something new in a container's tree is only there to be mounted on.
pub fn is_placeholder(name: &Name, stat: &Stat) -> bool {
    let is_empty = match stat.file_type {
        FileType::Directory | FileType::Symlink => true,
        FileType::Regular => stat.size == 0,
        _ => false,
    };
    is_empty && PLACEHOLDERS.contains(&name.as_bytes())
}
