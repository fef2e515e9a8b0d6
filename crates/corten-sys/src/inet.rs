//! Internet sockets beyond the standard library: bound to one family, connected without waiting, reset instead of
//! closed, and datagrams with the address they were sent to (ip(7), ipv6(7), tcp(7), udp(7)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::socket::{
        self, AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
        SockaddrIn6, SockaddrLike, SockaddrStorage, setsockopt, sockopt,
    },
};

use crate::{cvt_int, retry};

/// Listens on `address`, and for IPv6 on IPv6 alone; accepting does not wait. The queue is as long as the system allows.
///
/// # Errors
/// `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `EAFNOSUPPORT`.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address, SockType::Stream)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(&socket, address)?;
    let listener = TcpListener::from(socket);
    listen_again(&listener)?;
    Ok(listener)
}

/// Listens on a socket that is bound, or already listens, with a queue as long as the system allows.
///
/// # Errors
/// `EADDRINUSE`, `EINVAL`, `EOPNOTSUPP`.
pub fn listen_again(socket: &TcpListener) -> io::Result<()> {
    Ok(socket::listen(socket, Backlog::MAXALLOWABLE)?)
}

/// A socket that keeps `address` from everybody else and drops whatever arrives there, until [`stop_dropping`]. A
/// listening one also where another has a wildcard of it: bound without listening it would reserve nothing beside
/// others that reuse addresses.
///
/// # Errors
/// As [`listen`].
pub fn reserve(kind: Kind, address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = match kind {
        Kind::Stream => new_socket(address, SockType::Stream)?,
        Kind::Datagram => new_socket(address, SockType::Datagram)?,
    };
    // First of all, so that nothing comes through before.
    drop_all(&socket)?;
    if kind == Kind::Stream {
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    bind(&socket, address)?;
    if kind == Kind::Stream {
        socket::listen(&socket, Backlog::new(1)?)?;
    }
    Ok(socket)
}

/// Has `socket` drop everything that arrives (`SO_ATTACH_FILTER`, socket(7)); a listener's connections as well.
fn drop_all(socket: impl AsFd) -> io::Result<()> {
    // BPF_RET | BPF_K of no bytes: linux/filter.h.
    let mut accept_nothing = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: 1, filter: accept_nothing.as_mut_ptr() };
    // SAFETY: the program points at one instruction; both outlive the call, which copies them.
    cvt_int(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Lets through again what arrives at a [`reserve`]d socket; one that drops nothing stays as it is.
///
/// # Errors
/// `EPERM` for a filter that was locked; `ENOTSOCK`.
pub fn stop_dropping(socket: impl AsFd) -> io::Result<()> {
    let unused: libc::c_int = 0;
    // SAFETY: the option reads one int, which `unused` is.
    let result = cvt_int(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DETACH_FILTER,
            (&raw const unused).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    });
    match result {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// A socket for datagrams to `address`, and for IPv6 to IPv6 alone; it does not wait.
///
/// # Errors
/// As [`listen`].
pub fn bind_datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(address, SockType::Datagram)?;
    bind(&socket, address)?;
    Ok(UdpSocket::from(socket))
}

/// Begins to connect to `address`. The socket is writable when that is done, or has failed (`take_error`).
///
/// # Errors
/// `ENETUNREACH`, `ECONNREFUSED` and others of connect(2) that are known at once; `EMFILE`.
pub fn begin_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = new_socket(address, SockType::Stream)?;
    match with_sockaddr(address, |raw| socket::connect(socket.as_raw_fd(), raw)) {
        // An interrupted one goes on by itself (connect(2)).
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// What an error of accept(2) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptError {
    /// Nobody is there to be accepted.
    Nobody,
    /// The system has no descriptor or memory for one more, which passes.
    Exhausted,
    /// The listener is none any more, which stays.
    NoListener,
    /// The one that was to be accepted is gone, or was refused by a firewall: the next may be well. accept(2) hands on
    /// what the network said, too ("Error handling").
    OneLost,
}

/// What `error` of accept(2) says.
#[must_use]
pub fn accept_error(error: &io::Error) -> AcceptError {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => AcceptError::Nobody,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => AcceptError::Exhausted,
        Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK) => AcceptError::NoListener,
        _ => AcceptError::OneLost,
    }
}

/// Whether `socket` is one of streams or of datagrams over IPv4 or IPv6; `None` for any other.
///
/// # Errors
/// `ENOTSOCK`, `EBADF`.
pub fn kind_of(socket: impl AsFd) -> io::Result<Option<Kind>> {
    let address: SockaddrStorage = socket::getsockname(socket.as_fd().as_raw_fd())?;
    if !matches!(address.family(), Some(AddressFamily::Inet | AddressFamily::Inet6)) {
        return Ok(None);
    }
    Ok(match socket::getsockopt(&socket, sockopt::SockType)? {
        SockType::Stream => Some(Kind::Stream),
        SockType::Datagram => Some(Kind::Datagram),
        _ => None,
    })
}

