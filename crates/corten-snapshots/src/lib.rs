//! Local snapshotters: overlayfs, native.
