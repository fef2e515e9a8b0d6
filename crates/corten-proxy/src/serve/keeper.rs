//! The thread that holds ports, relays some of them, and obeys the engine.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use corten_relay::{Flow, Hold, Port, PortSocket, Subject, server};
use corten_sys::{
    epoll::{Epoll, Event, Interest},
    pidfd::PidFd,
    poll, rlimit,
};
use corten_types::Identifier;

use super::{
    copy,
    holdings::{self, HeldSocket, Holding},
    ports::{Closing, Ports},
    sandbox::Sandbox,
};
use crate::resolver::{Sockets, handle::Handle};

/// How many events are taken in one turn.
const EVENTS_PER_TURN: usize = 128;
/// The most engines at once: one, one that ends, one that comes, and who asks by hand.
const MOST_CONNECTIONS: usize = 32;
/// The descriptors that connections of ports leave to everything else: what is held, and names.
const DESCRIPTORS_KEPT_DIVISOR: u64 = 2;

/// The most clients of datagrams of a container that are handed over: a share of the descriptors both processes have.
const MOST_FLOWS: usize = 1024;

/// Everything of this thread.
#[derive(Debug)]
pub struct Keeper {
    epoll: Epoll,
    sources: HashMap<u64, Source>,
    /// Never used again, so that no event is taken for another one's.
    last: u64,
    /// `None` before it listens, and when another has taken over.
    door: Option<Door>,
    connections: HashMap<u64, OwnedFd>,
    pub(super) holdings: BTreeMap<Identifier, Holding>,
    ports: Ports,
    resolver: Handle,
    sandboxes: Option<PathBuf>,
    linger: Duration,
    /// Since when nothing is held and nobody connected.
    idle_since: Option<Instant>,
    has_left: bool,
    has_resolver_left: bool,
}

/// Where engines come in, and the lock that says that they do here.
#[derive(Debug)]
struct Door {
    listener: OwnedFd,
    /// Given up for a moment where there is none to accept with: who waits is sent away then.
    spare: Option<File>,
    _lock: File,
}

/// What an event speaks of.
#[derive(Debug, Clone)]
enum Source {
    Door,
    Connection,
    Init(Identifier),
    ResolverGone,
}

