//! A port that is relayed, whatever it carries, and the program's loop.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use corten_sys::poll;

use crate::{tcp::TcpPort, udp::UdpPort};

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
    pub fn turn(&mut self, now: Instant) -> io::Result<Next> {
        match self {
            Port::Tcp(port) => port.turn(),
            Port::Udp(port) => port.turn(now),
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
    loop {
        let patience = match next {
            Next::Event => None,
            Next::Now => Some(Duration::ZERO),
            Next::After(time) => Some(time),
        };
        if poll::readable(&[stop.as_fd(), port.as_fd()], patience)?[0] {
            return Ok(());
        }
        next = port.turn(Instant::now())?;
    }
}
