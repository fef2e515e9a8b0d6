//! The console socket: one message with the terminal's name and its master end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use corten_sys::{scm, sockets};

/// The longest name a client takes (go-runc reads that many bytes).
const NAME_MAX_BYTES: usize = 4095;

/// Connects to a client's console socket, whatever the length of its path.
///
/// # Errors
/// Those of connect(2).
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    sockets::connect(path)
}

/// Sends a descriptor with its name, which must not be empty: clients read at least one byte.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send(socket: impl AsFd, name: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    scm::send(socket, name.as_bytes(), &[descriptor]).map(drop)
}

/// Receives the descriptor a runtime sends to `listener`, and its name.
///
/// # Errors
/// Those of accept(2) and recvmsg(2); `InvalidData` when the message holds no descriptor.
pub fn receive(listener: &UnixListener) -> io::Result<(String, OwnedFd)> {
    let (stream, _) = listener.accept()?;
    receive_from(&stream)
}

/// As [`receive`], on a connection.
///
/// # Errors
/// As [`receive`].
pub fn receive_from(socket: impl AsFd) -> io::Result<(String, OwnedFd)> {
    let mut buffer = [0; NAME_MAX_BYTES];
    let (length, descriptors) = scm::receive(socket, &mut buffer)?;
    let name = String::from_utf8_lossy(&buffer[..length]).into_owned();
    let descriptor = descriptors.into_iter().next().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the message on the console socket holds no descriptor")
    })?;
    Ok((name, descriptor))
}