impl Keeper {
    /// Holding nothing.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(names: &Path, sandboxes: Option<PathBuf>, linger: Duration) -> io::Result<Keeper> {
        Ok(Keeper {
            epoll: Epoll::new()?,
            sources: HashMap::new(),
            last: 0,
            door: None,
            connections: HashMap::new(),
            holdings: BTreeMap::new(),
            ports: Ports::new(rlimit::open_files()? / DESCRIPTORS_KEPT_DIVISOR),
            resolver: Handle::start(names)?,
            sandboxes,
            linger,
            idle_since: None,
            has_left: false,
            has_resolver_left: false,
        })
    }

    /// Lets engines in by `listener` while it has `lock`.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn listen(&mut self, listener: OwnedFd, lock: File) -> io::Result<()> {
        self.watch(&listener, Source::Door)?;
        self.door = Some(Door { listener, spare: spare().ok(), _lock: lock });
        Ok(())
    }

    /// Serves until there is nothing to do any more.
    ///
    /// # Errors
    /// None are known.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_PER_TURN);
        loop {
            let now = Instant::now();
            let Some(patience) = self.patience(now) else { return Ok(()) };
            self.epoll.wait::<EVENTS_PER_TURN>(patience, &mut events)?;
            let now = Instant::now();
            events.iter().for_each(|event| self.take(event, now));
            self.ports.turns(now);
        }
    }

    /// How long to wait for an event; `None` when there is nothing to wait for.
    fn patience(&mut self, now: Instant) -> Option<Option<Duration>> {
        if self.has_left {
            let is_over = self.ports.is_empty() && self.has_resolver_left;
            return (!is_over).then(|| self.ports.next_due(now));
        }
        let is_empty = self.holdings.is_empty() && self.ports.is_empty();
        if !is_empty || !self.connections.is_empty() {
            self.idle_since = None;
            return Some(self.ports.next_due(now));
        }
        let ends = *self.idle_since.get_or_insert(now) + self.linger;
        (ends > now).then(|| Some(ends - now))
    }

    fn take(&mut self, event: &Event, now: Instant) {
        match self.sources.get(&event.token).cloned() {
            Some(Source::Init(container)) => self.ended(&container, now),
            Some(Source::Connection) => self.obey(event.token, now),
            Some(Source::Door) => self.let_in(),
            Some(Source::ResolverGone) => {
                self.has_resolver_left = true;
                self.sources.remove(&event.token);
                let _ = self.epoll.remove(self.resolver.gone()); // it was in the set
            }
            None => self.ports.turn(event.token, now),
        }
    }

    fn let_in(&mut self) {
        let Some(door) = &mut self.door else { return };
        let connection = match server::accept(&door.listener) {
            Ok(connection) => connection,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {
                door.spare = None;
                drop(server::accept(&door.listener));
                door.spare = spare().ok();
                return;
            }
        };
        // Beyond the bound it is closed, and so is one that cannot be waited for.
        if self.connections.len() < MOST_CONNECTIONS
            && let Ok(token) = self.watch(&connection, Source::Connection)
        {
            self.connections.insert(token, connection);
        }
    }

    /// Does what the engine at `token` says, once.
    fn obey(&mut self, token: u64, now: Instant) {
        let Some(connection) = self.connections.remove(&token) else { return };
        match self.answer(&connection, now) {
            Ok(true) if !self.has_left => drop(self.connections.insert(token, connection)),
            // It has left, or does not read what it asked for.
            Ok(_) | Err(_) => drop(self.sources.remove(&token)),
        }
        if self.has_left {
            // Engines look for the new one.
            self.connections.clear();
        }
    }

    /// Holds all of `hold`. The sentence says what cannot be held; what came before it stays.
    ///
    /// # Errors
    /// The sentence.
    pub fn hold(&mut self, hold: Hold) -> Result<(), String> {
        let Hold { container, init, ports, resolver, flows } = hold;
        let now = Instant::now();
        if let Some(holding) = self.holdings.get(&container)
            && has_ended(&holding.init)
        {
            // Of an earlier run of the container; its end has not been told yet.
            self.drop_container(&container, now);
        }
        if !self.holdings.contains_key(&container) {
            let token = self
                .watch(&init, Source::Init(container.clone()))
                .map_err(|error| format!("watch the init of container {container}: {error}"))?;
            let sandbox = self.sandboxes.as_ref().and_then(|directory| Sandbox::find(directory, &container));
            self.holdings.insert(
                container.clone(),
                Holding { init, token, ports: BTreeMap::new(), resolver: None, left: Vec::new(), sandbox },
            );
        }
        for socket in ports {
            let port = socket.port;
            self.hold_port(&container, socket, now)
                .map_err(|why| format!("hold {port} of container {container}: {why}"))?;
        }
        for flow in flows {
            self.adopt(&container, flow, now)?;
        }
        if let Some(resolver) = resolver {
            let sockets = Arc::new(Sockets::new(resolver)?);
            self.resolver.serve(&container, sockets.clone())?;
            if let Some(holding) = self.holdings.get_mut(&container) {
                holding.resolver = Some(sockets);
            }
        }
        Ok(())
    }

    /// Goes on with a client of datagrams, where its port is relayed.
    fn adopt(&mut self, container: &Identifier, flow: Flow, now: Instant) -> Result<(), String> {
        holdings::check(flow.port, &flow.socket)?;
        let port = self.holdings.get(container).and_then(|holding| holding.ports.get(&flow.port));
        match port.and_then(|held| held.relay) {
            Some(token) => self.ports.adopt(token, flow, now).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Copies of everything of a container, for whoever takes over.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(super) fn copies(&self, container: &Identifier, holding: &Holding) -> io::Result<Hold> {
        let mut hold = holding.copies(container)?;
        for (port, held) in &holding.ports {
            let Some(token) = held.relay else { continue };
            let room = MOST_FLOWS.saturating_sub(hold.flows.len());
            let flow = |(client, destination, socket)| Flow { port: *port, client, destination, socket };
            hold.flows.extend(self.ports.flows(token).take(room).map(flow));
        }
        Ok(hold)
    }

    fn hold_port(&mut self, container: &Identifier, socket: PortSocket, now: Instant) -> Result<(), String> {
        let PortSocket { port, target, socket } = socket;
        holdings::check(port, &socket)?;
        self.drop_ports(container, &[port], now);
        let relay = match target {
            None => None,
            Some(target) => Some(self.relay(&socket, port, target).map_err(|error| error.to_string())?),
        };
        if let Some(holding) = self.holdings.get_mut(container) {
            holding.ports.insert(port, HeldSocket { target, relay, socket });
        }
        Ok(())
    }

    fn relay(&mut self, socket: &OwnedFd, port: Port, target: SocketAddr) -> io::Result<u64> {
        let port = holdings::relay(copy(socket)?, port.protocol, target)?;
        let token = self.last + 1;
        self.ports.add(&self.epoll, token, port)?;
        self.last = token;
        Ok(token)
    }

    /// Lets go of some ports.
    pub(super) fn drop_ports(&mut self, container: &Identifier, ports: &[Port], now: Instant) {
        let Some(holding) = self.holdings.get_mut(container) else { return };
        for held in ports.iter().filter_map(|port| holding.ports.remove(port)) {
            if let Some(token) = held.relay {
                self.ports.close(token, Closing::Gone, now);
            }
        }
    }

    /// A container has ended. An engine that is connected takes its network back; with none the namespace would stay.
    fn ended(&mut self, container: &Identifier, now: Instant) {
        let sandbox = self.holdings.get_mut(container).and_then(|holding| holding.sandbox.take());
        self.drop_container(container, now);
        if self.connections.is_empty()
            && let Some(sandbox) = sandbox
        {
            sandbox.let_go();
        }
    }

    /// Lets go of all of a container's.
    pub(super) fn drop_container(&mut self, container: &Identifier, now: Instant) {
        let Some(holding) = self.holdings.remove(container) else { return };
        self.sources.remove(&holding.token);
        // Another process may have a copy, which keeps it in the set when it is closed here.
        let _ = self.epoll.remove(&holding.init);
        for token in holding.ports.values().filter_map(|held| held.relay).chain(holding.left.iter().copied()) {
            self.ports.close(token, Closing::Gone, now);
        }
        drop(holding);
        // With the answer nothing of its network namespace is held.
        self.resolver.drop_container(container);
    }

    /// Reads files of names again.
    pub(super) fn refresh(&mut self, subjects: Vec<Subject>) -> Result<(), String> {
        self.resolver.refresh(subjects)
    }

    /// Another process has copies of everything: nothing new is let in, and the lock is free. What flows goes on; the
    /// containers whose connections flow are watched still.
    pub(super) fn leave(&mut self, now: Instant) -> Result<(), String> {
        let door = self.door.take().ok_or("somebody else has taken everything over")?;
        let _ = self.epoll.remove(&door.listener);
        drop(door);
        self.has_left = true;
        self.resolver.leave();
        let gone = self.epoll.add(self.resolver.gone(), self.last + 1, Interest::Readable);
        gone.map_err(|error| error.to_string())?;
        self.last += 1;
        self.sources.insert(self.last, Source::ResolverGone);
        for holding in self.holdings.values_mut() {
            holding.resolver = None;
            for held in std::mem::take(&mut holding.ports).into_values() {
                if let Some(token) = held.relay {
                    self.ports.close(token, Closing::Taken, now);
                    holding.left.push(token);
                }
            }
        }
        Ok(())
    }

    fn watch(&mut self, fd: impl AsFd, source: Source) -> io::Result<u64> {
        let token = self.last + 1;
        self.epoll.add(fd, token, Interest::Readable)?;
        self.last = token;
        self.sources.insert(token, source);
        Ok(token)
    }
}

/// Whether a process has ended; one that cannot be asked has not.
fn has_ended(process: &PidFd) -> bool {
    poll::readable(&[process.as_fd()], Some(Duration::ZERO)).is_ok_and(|ended| ended == [true])
}

fn spare() -> io::Result<File> {
    File::open("/dev/null")
}
