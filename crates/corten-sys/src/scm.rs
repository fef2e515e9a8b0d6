//! Passing descriptors over unix sockets (unix(7), SCM_RIGHTS), and who is on the other end
//! (SO_PEERCRED).

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use crate::{cvt, cvt_int, retry};

/// Most descriptors one message of ours carries: what fits in a [`Control`]; the kernel's bound is 253 (SCM_MAX_FD).
pub const MAX_FDS: usize = 60;

/// A control buffer with the alignment of `cmsghdr`.
#[repr(align(8))]
struct Control([u8; 256]);

/// Sends `data` and `fds` in one message. On a stream socket `data` must not be empty.
///
/// # Errors
/// `EINVAL` for more than [`MAX_FDS`] descriptors; else as sendmsg(2). A short write cannot happen on
/// a packet socket; on a stream socket the number of bytes sent is returned.
pub fn send(socket: impl AsFd, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if fds.len() > MAX_FDS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // On the stack: a clone child sends its terminal with this, and must not allocate.
    let mut raw = [-1i32; MAX_FDS];
    raw.iter_mut().zip(fds).for_each(|(raw, fd)| *raw = fd.as_raw_fd());
    let payload = fds.len() * size_of::<i32>();
    let slices = [IoSlice::new(data)];
    let mut control = Control([0; 256]);
    // SAFETY: an all-zero msghdr is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE only computes.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(payload as u32) } as _;
        // SAFETY: msg_control points at 256 bytes, more than CMSG_SPACE of MAX_FDS descriptors.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        // SAFETY: the first header lies inside the control buffer, which is large enough.
        let header = unsafe { &mut *header };
        header.cmsg_level = libc::SOL_SOCKET;
        header.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: CMSG_LEN only computes.
        header.cmsg_len = unsafe { libc::CMSG_LEN(payload as u32) } as _;
        // SAFETY: CMSG_DATA only computes the address behind the header.
        let target = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: the data area has room for `payload` bytes and does not overlap `raw`.
        unsafe { std::ptr::copy_nonoverlapping(raw.as_ptr().cast::<u8>(), target, payload) };
    }
    let sent = retry(|| {
        // SAFETY: message points at slices and control, which outlive the call.
        cvt(unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) }
            as libc::c_long)
    })?;
    Ok(sent as usize)
}

/// Receives one message: the number of bytes put into `buffer`, and the descriptors that came along,
/// close-on-exec. Zero bytes and no descriptor mean the other end is closed.
///
/// # Errors
/// `EMSGSIZE` when the message or its descriptors did not fit (whatever arrived is closed); else as
/// recvmsg(2).
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut fds = Vec::new();
    let received = receive_each(socket, buffer, |fd| fds.push(fd))?;
    Ok((received, fds))
}

/// As [`receive`], for a clone child, which must not allocate: at most one descriptor is kept.
///
/// # Errors
/// As [`receive`].
pub fn receive_one(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut only = None;
    let received = receive_each(socket, buffer, |fd| only = Some(fd))?;
    Ok((received, only))
}

fn receive_each(socket: impl AsFd, buffer: &mut [u8], mut keep: impl FnMut(OwnedFd)) -> io::Result<usize> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut control = Control([0; 256]);
    // SAFETY: an all-zero msghdr is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = slices.as_mut_ptr().cast();
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    let received = retry(|| {
        // SAFETY: message points at slices and control, which outlive the call.
        cvt(unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) }
            as libc::c_long)
    })?;
    // SAFETY: the kernel filled msg_control up to msg_controllen.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: a non-null header returned by the CMSG macros lies inside the control buffer.
        let found = unsafe { &*header };
        if found.cmsg_level == libc::SOL_SOCKET && found.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: CMSG_LEN only computes.
            let prefix = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = (found.cmsg_len as usize - prefix) / size_of::<i32>();
            // SAFETY: CMSG_DATA only computes the address behind the header.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<i32>();
            for index in 0..count {
                let slot = data.wrapping_add(index);
                // SAFETY: the kernel wrote `count` descriptors there; alignment is not promised.
                let fd = unsafe { slot.read_unaligned() };
                // SAFETY: the kernel installed this descriptor for us and nobody else owns it.
                keep(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        // SAFETY: message and header are those of this loop.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    Ok(received as usize)
}

/// The process at the other end of a connected unix socket, as it was when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its pid in our pid namespace; 0 when it has none there.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// Asks who is at the other end.
///
/// # Errors
/// `ENOTCONN` and those of getsockopt(2).
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: cred has room for `length` bytes; both outlive the call.
    cvt_int(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut length,
        )
    })?;
    Ok(Peer { pid: cred.pid as u32, uid: cred.uid, gid: cred.gid })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_message() {
        let (left, right) = UnixStream::pair().expect("a pair");
        let (mut reader, writer) = io::pipe().expect("a pipe");
        assert_eq!(send(&left, b"hello", &[writer.as_fd()]).expect("sent"), 5);
        drop(writer);
        let mut buffer = [0; 16];
        let (count, mut fds) = receive(&right, &mut buffer).expect("received");
        assert_eq!((&buffer[..count], fds.len()), (&b"hello"[..], 1));
        File::from(fds.remove(0)).write_all(b"through").expect("written");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read to the end");
        assert_eq!(text, "through");
    }

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (left, _right) = UnixStream::pair().expect("a pair");
        assert_eq!(peer(&left).expect("connected").pid, std::process::id());
    }
}