/// What an internet socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
}

/// Has the kernel ask an idle peer every `interval` whether it is still there (`SO_KEEPALIVE`).
///
/// # Errors
/// None with an interval of 1 s to 32767 s.
pub fn keep_alive(stream: &TcpStream, interval: Duration) -> io::Result<()> {
    let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &seconds)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &seconds)?;
    Ok(())
}

/// Closes `stream` with a reset: its peer is told that the connection is broken, not that it has ended.
pub fn reset(stream: TcpStream) {
    let now = libc::linger { l_onoff: 1, l_linger: 0 };
    // Refused, it is closed in the ordinary way.
    let _ = setsockopt(&stream, sockopt::Linger, &now);
    drop(stream);
}

/// How many bytes written to `stream` have not even been sent once (`SIOCOUTQNSD`, Linux 2.6.39): a reset drops them.
///
/// # Errors
/// None on a TCP socket.
pub fn unsent(stream: &TcpStream) -> io::Result<usize> {
    /// linux/sockios.h
    const SIOCOUTQNSD: u32 = 0x894B;
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int, which `bytes` is.
    cvt_int(unsafe { libc::ioctl(stream.as_raw_fd(), SIOCOUTQNSD as _, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or_default())
}

/// Has [`receive`] tell the address a datagram was sent to.
///
/// # Errors
/// `ENOPROTOOPT` for a socket of another kind.
pub fn tell_destinations(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

/// A datagram that [`receive`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// Its length.
    pub length: usize,
    /// Who sent it.
    pub sender: SocketAddr,
    /// The address of ours it was sent to, where that is known and can be answered from.
    pub destination: Option<IpAddr>,
}

/// Takes the next datagram, without waiting.
///
/// # Errors
/// `EAGAIN` when there is none; an error of an earlier [`send`], such as `ECONNREFUSED`.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Datagram> {
    // Room for an in6_pktinfo with its header, and twice as much as that takes.
    let mut control = [0_u8; 64];
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = loop {
        match socket::recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let sender = message.address.as_ref().and_then(socket_addr).ok_or_else(|| io::Error::from(Errno::EAFNOSUPPORT))?;
    // Control data that does not fit says nothing; the kernel chooses the address to answer from then.
    let destination = message.cmsgs().ok().and_then(|mut parts| {
        parts.find_map(|part| match part {
            // The local address: of a broadcast it is the one to answer from (ip(7), "ipi_spec_dst").
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))),
            _ => None,
        })
    });
    Ok(Datagram { length: message.bytes, sender, destination: destination.filter(|address| !address.is_multicast()) })
}

/// Sends a datagram to `receiver`, from the address `source` of ours where one is given, without waiting.
///
/// # Errors
/// `EAGAIN` when there is no room, `EPERM` of a firewall, `ENETUNREACH`; an error of an earlier datagram.
pub fn send(socket: &UdpSocket, datagram: &[u8], receiver: SocketAddr, source: Option<IpAddr>) -> io::Result<usize> {
    let parts = [IoSlice::new(datagram)];
    let fd = socket.as_raw_fd();
    let flags = MsgFlags::MSG_DONTWAIT;
    let with = |control: &[ControlMessage<'_>]| {
        retry(|| match receiver {
            SocketAddr::V4(to) => Ok(socket::sendmsg(fd, &parts, control, flags, Some(&SockaddrIn::from(to)))?),
            SocketAddr::V6(to) => Ok(socket::sendmsg(fd, &parts, control, flags, Some(&SockaddrIn6::from(to)))?),
        })
    };
    match source {
        None => with(&[]),
        Some(IpAddr::V4(source)) => {
            let local = libc::in_addr { s_addr: u32::from(source).to_be() };
            let any = libc::in_addr { s_addr: 0 };
            with(&[ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: local,
                ipi_addr: any,
            })])
        }
        Some(IpAddr::V6(source)) => {
            let local = libc::in6_addr { s6_addr: source.octets() };
            with(&[ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo { ipi6_addr: local, ipi6_ifindex: 0 })])
        }
    }
}

fn new_socket(address: SocketAddr, kind: SockType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    Ok(socket::socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?)
}

fn bind(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6V6Only, &true)?;
    }
    Ok(with_sockaddr(address, |raw| socket::bind(socket.as_raw_fd(), raw))?)
}

