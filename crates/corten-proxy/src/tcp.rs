//! A port of streams: every client that connects is connected to the container.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use corten_sys::{
    epoll::{Epoll, Interest},
    inet::{self, AcceptError},
};

use crate::{
    connection::{Connection, Turn, Verdict, Which},
    relay::{Next, Shared},
    status::complain,
};

/// How many events are taken in one turn.
const EVENTS_PER_TURN: usize = 128;
/// How many clients are accepted in one turn, before those that are connected have theirs.
const ACCEPTED_PER_TURN: usize = 64;
/// How long nobody is accepted after the system ran out of descriptors or memory, should no connection end before.
const EXHAUSTED: Duration = Duration::from_secs(1);
/// The listener's token; connections count from 1, and have two.
const LISTENER: u64 = 0;

/// A listening socket and what came of it.
#[derive(Debug)]
pub struct TcpPort {
    /// `None` once the door is closed.
    listener: Option<TcpListener>,
    target: SocketAddr,
    epoll: Epoll,
    connections: HashMap<u64, Connection>,
    /// Numbers are never used again, so that no event is taken for another connection's.
    last: u64,
    /// Those that have a turn to take, each once.
    waiting: VecDeque<u64>,
    accepting: Accepting,
}

/// Whether clients are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepting {
    Yes,
    /// Not before a connection ends, or time has gone by: they wait in the listener's queue.
    Exhausted,
}

impl TcpPort {
    /// Relays what connects to `listener`, which must not wait, to `target`.
    ///
    /// Connections are bounded by [`Shared`]; beyond, clients wait in the listener's queue.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(listener: TcpListener, target: SocketAddr) -> io::Result<TcpPort> {
        let epoll = Epoll::new()?;
        epoll.add(&listener, LISTENER, Interest::Readable)?;
        Ok(TcpPort {
            listener: Some(listener),
            target,
            epoll,
            connections: HashMap::new(),
            last: 0,
            waiting: VecDeque::new(),
            accepting: Accepting::Yes,
        })
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Does what can be done without waiting, or a fair share of it.
    ///
    /// # Errors
    /// When the listener is broken. Connections that break are closed, and said to standard error where the container
    /// could not be reached.
    pub fn turn(&mut self, shared: &mut Shared) -> io::Result<Next> {
        let mut events = std::mem::take(&mut shared.events);
        self.epoll.ready::<EVENTS_PER_TURN>(&mut events)?;
        let mut has_clients = self.accepting == Accepting::Exhausted;
        for event in &events {
            let (number, which) = connection_of(event.token);
            if event.token == LISTENER {
                has_clients = true;
            } else if let Some(connection) = self.connections.get_mut(&number)
                && connection.note(which, event) == Turn::Wanted
            {
                self.waiting.push_back(number);
            }
        }
        shared.events = events;
        for _ in 0..self.waiting.len() {
            let Some(number) = self.waiting.pop_front() else { break };
            self.turn_of(number, shared);
        }
        if has_clients {
            self.accept(shared)?;
        }
        Ok(match (self.waiting.is_empty(), self.accepting) {
            (false, _) => Next::Now,
            (true, Accepting::Yes) => Next::Event,
            (true, Accepting::Exhausted) => Next::After(EXHAUSTED),
        })
    }

    /// Accepts nobody any more; who is connected stays so.
    ///
    /// # Errors
    /// None are known.
    pub fn close_door(&mut self) -> io::Result<()> {
        if let Some(listener) = self.listener.take()
            && self.accepting == Accepting::Yes
        {
            // Another process may have a copy, which keeps it in the set when it is closed here.
            self.epoll.remove(&listener)?;
        }
        self.accepting = Accepting::Yes;
        Ok(())
    }

