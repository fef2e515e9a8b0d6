//! What is held for a container.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    str::FromStr,
};

use corten_sys::pidfd::PidFd;
use corten_types::Identifier;

/// What a port carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// As it is written everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Protocol, ()> {
        match text {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            _ => Err(()),
        }
    }
}

/// A port of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// What it carries.
    pub protocol: Protocol,
    /// Its address.
    pub host: SocketAddr,
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.protocol.name(), self.host)
    }
}

/// A reserved port and its socket.
#[derive(Debug)]
pub struct PortSocket {
    /// Which.
    pub port: Port,
    /// Where it is relayed to; `None`: it is only held, and translation of addresses does the rest.
    pub target: Option<SocketAddr>,
    /// The socket of [`reserve`](crate::reserve()).
    pub socket: OwnedFd,
}

/// A container's resolver: what was made in its network namespace.
#[derive(Debug)]
pub struct Resolver {
    /// Bound to 127.0.0.11 and some port.
    pub udp: OwnedFd,
    /// Bound to 127.0.0.11 and some port, listening.
    pub tcp: OwnedFd,
    /// The namespace itself, where queries are forwarded from.
    pub namespace: OwnedFd,
}

/// Everything to be held for a container, or more of it: what is held already stays, but for a port named anew.
#[derive(Debug)]
pub struct Hold {
    /// Whose.
    pub container: Identifier,
    /// Its init; with its end everything is let go.
    pub init: PidFd,
    /// Its ports.
    pub ports: Vec<PortSocket>,
    /// Its resolver, in the place of one that it has; needs the container's file of [`names`](crate::names).
    pub resolver: Option<Resolver>,
    /// Clients of its ports of datagrams, from whoever relayed them before.
    pub flows: Vec<Flow>,
}

/// A client of a relayed port of datagrams. The container knows it by the address of the socket.
#[derive(Debug)]
pub struct Flow {
    /// Which port.
    pub port: Port,
    /// Who sends.
    pub client: SocketAddr,
    /// The host's address it sends to, where that is known.
    pub destination: Option<IpAddr>,
    /// Connected to the container.
    pub socket: OwnedFd,
}

impl Hold {
    /// Of nothing yet.
    #[must_use]
    pub fn new(container: Identifier, init: PidFd) -> Hold {
        Hold { container, init, ports: Vec::new(), resolver: None, flows: Vec::new() }
    }
}

impl Resolver {
    /// In the order they travel in.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.udp.as_fd(), self.tcp.as_fd(), self.namespace.as_fd()]
    }
}

/// What corten-proxy says that it holds for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose.
    pub container: Identifier,
    /// Its ports.
    pub ports: Vec<HeldPort>,
    /// Whether its names are answered.
    pub has_resolver: bool,
}

/// A port that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldPort {
    /// Which.
    pub port: Port,
    /// Where it is relayed to, when it is.
    pub target: Option<SocketAddr>,
}

/// Whose file of [`names`](crate::names) is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All of a network.
    Network(Identifier),
    /// A container's.
    Container(Identifier),
    /// That of a container in a network.
    Host {
        /// The network.
        network: Identifier,
        /// The container.
        container: Identifier,
    },
}
