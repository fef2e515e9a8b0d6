//! Sockets that talk with the kernel about networks (netlink(7)): rtnetlink(7) and netfilter.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use crate::{cvt, cvt_int, retry};

/// Room that is asked for in each direction: five thousand published ports are half a mebibyte in one piece.
const BUFFER_BYTES: libc::c_int = 4 << 20;

/// Whom a socket talks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Interfaces, addresses, routes.
    Route,
    /// Packet filter and connection tracking.
    Netfilter,
}

/// A netlink socket. It stays in the network namespace of the thread that opened it, whoever uses it.
#[derive(Debug)]
pub struct NetlinkSocket {
    fd: OwnedFd,
    port: u32,
}

impl NetlinkSocket {
    /// Opens one, with the kernel's sentences in its refusals (`NETLINK_EXT_ACK`, Linux 4.12) and without a copy of what
    /// was refused (`NETLINK_CAP_ACK`).
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` when the kernel was built without it; as socket(2), bind(2).
    pub fn open(protocol: Protocol) -> io::Result<Self> {
        let number = match protocol {
            Protocol::Route => libc::NETLINK_ROUTE,
            Protocol::Netfilter => libc::NETLINK_NETFILTER,
        };
        // SAFETY: socket takes three integers.
        let raw = cvt_int(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, number) })?;
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            set(&fd, libc::SOL_NETLINK, option, 1)?;
        }
        for (forced, asked) in [(libc::SO_SNDBUFFORCE, libc::SO_SNDBUF), (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)] {
            // Beyond the system's limit only with CAP_NET_ADMIN in the first user namespace.
            if set(&fd, libc::SOL_SOCKET, forced, BUFFER_BYTES).is_err() {
                set(&fd, libc::SOL_SOCKET, asked, BUFFER_BYTES)?;
            }
        }
        let port = bind(&fd)?;
        Ok(Self { fd, port })
    }

    /// The number by which the kernel knows the socket, which events name as their cause.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Subscribes to a group of events (`NETLINK_ADD_MEMBERSHIP`).
    ///
    /// # Errors
    /// `EINVAL` for a group there is not; `EPERM`.
    pub fn join(&self, group: u32) -> io::Result<()> {
        set(&self.fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group.cast_signed())
    }

    /// Has dumps refuse filters the kernel does not know, and keep to those it knows (`NETLINK_GET_STRICT_CHK`,
    /// Linux 4.20).
    ///
    /// # Errors
    /// `ENOPROTOOPT` before.
    pub fn check_strictly(&self) -> io::Result<()> {
        const NETLINK_GET_STRICT_CHK: libc::c_int = 12;
        set(&self.fd, libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    }

    /// Sends messages to the kernel, which has done them when this returns.
    ///
    /// # Errors
    /// `EMSGSIZE` when they do not fit the socket's buffer; `ENOBUFS`.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        let kernel = address();
        let sent = retry(|| {
            // SAFETY: both pointers describe live memory of the lengths given, which is only read.
            let sent = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    messages.as_ptr().cast(),
                    messages.len(),
                    0,
                    (&raw const kernel).cast(),
                    size_of::<libc::sockaddr_nl>() as libc::socklen_t,
                )
            };
            cvt(sent as libc::c_long)
        })?;
        if sent as usize == messages.len() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EMSGSIZE)) }
    }

    /// Takes the next messages of the kernel, without waiting; `None` when there are none.
    ///
    /// # Errors
    /// `ENOBUFS` when events were lost; `EMSGSIZE` when the buffer is too small.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let mut sender = address();
            let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            let received = retry(|| {
                // SAFETY: the pointers describe live memory of the lengths given, which outlives the call.
                let received = unsafe {
                    libc::recvfrom(
                        self.fd.as_raw_fd(),
                        buffer.as_mut_ptr().cast(),
                        buffer.len(),
                        libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                        (&raw mut sender).cast(),
                        &raw mut length,
                    )
                };
                cvt(received as libc::c_long)
            });
            let received = match received {
                Ok(received) => received as usize,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            if received > buffer.len() {
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            // Other processes may send to us as well; the kernel is port 0.
            if sender.nl_pid == 0 {
                return Ok(Some(received));
            }
        }
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn address() -> libc::sockaddr_nl {
    // SAFETY: an all-zero sockaddr_nl is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address
}

/// Binds to a port of the kernel's choice, which it tells.
fn bind(fd: &OwnedFd) -> io::Result<u32> {
    let mut ours = address();
    let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: the pointer describes a sockaddr_nl of that length, which is only read.
    cvt_int(unsafe { libc::bind(fd.as_raw_fd(), (&raw const ours).cast(), length) })?;
    // SAFETY: both pointers are to live variables; the length is that of the first.
    cvt_int(unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut ours).cast(), &raw mut length) })?;
    Ok(ours.nl_pid)
}

fn set(fd: &OwnedFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer is to a live integer of that length, which is only read.
    cvt_int(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
    .map(drop)
}