    fn turn_of(&mut self, number: u64, shared: &mut Shared) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match connection.turn(&mut shared.pipes) {
            Verdict::Waits => return,
            Verdict::HasMore => return self.waiting.push_back(number),
            Verdict::Over => {}
            Verdict::Unreachable(error) => self.tell(&error),
            Verdict::Starved(error) => {
                complain(format_args!("no pipe for a connection to {}: {error}", self.target));
            }
        }
        if let Some(connection) = self.connections.remove(&number) {
            connection.close();
            shared.connections -= 1;
        }
    }

    fn accept(&mut self, shared: &mut Shared) -> io::Result<()> {
        for _ in 0..ACCEPTED_PER_TURN {
            let Some(listener) = &self.listener else { return Ok(()) };
            if shared.connections >= shared.most_connections {
                return self.set_accepting(Accepting::Exhausted);
            }
            match listener.accept() {
                Ok((client, _)) => self.connect(client, shared),
                Err(error) => match inet::accept_error(&error) {
                    AcceptError::Nobody => break,
                    AcceptError::Exhausted => return self.set_accepting(Accepting::Exhausted),
                    AcceptError::NoListener => return Err(error),
                    AcceptError::OneLost => {}
                },
            }
        }
        self.set_accepting(Accepting::Yes)
    }

    /// Begins a connection for `client`. What fails ends it, and it alone.
    fn connect(&mut self, client: TcpStream, shared: &mut Shared) {
        let connection =
            inet::begin_connect(self.target).and_then(|container| Connection::new(client, container)).and_then(|new| {
                let number = self.last + 1;
                self.epoll.add(new.socket(Which::Client), token(number, Which::Client), Interest::Edges)?;
                self.epoll.add(new.socket(Which::Container), token(number, Which::Container), Interest::Edges)?;
                Ok(new)
            });
        match connection {
            Ok(connection) => {
                self.last += 1;
                shared.connections += 1;
                self.connections.insert(self.last, connection);
            }
            Err(error) => self.tell(&error),
        }
    }

    fn tell(&self, error: &io::Error) {
        complain(format_args!("can't forward traffic to backend tcp/{}: {error}", self.target));
    }

    /// Listens to the listener, or not: its event would come again and again while nobody is accepted.
    fn set_accepting(&mut self, accepting: Accepting) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        match (self.accepting, accepting) {
            (Accepting::Yes, Accepting::Exhausted) => self.epoll.remove(listener)?,
            (Accepting::Exhausted, Accepting::Yes) => self.epoll.add(listener, LISTENER, Interest::Readable)?,
            _ => {}
        }
        self.accepting = accepting;
        Ok(())
    }
}

impl AsFd for TcpPort {
    /// Readable when a turn is to be taken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

const fn token(number: u64, which: Which) -> u64 {
    match which {
        Which::Client => number << 1,
        Which::Container => number << 1 | 1,
    }
}

const fn connection_of(token: u64) -> (u64, Which) {
    (token >> 1, if token & 1 == 0 { Which::Client } else { Which::Container })
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};

    use corten_sys::poll;

    use super::*;

    const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = inet::listen("127.0.0.1:0".parse().expect("an address")).expect("listening");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    }

    fn turn(port: &mut TcpPort) {
        poll::readable(&[port.as_fd()], PATIENCE).expect("polled");
        let mut shared = Shared::within(1024);
        shared.connections = port.connections();
        port.turn(&mut shared).expect("taken");
    }

    /// A client, a container, and a port between them that has begun to connect them and does not know yet that it has.
    fn half_way() -> (TcpPort, TcpStream, TcpStream) {
        let ((host, host_address), (container, container_address)) = (listener(), listener());
        let mut port = TcpPort::new(host, container_address).expect("made");
        let client = TcpStream::connect(host_address).expect("connected");
        turn(&mut port);
        assert_eq!(port.connections(), 1);
        poll::readable(&[container.as_fd()], PATIENCE).expect("polled");
        let (server, _) = container.accept().expect("the port has begun to connect");
        server.set_nonblocking(false).expect("a flag");
        (port, client, server)
    }

    #[test]
    fn what_is_sent_before_a_reset_arrives_however_soon_that_comes() {
        for from_client in [true, false] {
            let (mut port, client, server) = half_way();
            let (mut one, mut other) = if from_client { (client, server) } else { (server, client) };
            one.write_all(b"last").expect("written");
            inet::reset(one);
            while port.connections() > 0 {
                turn(&mut port);
            }
            other.set_read_timeout(PATIENCE).expect("set");
            other.read_exact(&mut [0; 4]).expect("what was sent arrives");
            assert_eq!(other.read(&mut [0]).expect_err("reset").kind(), ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn tokens_lead_back_to_their_connection() {
        for which in [Which::Client, Which::Container] {
            assert_eq!(connection_of(token(7, which)), (7, which));
            assert_ne!(token(1, which), LISTENER);
        }
    }
}
