//! Reserving a port of the host: by a socket that drops all, so that nobody else gets it, and translation of addresses
//! does the work.

use std::{io, os::fd::OwnedFd};

use corten_sys::inet::{self, Kind};

use crate::{Port, Protocol};

/// Reserves `port` in the caller's network namespace. A host port of 0 gets one from the kernel (`getsockname` tells).
///
/// # Errors
/// `EADDRINUSE` when somebody has it: `Bind for … failed: port is already allocated`. `EADDRNOTAVAIL` for an address the
/// host lacks, `EACCES`, `EAFNOSUPPORT`, `EMFILE`.
pub fn reserve(port: Port) -> io::Result<OwnedFd> {
    let kind = match port.protocol {
        Protocol::Tcp => Kind::Stream,
        Protocol::Udp => Kind::Datagram,
    };
    inet::reserve(kind, port.host)
}
