//! Registering a descriptor with the event loop.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use tokio::io::unix::AsyncFd;

/// Registers `inner`. The bound `AsFd` is what makes it sound: the value owns or borrows its descriptor
/// for as long as it lives.
///
/// # Errors
/// Those of epoll_ctl(2): `EPERM` for a regular file.
#[expect(deprecated, reason = "its successor is an unsafe function, for types that are not AsFd; these are")]
pub fn register<T: AsFd + AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(inner)
}
