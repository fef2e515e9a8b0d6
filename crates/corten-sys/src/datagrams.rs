//! Datagrams taken and sent many at a time: one call instead of one for each (recvmmsg(2), sendmmsg(2)). Nothing is
//! allocated after the first turn.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};

use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrLike};

use crate::{cvt_int, retry};

/// Most datagrams of one call.
pub const MOST: usize = 64;
/// Most bytes of one that are taken.
pub const MOST_BYTES: usize = 2048;
/// Most bytes that wait to be sent; then they are, before the turn is over.
const MOST_UNSENT_BYTES: usize = 1 << 16;

/// Datagrams that were taken together.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    taken: Vec<Taken>,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    length: usize,
    is_whole: bool,
    sender: SocketAddr,
}

/// One of an [`Inbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// What came, or its first [`MOST_BYTES`].
    pub bytes: &'a [u8],
    /// Whether that is all.
    pub is_whole: bool,
    /// Who sent it.
    pub sender: SocketAddr,
}

impl Inbox {
    /// Takes what has come to `socket`, at most [`MOST`] datagrams, in the place of what was taken before; tells how many.
    ///
    /// # Errors
    /// `EAGAIN` when there is none; what came of a datagram that was sent earlier.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.bytes.resize(MOST * MOST_BYTES, 0);
        self.taken.clear();
        // SAFETY: an all-zero sockaddr_in6 is valid, and so is an array of them.
        let mut senders: [libc::sockaddr_in6; MOST] = unsafe { std::mem::zeroed() };
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MOST];
        let mut messages = no_messages();
        let each = messages.iter_mut().zip(&mut parts).zip(&mut senders).zip(self.bytes.chunks_exact_mut(MOST_BYTES));
        for (((message, part), sender), bytes) in each {
            *part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = (&raw mut *sender).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        }
        let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT as _);
        let count = retry(|| {
            // SAFETY: every message points at a part and an address of this frame, and the part at as many bytes of
            // ours as it says; all of them outlive the call.
            cvt_int(unsafe {
                libc::recvmmsg(fd, messages.as_mut_ptr(), MOST as _, flags, std::ptr::null_mut::<libc::timespec>())
            })
        })?;
        let count = usize::try_from(count).unwrap_or_default();
        for (message, sender) in messages.iter().zip(&senders).take(count) {
            self.taken.push(Taken {
                length: message.msg_len as usize,
                is_whole: message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0,
                sender: address(sender),
            });
        }
        Ok(count)
    }

    /// What was taken.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.taken.iter().zip(self.bytes.chunks_exact(MOST_BYTES)).map(|(taken, bytes)| Datagram {
            bytes: &bytes[..taken.length.min(MOST_BYTES)],
            is_whole: taken.is_whole,
            sender: taken.sender,
        })
    }
}

/// Datagrams that are to be sent together.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Where each ends, and who is to have it.
    waiting: Vec<(usize, SocketAddr)>,
}

impl Outbox {
    /// Puts a datagram to the others.
    pub fn push(&mut self, datagram: &[u8], receiver: SocketAddr) {
        self.bytes.extend_from_slice(datagram);
        self.waiting.push((self.bytes.len(), receiver));
    }

    /// Whether it is time to send.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MOST || self.bytes.len() >= MOST_UNSENT_BYTES
    }

    /// Sends all of them by `socket` without waiting. What cannot be sent is lost, as everywhere on the way.
    pub fn send(&mut self, socket: &UdpSocket) {
        for first in (0..self.waiting.len()).step_by(MOST) {
            let begin = if first == 0 { 0 } else { self.waiting[first - 1].0 };
            let those = &self.waiting[first..self.waiting.len().min(first + MOST)];
            send_some(socket, &self.bytes, begin, those);
        }
        self.bytes.clear();
        self.waiting.clear();
    }
}

