//! Local snapshotters: directories by numeric id, and the mounts that show them.
//!
//! Keys, parents, kinds and labels of snapshots are the supervisor's records; here a snapshot is a number.
//! [`overlay`] is the one normally used, [`native`] copies where overlayfs is not to be had.

pub mod native;
pub mod overlay;
mod usage;

pub use native::Native;
pub use overlay::{Overlay, OverlayError};
pub use usage::Usage;

/// What a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Read-only, over a committed parent.
    View,
    /// Writable; becomes [`Kind::Committed`] or is removed.
    Active,
    /// Finished: a parent of others.
    Committed,
}

/// One mount that shows a snapshot, in containerd's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `overlay` or `bind`.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// Options of mount(8).
    pub options: Vec<String>,
}
