//! Root filesystems.