fn send_some(socket: &UdpSocket, bytes: &[u8], mut begin: usize, waiting: &[(usize, SocketAddr)]) {
    let mut receivers = [const { None }; MOST];
    let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MOST];
    let mut messages = no_messages();
    let each = messages.iter_mut().zip(&mut parts).zip(&mut receivers).zip(waiting);
    for (((message, part), receiver), (end, address)) in each {
        let datagram = &bytes[begin..*end];
        begin = *end;
        *part = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
        let receiver = receiver.insert(Receiver::from(*address));
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = receiver.as_ptr().cast_mut().cast();
        message.msg_hdr.msg_namelen = receiver.len();
    }
    let (fd, flags) = (socket.as_raw_fd(), (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _);
    let mut sent = 0;
    while sent < waiting.len() {
        let rest = &mut messages[sent..waiting.len()];
        let done = retry(|| {
            // SAFETY: every message of `rest` points at a part and an address of this frame, and the part at as many
            // bytes of ours, which are only read; all of them outlive the call.
            cvt_int(unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), rest.len() as _, flags) })
        });
        // The error is that of the first one.
        sent += done.ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(1).max(1);
    }
}

enum Receiver {
    Four(SockaddrIn),
    Six(SockaddrIn6),
}

impl From<SocketAddr> for Receiver {
    fn from(address: SocketAddr) -> Receiver {
        match address {
            SocketAddr::V4(address) => Receiver::Four(address.into()),
            SocketAddr::V6(address) => Receiver::Six(address.into()),
        }
    }
}

impl Receiver {
    fn as_ptr(&self) -> *const libc::sockaddr {
        match self {
            Receiver::Four(address) => address.as_ptr(),
            Receiver::Six(address) => address.as_ptr(),
        }
    }

    fn len(&self) -> libc::socklen_t {
        match self {
            Receiver::Four(address) => address.len(),
            Receiver::Six(address) => address.len(),
        }
    }
}

fn no_messages() -> [libc::mmsghdr; MOST] {
    // SAFETY: an all-zero mmsghdr is valid, and so is an array of them.
    unsafe { std::mem::zeroed() }
}

/// Of what the kernel wrote: of IPv4 the structure is shorter, and begins in the same way.
fn address(raw: &libc::sockaddr_in6) -> SocketAddr {
    let port = u16::from_be(raw.sin6_port);
    if raw.sin6_family == libc::AF_INET6 as libc::sa_family_t {
        let address = std::net::SocketAddrV6::new(raw.sin6_addr.s6_addr.into(), port, 0, raw.sin6_scope_id);
        return address.into();
    }
    // sockaddr_in has the address where sockaddr_in6 has its flow label, in the network's order (ip(7)).
    (std::net::Ipv4Addr::from(raw.sin6_flowinfo.to_ne_bytes()), port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_datagrams_come_and_go_in_one_turn() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let [ours, theirs] = [(); 2].map(|()| UdpSocket::bind(loopback).expect("bound"));
            let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
            assert_eq!(inbox.receive(&ours).expect_err("nothing came").kind(), io::ErrorKind::WouldBlock);
            for number in 0..=MOST as u8 {
                outbox.push(&[number; 3], ours.local_addr().expect("bound"));
                assert_eq!(outbox.is_full(), number >= MOST as u8 - 1);
            }
            outbox.send(&theirs);
            outbox.push(&[7; MOST_BYTES + 1], ours.local_addr().expect("bound"));
            outbox.push(&[], ours.local_addr().expect("bound"));
            outbox.send(&theirs);
            assert_eq!(inbox.receive(&ours).expect("received"), MOST);
            let sender = theirs.local_addr().expect("bound");
            for (number, datagram) in inbox.iter().enumerate() {
                assert_eq!(datagram, Datagram { bytes: &[number as u8; 3], is_whole: true, sender });
            }
            assert_eq!(inbox.receive(&ours).expect("received"), 3);
            let rest: Vec<_> = inbox.iter().map(|datagram| (datagram.bytes.len(), datagram.is_whole)).collect();
            assert_eq!(rest, [(3, true), (MOST_BYTES, false), (0, true)]);
        }
    }

    #[test]
    fn one_that_cannot_be_sent_does_not_keep_the_others() {
        let [ours, theirs] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("bound"));
        let mut outbox = Outbox::default();
        let receiver = ours.local_addr().expect("bound");
        outbox.push(b"a", receiver);
        // Of another family, and longer than any.
        outbox.push(b"b", "[::1]:9".parse().expect("an address"));
        outbox.push(&vec![0; 70_000], receiver);
        outbox.push(b"c", receiver);
        outbox.send(&theirs);
        let mut inbox = Inbox::default();
        assert_eq!(inbox.receive(&ours).expect("received"), 2);
        assert_eq!(inbox.iter().map(|datagram| datagram.bytes.to_vec()).collect::<Vec<_>>(), [b"a", b"c"]);
    }
}
