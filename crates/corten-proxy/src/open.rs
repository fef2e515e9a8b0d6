//! The host's socket of a request: bound here, or taken over from the engine.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
};

use corten_relay::Protocol;
use corten_sys::{descriptors, inet};

use crate::{
    arguments::{HostSocket, Request},
    relay::Port,
    tcp::TcpPort,
    udp::{self, UdpPort},
};

/// The number under which dockerd 28 hands over a bound socket.
const LISTENER: i32 = 4;

/// Why a port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be had. In the words of Go's net package, which dockerd shows and people look for.
    #[error("listen {family} {address}: bind: {}", in_go_words(.source))]
    Bind {
        /// tcp4, tcp6, udp4, udp6.
        family: &'static str,
        /// The host's side.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Nothing was handed over.
    #[error("take the listening socket on descriptor {LISTENER} (-use-listen-fd): {0}")]
    Inherit(io::Error),
    /// Something else was handed over.
    #[error("unexpected socket type for listener fd: {found} on descriptor {LISTENER}, where {wanted} is wanted")]
    Kind {
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// The kernel gives no descriptor to wait with.
    #[error("prepare to relay: {0}")]
    Prepare(#[from] io::Error),
    /// The engine has given up.
    #[error("tell the engine that the port is served: {0}")]
    Tell(io::Error),
}

/// The host's socket, where `request` says that it was handed over. To be called before anything else opens a
/// descriptor, which might get its number.
///
/// # Errors
/// [`OpenError::Inherit`] when nothing was.
pub fn inherited(request: &Request) -> Result<Option<OwnedFd>, OpenError> {
    match request.socket {
        HostSocket::Bound => Ok(None),
        HostSocket::Inherited => descriptors::take(LISTENER).map(Some).map_err(OpenError::Inherit),
    }
}

/// Makes a relay of the host's socket: the one that was `inherited`, or one that is bound here.
///
/// # Errors
/// [`OpenError`].
pub fn open(request: &Request, inherited: Option<OwnedFd>) -> Result<Port, OpenError> {
    let target = request.container();
    Ok(match request.protocol {
        Protocol::Tcp => Port::Tcp(TcpPort::new(listener(request, inherited)?, target)?),
        Protocol::Udp => Port::Udp(UdpPort::new(datagrams(request, inherited)?, target, udp::IDLE)?),
    })
}

fn listener(request: &Request, inherited: Option<OwnedFd>) -> Result<TcpListener, OpenError> {
    match inherited {
        None => inet::listen(request.host()).map_err(|source| bind_error(request, source)),
        Some(socket) => {
            let listener = TcpListener::from(of_kind(socket, inet::Kind::Stream)?);
            listener.set_nonblocking(true).map_err(OpenError::Inherit)?;
            // dockerd listens already, with the queue that it likes; a socket that is only bound is served, too.
            inet::listen_again(&listener).map_err(OpenError::Inherit)?;
            Ok(listener)
        }
    }
}

fn datagrams(request: &Request, inherited: Option<OwnedFd>) -> Result<UdpSocket, OpenError> {
    match inherited {
        None => inet::bind_datagrams(request.host()).map_err(|source| bind_error(request, source)),
        Some(socket) => Ok(UdpSocket::from(of_kind(socket, inet::Kind::Datagram)?)),
    }
}

fn of_kind(socket: OwnedFd, wanted: inet::Kind) -> Result<OwnedFd, OpenError> {
    let found = inet::kind_of(&socket).map_err(OpenError::Inherit)?;
    if found == Some(wanted) {
        return Ok(socket);
    }
    Err(OpenError::Kind { found: found.map_or("no internet socket", name), wanted: name(wanted) })
}

const fn name(kind: inet::Kind) -> &'static str {
    match kind {
        inet::Kind::Stream => "tcp",
        inet::Kind::Datagram => "udp",
    }
}

fn bind_error(request: &Request, source: io::Error) -> OpenError {
    let address = request.host();
    let family = match (request.protocol, address.is_ipv4()) {
        (Protocol::Tcp, true) => "tcp4",
        (Protocol::Tcp, false) => "tcp6",
        (Protocol::Udp, true) => "udp4",
        (Protocol::Udp, false) => "udp6",
    };
    OpenError::Bind { family, address, source }
}

/// The error's text as Go prints it: without the number, and not capitalised.
fn in_go_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    // musl and glibc differ in the commonest one.
    if error.kind() == io::ErrorKind::AddrInUse {
        return "address already in use".to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
