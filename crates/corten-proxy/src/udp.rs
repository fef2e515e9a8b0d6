//! A port of datagrams: each client has a socket to the container of its own, by which the answers find their way back.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use corten_sys::{
    epoll::{Epoll, Interest},
    inet::{self, Datagram},
};

use crate::{
    relay::{Next, Shared},
    status::complain,
};

/// How long a client's socket lives without a datagram in either direction: docker-proxy's time.
pub const IDLE: Duration = Duration::from_secs(90);
/// How many events are taken in one turn.
const EVENTS_PER_TURN: usize = 128;
/// How many datagrams are taken from one socket in one turn, before others have theirs.
const DATAGRAMS_PER_TURN: usize = 64;
/// The token of the host's socket; clients count from 1.
const HOST: u64 = 0;

/// A bound socket and those who sent to it.
#[derive(Debug)]
pub struct UdpPort {
    socket: UdpSocket,
    target: SocketAddr,
    idle: Duration,
    epoll: Epoll,
    clients: HashMap<u64, Client>,
    numbers: HashMap<Key, u64>,
    /// Never used again, so that no event is taken for another client's.
    last: u64,
    /// When each client is to be looked at, the first one first: later than that when it has been heard since.
    expiry: VecDeque<(Instant, u64)>,
}

/// Who sent, and to which address of ours: the answer comes from there.
type Key = (SocketAddr, Option<IpAddr>);

#[derive(Debug)]
struct Client {
    key: Key,
    to_container: UdpSocket,
    last_heard: Instant,
}

