//! A port that is relayed, whatever it carries, and the loop of the program that relays one.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use corten_sys::{epoll::Event, poll, rlimit};

use crate::{pipes::Pipes, tcp::TcpPort, udp::UdpPort};

/// The descriptors a connection may hold: two sockets, and a pipe for each direction.
const DESCRIPTORS_EACH: usize = 6;
/// The descriptors of the program itself, of its empty pipes, and some to spare.
const DESCRIPTORS_SPARE: usize = 64;
/// The most clients of datagrams at once: more than a host has ports to answer them from. Beyond, and beyond the limit
/// of descriptors, the one of the same port that was silent longest gives way.
const MOST_CLIENTS: usize = 16384;
/// The longest datagram, and more.
const BUFFER_BYTES: usize = 1 << 16;

/// What all ports of a thread have in common.
#[derive(Debug)]
pub struct Shared {
    /// Empty pipes.
    pub pipes: Pipes,
    /// For the events of a turn.
    pub events: Vec<Event>,
    /// How many connections there are, and how many there may be.
    pub connections: usize,
    /// The most connections of streams.
    pub most_connections: usize,
    /// How many clients of datagrams there are.
    pub clients: usize,
    /// The most clients of datagrams.
    pub most_clients: usize,
    /// A buffer for a datagram; empty before the first.
    buffer: Vec<u8>,
}

impl Shared {
    /// Bounded by `descriptors`, the number this thread may have open.
    #[must_use]
    pub fn within(descriptors: u64) -> Shared {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_SPARE);
        Shared {
            pipes: Pipes::default(),
            events: Vec::new(),
            connections: 0,
            most_connections: (descriptors / DESCRIPTORS_EACH).max(1),
            clients: 0,
            most_clients: descriptors.clamp(1, MOST_CLIENTS),
            buffer: Vec::new(),
        }
    }

    /// Takes the buffer, to be put back by [`Shared::give_back`].
    pub fn take_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BUFFER_BYTES, 0);
        buffer
    }

    /// Puts the buffer back.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }
}

/// A port that is relayed.
#[derive(Debug)]
pub enum Port {
    /// Streams.
    Tcp(TcpPort),
    /// Datagrams.
    Udp(UdpPort),
}

/// When a port wants its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// When its descriptor is readable.
    Event,
    /// At once: it was interrupted so that others have theirs.
    Now,
    /// When its descriptor is readable, or after this time.
    After(Duration),
}

impl Port {
    /// Does what can be done without waiting, or a fair share of it.
    ///
    /// # Errors
    /// When the port cannot be served any more.
    pub fn turn(&mut self, shared: &mut Shared, now: Instant) -> io::Result<Next> {
        match self {
            Port::Tcp(port) => port.turn(shared),
            Port::Udp(port) => port.turn(shared, now),
        }
    }

    /// Takes nobody new from now on. What flows already goes on; a socket of datagrams stays bound for the answers.
    ///
    /// # Errors
    /// None are known.
    pub fn close_door(&mut self) -> io::Result<()> {
        match self {
            Port::Tcp(port) => port.close_door(),
            Port::Udp(port) => port.close_door(),
        }
    }

    /// Whether nothing flows through it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match self {
            Port::Tcp(port) => port.connections() == 0,
            Port::Udp(port) => port.clients() == 0,
        }
    }

    /// Ends everything that flows through it.
    pub fn end(self, shared: &mut Shared) {
        match self {
            Port::Tcp(port) => shared.connections -= port.connections(),
            Port::Udp(port) => shared.clients -= port.clients(),
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Port::Tcp(port) => port.as_fd(),
            Port::Udp(port) => port.as_fd(),
        }
    }
}

/// Relays `port` until `stop` is readable. All its connections end then.
///
/// # Errors
/// As [`Port::turn`].
pub fn until(stop: &impl AsFd, mut port: Port) -> io::Result<()> {
    let mut next = Next::Now;
    let mut shared = Shared::within(rlimit::open_files()?);
    loop {
        let patience = match next {
            Next::Event => None,
            Next::Now => Some(Duration::ZERO),
            Next::After(time) => Some(time),
        };
        if poll::readable(&[stop.as_fd(), port.as_fd()], patience)?[0] {
            return Ok(());
        }
        next = port.turn(&mut shared, Instant::now())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_bounded_by_descriptors() {
        assert_eq!(Shared::within(1024).most_connections, 160);
        assert_eq!(Shared::within(3).most_connections, 1);
    }
}
