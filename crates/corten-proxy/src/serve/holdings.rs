//! What is held for each container.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    sync::Arc,
};

use corten_relay::{Held, HeldPort, Hold, Port, PortSocket, Protocol};
use corten_sys::{
    inet::{self, Kind},
    pidfd::PidFd,
};
use corten_types::Identifier;

use super::{copy, sandbox::Sandbox};
use crate::{
    relay,
    resolver::Sockets,
    tcp::TcpPort,
    udp::{self, UdpPort},
};

/// All of a container's.
#[derive(Debug)]
pub struct Holding {
    /// Its init, and the token that speaks of its end.
    pub init: PidFd,
    /// The token.
    pub token: u64,
    /// Its ports.
    pub ports: BTreeMap<Port, HeldSocket>,
    /// What its names are answered on.
    pub resolver: Option<Arc<Sockets>>,
    /// The relays of its ports whose sockets another process has taken: what flows goes on.
    pub left: Vec<u64>,
    /// Its network namespace, where its engine has bound it.
    pub sandbox: Option<Sandbox>,
}

/// A port's socket.
#[derive(Debug)]
pub struct HeldSocket {
    /// Where it is relayed to.
    pub target: Option<SocketAddr>,
    /// The token of its relay, when it has one.
    pub relay: Option<u64>,
    /// The socket, for whoever takes over.
    pub socket: OwnedFd,
}

impl Holding {
    /// What is told of it.
    pub fn told(&self, container: &Identifier) -> Held {
        let ports = self.ports.iter().map(|(port, held)| HeldPort { port: *port, target: held.target }).collect();
        Held { container: container.clone(), ports, has_resolver: self.resolver.is_some() }
    }

    /// Copies of everything.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn copies(&self, container: &Identifier) -> io::Result<Hold> {
        let mut hold = Hold::new(container.clone(), PidFd::from_owned(copy(&self.init)?));
        for (port, held) in &self.ports {
            hold.ports.push(PortSocket { port: *port, target: held.target, socket: copy(&held.socket)? });
        }
        hold.resolver = self.resolver.as_ref().map(|sockets| sockets.copies()).transpose()?;
        Ok(hold)
    }
}

/// A relay of a reserved socket, which drops nothing any more.
///
/// # Errors
/// `EPROTOTYPE` for a socket of another kind; `EMFILE`.
pub fn relay(socket: OwnedFd, protocol: Protocol, target: SocketAddr) -> io::Result<relay::Port> {
    Ok(match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            inet::listen_again(&listener)?;
            inet::stop_dropping(&listener)?;
            relay::Port::Tcp(TcpPort::new(listener, target)?)
        }
        Protocol::Udp => {
            let socket = UdpSocket::from(socket);
            socket.set_nonblocking(true)?;
            inet::stop_dropping(&socket)?;
            relay::Port::Udp(UdpPort::new(socket, target, udp::IDLE)?)
        }
    })
}

/// Whether `socket` is one that `port` can be.
///
/// # Errors
/// What it is instead.
pub fn check(port: Port, socket: &OwnedFd) -> Result<(), String> {
    let wanted = match port.protocol {
        Protocol::Tcp => Kind::Stream,
        Protocol::Udp => Kind::Datagram,
    };
    match inet::kind_of(socket) {
        Ok(Some(found)) if found == wanted => Ok(()),
        Ok(_) => Err(format!("what came for {port} is no socket of that kind")),
        Err(error) => Err(format!("what came for {port} is no socket: {error}")),
    }
}