impl UdpPort {
    /// Relays what arrives on `socket` to `target`; clients are forgotten after `idle`.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(socket: UdpSocket, target: SocketAddr, idle: Duration) -> io::Result<UdpPort> {
        inet::tell_destinations(&socket)?;
        let epoll = Epoll::new()?;
        epoll.add(&socket, HOST, Interest::Readable)?;
        Ok(UdpPort {
            socket,
            target,
            idle,
            epoll,
            clients: HashMap::new(),
            numbers: HashMap::new(),
            last: 0,
            expiry: VecDeque::new(),
        })
    }

    /// How many clients are remembered.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Its clients: who sends, to which address of ours, and a copy of the socket that the container knows him by. Of what
    /// cannot be copied the client begins anew.
    pub fn flows(&self) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, OwnedFd)> {
        self.clients.values().filter_map(|client| {
            let socket = client.to_container.as_fd().try_clone_to_owned().ok()?;
            Some((client.key.0, client.key.1, socket))
        })
    }

    /// Goes on with a client of another process. One that is known already, or too many, begins anew.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn adopt(
        &mut self,
        client: SocketAddr,
        destination: Option<IpAddr>,
        socket: OwnedFd,
        shared: &mut Shared,
        now: Instant,
    ) -> io::Result<()> {
        let key = (client, destination);
        if self.numbers.contains_key(&key) || shared.clients >= shared.most_clients {
            return Ok(());
        }
        self.remember(key, UdpSocket::from(socket), shared, now).map(drop)
    }

    /// Does what can be done without waiting, or a fair share of it.
    ///
    /// # Errors
    /// None are known. Datagrams that cannot be delivered are lost, as everywhere on the way.
    pub fn turn(&mut self, shared: &mut Shared, now: Instant) -> io::Result<Next> {
        self.forget_idle(shared, now);
        let mut events = std::mem::take(&mut shared.events);
        self.epoll.ready::<EVENTS_PER_TURN>(&mut events)?;
        let mut buffer = shared.take_buffer();
        for event in &events {
            match event.token {
                HOST => self.take_questions(shared, &mut buffer, now),
                client => self.take_answers(client, &mut buffer, now),
            }
        }
        shared.give_back(buffer);
        shared.events = events;
        Ok(self.expiry.front().map_or(Next::Event, |(due, _)| Next::After(due.saturating_duration_since(now))))
    }

    /// Takes no datagrams any more, but for answers to those that are known.
    ///
    /// # Errors
    /// None are known.
    pub fn close_door(&mut self) -> io::Result<()> {
        self.epoll.remove(&self.socket)
    }

    /// What clients sent goes to the container.
    fn take_questions(&mut self, shared: &mut Shared, buffer: &mut [u8], now: Instant) {
        for _ in 0..DATAGRAMS_PER_TURN {
            match inet::receive(&self.socket, buffer) {
                Ok(datagram) => self.forward(&datagram, buffer, shared, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What came of an answer to some client: the next call has the next datagram.
                Err(_) => {}
            }
        }
    }

    fn forward(&mut self, datagram: &Datagram, buffer: &[u8], shared: &mut Shared, now: Instant) {
        let client = match self.client((datagram.sender, datagram.destination), shared, now) {
            Ok(client) => client,
            Err(error) => {
                complain(format_args!("can't proxy a datagram to udp/{}: {error}", self.target));
                return;
            }
        };
        let bytes = &buffer[..datagram.length];
        let Some(client) = self.clients.get_mut(&client) else { return };
        client.last_heard = now;
        if client.to_container.send(bytes).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            // It speaks of an earlier datagram, and this one was not sent.
            let _ = client.to_container.send(bytes);
        }
    }

    /// The number of the client `key`, which is made known when it is not.
    fn client(&mut self, key: Key, shared: &mut Shared, now: Instant) -> io::Result<u64> {
        if let Some(number) = self.numbers.get(&key) {
            return Ok(*number);
        }
        if shared.clients >= shared.most_clients {
            self.forget_oldest(shared);
        }
        self.remember(key, connect(self.target)?, shared, now)
    }

    fn remember(&mut self, key: Key, to_container: UdpSocket, shared: &mut Shared, now: Instant) -> io::Result<u64> {
        let number = self.last + 1;
        self.epoll.add(&to_container, number, Interest::Readable)?;
        self.last = number;
        shared.clients += 1;
        self.clients.insert(number, Client { key, to_container, last_heard: now });
        self.numbers.insert(key, number);
        self.expiry.push_back((now + self.idle, number));
        Ok(number)
    }

    /// What the container sent to one client goes there.
    fn take_answers(&mut self, number: u64, buffer: &mut [u8], now: Instant) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        for _ in 0..DATAGRAMS_PER_TURN {
            let length = match client.to_container.recv(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody listens in the container, now; perhaps it is still starting.
                Err(_) => continue,
            };
            client.last_heard = now;
            let (receiver, source) = client.key;
            if inet::send(&self.socket, &buffer[..length], receiver, source).is_err() {
                // An error that was waiting is told once; where it is this datagram's own, it is lost.
                let _ = inet::send(&self.socket, &buffer[..length], receiver, source);
            }
        }
    }

    /// Forgets whoever was not heard for too long. A client that was heard since stands in the queue anew.
    fn forget_idle(&mut self, shared: &mut Shared, now: Instant) {
        while let Some((due, number)) = self.expiry.front().copied().filter(|(due, _)| *due <= now) {
            self.expiry.pop_front();
            let Some(client) = self.clients.get(&number) else { continue };
            let again = client.last_heard + self.idle;
            if again > due && again > now {
                self.expiry.push_back((again, number));
            } else {
                self.forget(shared, number);
            }
        }
    }

    /// Makes room: the first in the queue that was not heard since it was put there.
    fn forget_oldest(&mut self, shared: &mut Shared) {
        for _ in 0..=self.expiry.len() {
            let Some((due, number)) = self.expiry.pop_front() else { return };
            let Some(client) = self.clients.get(&number) else { continue };
            let again = client.last_heard + self.idle;
            if again <= due {
                return self.forget(shared, number);
            }
            self.expiry.push_back((again, number));
        }
    }

    fn forget(&mut self, shared: &mut Shared, number: u64) {
        if let Some(client) = self.clients.remove(&number) {
            self.numbers.remove(&client.key);
            shared.clients -= 1;
        }
    }
}

impl AsFd for UdpPort {
    /// Readable when a turn is to be taken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let any = if target.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