fn with_sockaddr<T>(address: SocketAddr, call: impl FnOnce(&dyn SockaddrLike) -> T) -> T {
    match address {
        SocketAddr::V4(address) => call(&SockaddrIn::from(address)),
        SocketAddr::V6(address) => call(&SockaddrIn6::from(address)),
    }
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4(SocketAddrV4::from(*address)));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6(SocketAddrV6::from(*address))))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn a_datagram_says_where_it_was_sent_to_and_is_answered_from_there() {
        for any in ["0.0.0.0:0", "[::]:0"] {
            let socket = bind_datagrams(any.parse().expect("an address")).expect("bound");
            tell_destinations(&socket).expect("asked");
            let port = socket.local_addr().expect("bound").port();
            // Of 127.0.0.0/8 every address is the machine's, and the kernel would answer from 127.0.0.1.
            let host: IpAddr = if any.starts_with('0') { "127.9.8.7" } else { "::1" }.parse().expect("an address");
            let client = UdpSocket::bind((if host.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).expect("bound");
            client.set_read_timeout(PATIENCE).expect("set");
            client.send_to(b"ping", (host, port)).expect("sent");
            crate::poll::readable(&[socket.as_fd()], PATIENCE).expect("polled");
            let mut buffer = [0; 16];
            let datagram = receive(&socket, &mut buffer).expect("received");
            assert_eq!((datagram.length, datagram.destination), (4, Some(host)));
            assert_eq!(datagram.sender, client.local_addr().expect("bound"));
            send(&socket, b"pong", datagram.sender, datagram.destination).expect("sent");
            assert_eq!(client.recv_from(&mut buffer).expect("answered"), (4, SocketAddr::new(host, port)));
            assert_eq!(receive(&socket, &mut buffer).expect_err("no more").kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn a_connection_is_begun_and_a_reset_is_told() {
        let listener = listen("127.0.0.1:0".parse().expect("an address")).expect("listening");
        assert_eq!(kind_of(&listener).expect("a socket"), Some(Kind::Stream));
        let address = listener.local_addr().expect("bound");
        let stream = begin_connect(address).expect("begun");
        crate::poll::writable(&[stream.as_fd()], PATIENCE).expect("polled");
        assert!(stream.take_error().expect("asked").is_none());
        crate::poll::readable(&[listener.as_fd()], PATIENCE).expect("polled");
        let (mut accepted, _) = listener.accept().expect("accepted");
        keep_alive(&accepted, Duration::from_secs(15)).expect("set");
        (&stream).write_all(b"x").expect("written");
        assert_eq!(unsent(&stream).expect("asked"), 0);
        reset(stream);
        accepted.set_nonblocking(false).expect("a flag");
        accepted.set_read_timeout(PATIENCE).expect("set");
        accepted.read_exact(&mut [0]).expect("what was sent before arrives");
        assert_eq!(accepted.read(&mut [0]).expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_reserved_port_is_nobody_elses_and_drops_what_comes() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let loopback: SocketAddr = loopback.parse().expect("an address");
            let stream = TcpListener::from(reserve(Kind::Stream, loopback).expect("reserved"));
            let address = stream.local_addr().expect("bound");
            for taken in [listen(address).map(drop), reserve(Kind::Stream, address).map(drop)] {
                assert_eq!(taken.expect_err("taken").kind(), io::ErrorKind::AddrInUse);
            }
            let client = begin_connect(address).expect("begun");
            let answered = crate::poll::writable(&[client.as_fd()], Some(Duration::ZERO)).expect("polled");
            assert_eq!(answered, [false], "not even refused");
            stop_dropping(&stream).expect("removed");
            stop_dropping(&stream).expect("and again");
            listen_again(&stream).expect("listening");
            drop(client);
            let client = begin_connect(address).expect("begun");
            assert!(crate::poll::writable(&[client.as_fd()], PATIENCE).expect("polled")[0]);

            let datagrams = UdpSocket::from(reserve(Kind::Datagram, loopback).expect("reserved"));
            let address = datagrams.local_addr().expect("bound");
            assert_eq!(bind_datagrams(address).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
            let client = UdpSocket::bind((loopback.ip(), 0)).expect("bound");
            client.send_to(b"dropped", address).expect("sent");
            stop_dropping(&datagrams).expect("removed");
            client.send_to(b"taken", address).expect("sent");
            crate::poll::readable(&[datagrams.as_fd()], PATIENCE).expect("polled");
            assert_eq!(receive(&datagrams, &mut [0; 16]).expect("received").length, 5);
        }
    }

    #[test]
    fn ipv6_leaves_the_port_to_ipv4() {
        // Somebody else may have just that port of IPv4; not twenty times.
        let shared = (0..20).any(|_| {
            let six = listen("[::]:0".parse().expect("an address")).expect("listening");
            let port = six.local_addr().expect("bound").port();
            listen(SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
        });
        assert!(shared, "a port of IPv6 takes that of IPv4");
    }
}
