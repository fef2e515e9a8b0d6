//! Bringing the loopback device up in the caller's network namespace (netdevice(7)).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::cvt_int;

#[repr(C)]
struct InterfaceFlags {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    // The kernel copies a whole struct ifreq, whose union is larger than the flags.
    rest: [u8; 22],
}

/// Sets `lo` up and running. The socket that it took is for the caller to close: together with others that is no call of
/// its own.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN over the namespace; `ENODEV`.
pub fn up() -> io::Result<OwnedFd> {
    // SAFETY: socket takes integers.
    let raw = cvt_int(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just returned this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    let mut request = InterfaceFlags { name: [0; libc::IFNAMSIZ], flags: 0, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    request.flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one struct ifreq, whose size and layout `request` has.
    cvt_int(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })?;
    Ok(socket)
}
