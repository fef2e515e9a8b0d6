//! The ports that are relayed: which wants a turn, and when.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use corten_relay::Flow;
use corten_sys::epoll::{Epoll, Interest};

use crate::{
    relay::{Next, Port, Shared},
    status::complain,
};

/// How long connections of a container that is gone may take to deliver what was sent before.
const DELIVERY: Duration = Duration::from_secs(10);

/// All of them, by token.
#[derive(Debug)]
pub struct Ports {
    ports: HashMap<u64, Relayed>,
    /// When each of them that asked for it is looked at.
    due: BTreeSet<(Instant, u64)>,
    /// Those that have more to do at once.
    again: VecDeque<u64>,
    shared: Shared,
}

#[derive(Debug)]
struct Relayed {
    port: Port,
    due: Option<Instant>,
    /// It takes nobody new, and ends when nothing flows any more.
    is_closing: bool,
    /// It ends then in any case.
    ends: Option<Instant>,
}

impl Ports {
    /// None yet; `descriptors` is how many they may have open.
    pub fn new(descriptors: u64) -> Ports {
        Ports {
            ports: HashMap::new(),
            due: BTreeSet::new(),
            again: VecDeque::new(),
            shared: Shared::within(descriptors),
        }
    }

    /// Relays `port` as `token`.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn add(&mut self, epoll: &Epoll, token: u64, port: Port) -> io::Result<()> {
        epoll.add(port.as_fd(), token, Interest::Readable)?;
        self.ports.insert(token, Relayed { port, due: None, is_closing: false, ends: None });
        Ok(())
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Lets nobody in any more at `token`. Streams go on until they have ended, for a container that is gone not long;
    /// datagrams do not: who relays the port from now on has its clients.
    pub fn close(&mut self, token: u64, why: Closing, now: Instant) {
        let Some(relayed) = self.ports.get_mut(&token) else { return };
        let closed = if relayed.is_closing { Ok(()) } else { relayed.port.close_door() };
        relayed.is_closing = true;
        if why == Closing::Gone {
            let ends = now + DELIVERY;
            relayed.ends = Some(ends);
            self.due.insert((ends, token));
        }
        let is_over = matches!(relayed.port, Port::Udp(_));
        if closed.is_err() || is_over || relayed.port.is_idle() {
            self.end(token);
        }
    }

    /// The clients of a port of datagrams.
    pub fn flows(&self, token: u64) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, OwnedFd)> {
        let port = match self.ports.get(&token).map(|relayed| &relayed.port) {
            Some(Port::Udp(port)) => Some(port),
            _ => None,
        };
        port.into_iter().flat_map(|port| port.flows())
    }

    /// Goes on with a client of another process.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn adopt(&mut self, token: u64, flow: Flow, now: Instant) -> io::Result<()> {
        let Some(Relayed { port: Port::Udp(port), due, .. }) = self.ports.get_mut(&token) else { return Ok(()) };
        port.adopt(flow.client, flow.destination, flow.socket, &mut self.shared, now)?;
        if due.is_none() {
            // A turn tells when the client is to be forgotten.
            self.again.push_back(token);
        }
        Ok(())
    }

    /// When the next turn is to be taken that no event asks for.
    pub fn next_due(&self, now: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        self.due.first().map(|(due, _)| due.saturating_duration_since(now))
    }

    /// Takes the turns that were asked for.
    pub fn turns(&mut self, now: Instant) {
        for _ in 0..self.again.len() {
            let Some(token) = self.again.pop_front() else { break };
            self.turn(token, now);
        }
        while let Some((due, token)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, token));
            let Some(relayed) = self.ports.get_mut(&token) else { continue };
            if relayed.ends.is_some_and(|ends| ends <= now) {
                self.end(token);
            } else if relayed.due == Some(due) {
                relayed.due = None;
                self.turn(token, now);
            }
        }
    }

    /// Takes the turn of `token`.
    pub fn turn(&mut self, token: u64, now: Instant) {
        let Some(relayed) = self.ports.get_mut(&token) else { return };
        let next = match relayed.port.turn(&mut self.shared, now) {
            Ok(next) => next,
            Err(error) => {
                complain(format_args!("a port is not relayed any more: {error}"));
                return self.end(token);
            }
        };
        if relayed.is_closing && relayed.port.is_idle() {
            return self.end(token);
        }
        if let Some(due) = relayed.due.take() {
            self.due.remove(&(due, token));
        }
        match next {
            Next::Event => {}
            Next::Now => self.again.push_back(token),
            Next::After(time) => {
                let due = now + time;
                relayed.due = Some(due);
                self.due.insert((due, token));
            }
        }
    }

    fn end(&mut self, token: u64) {
        if let Some(relayed) = self.ports.remove(&token) {
            for due in relayed.due.into_iter().chain(relayed.ends) {
                self.due.remove(&(due, token));
            }
            relayed.port.end(&mut self.shared);
        }
    }
}

/// Why a port lets nobody in any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Its container is gone, or does not publish it any more.
    Gone,
    /// Another process relays it.
    Taken,
}
