//! Root filesystems: one active snapshot per container, named by its id.

pub mod compare;
pub mod layers;
mod mounts;
mod prepare;
mod remove;

pub use mounts::mounts;
pub use prepare::prepare;
pub use remove::remove;

/// The label that says whose snapshots and containers these are: the data root's id.
pub const ENGINE_LABEL: &str = "com.corten.engine";

/// The label that keeps a snapshot through containerd's garbage collection. Chosen over a lease: it
/// comes with the snapshot in one call, so nothing can be left between two.
const ROOT_LABEL: &str = "containerd.io/gc.root";
