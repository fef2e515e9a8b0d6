//! Frames sent by hand (packet(7)).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::cvt_int;

/// Bytes of a hardware address in a frame.
const HARDWARE_ADDRESS_BYTES: usize = 6;

/// Sends `packet` to the neighbour `receiver` by the interface with that index of the caller's network namespace; the
/// kernel puts the frame's header before it, with the number `protocol`.
///
/// # Errors
/// `EPERM` without CAP_NET_RAW over the namespace; `ENODEV`, `ENETDOWN`.
pub fn send(interface: u32, protocol: u16, receiver: [u8; HARDWARE_ADDRESS_BYTES], packet: &[u8]) -> io::Result<()> {
    // SAFETY: socket takes integers. Of the protocol 0 it receives nothing.
    let raw = cvt_int(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just returned this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    let mut address = [0; 8];
    address[..HARDWARE_ADDRESS_BYTES].copy_from_slice(&receiver);
    let to = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: protocol.to_be(),
        sll_ifindex: i32::try_from(interface).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: HARDWARE_ADDRESS_BYTES as libc::c_uchar,
        sll_addr: address,
    };
    // SAFETY: both pointers are valid for the lengths that stand beside them.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            libc::MSG_DONTWAIT,
            (&raw const to).cast(),
            size_of_val(&to) as libc::socklen_t,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
