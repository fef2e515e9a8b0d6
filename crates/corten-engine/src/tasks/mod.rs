//! The running side of containers.
