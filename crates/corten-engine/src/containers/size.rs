//! How much a container takes on disk: what it has written, and its whole tree.

use corten_containerd_api::{ApiError, Snapshotter};

use super::record::Record;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Most snapshots that stand on each other: overlayfs takes no more (OVL_MAX_STACK), nor does docker.
const DEPTH_AT_MOST: usize = 500;

/// Bytes of a container's root filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// What it has written.
    pub written_bytes: i64,
    /// That and everything below.
    pub total_bytes: i64,
}

/// Adds up what the snapshots take that the container stands on.
///
/// # Errors
/// What the snapshotter answers.
pub async fn size(engine: &Engine, record: &Record) -> Result<Size> {
    let snapshots = engine.containerd.with_snapshotter(&record.snapshotter);
    let failed = |error: ApiError| {
        EngineError::new(error.kind(), format!("look up the size of container {}", record.id)).caused_by(error)
    };
    let bytes = |(bytes, _files): (u64, u64)| i64::try_from(bytes).unwrap_or(i64::MAX);
    let written_bytes = bytes(snapshots.usage(&record.id).await.map_err(failed)?);
    let mut total_bytes = written_bytes;
    let mut below = snapshots.stat(&record.id).await.map_err(failed)?.parent;
    for _ in 0..DEPTH_AT_MOST {
        if below.is_empty() {
            break;
        }
        total_bytes = total_bytes.saturating_add(bytes(snapshots.usage(&below).await.map_err(failed)?));
        below = snapshots.stat(&below).await.map_err(failed)?.parent;
    }
    Ok(Size { written_bytes, total_bytes })
}
