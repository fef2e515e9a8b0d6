//! The thread itself: what is ready gets its share of a turn, one after the other.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io,
    sync::{Arc, mpsc::TryRecvError},
    time::{Duration, Instant},
};

use corten_relay::{
    Subject,
    names::{Directory, NetworkNames},
};
use corten_sys::{
    datagrams::{self, Datagram, Inbox, Outbox},
    epoll::{Epoll, Event, Interest},
    rlimit,
};
use corten_types::Identifier;

use super::{
    Sockets,
    client::Client,
    forward::{Asker, Forward, MOST_OF_ALL},
    handle::{Command, Orders},
    message::Transport,
    respond::{Outcome, refuse, respond},
    zones::{View, Zone, Zones},
};

/// How many events are taken in one turn.
const EVENTS_PER_TURN: usize = 128;
/// How often as many datagrams as one call takes are taken from one container in one turn, before others have theirs.
const BATCHES_PER_TURN: usize = 2;
/// How many clients with streams a container may have; more wait in the listener's queue.
const MOST_CLIENTS: usize = 64;
/// How long a client with a stream may say nothing.
const CLIENT_IDLE: Duration = Duration::from_secs(10);
/// How long nobody with a stream is let in after the system ran out of descriptors.
const EXHAUSTED: Duration = Duration::from_secs(1);
/// The longest message, and more.
pub(super) const BUFFER_BYTES: usize = 1 << 16;
/// One query on its way for so many of the process's descriptors: it may have three, and half of all are for ports.
const DESCRIPTORS_DIVISOR: u64 = 8;

/// Everything of this thread.
#[derive(Debug)]
pub(super) struct Answering {
    pub epoll: Epoll,
    orders: Orders,
    names: Directory,
    /// The host's network namespace.
    pub home: File,
    pub sources: HashMap<u64, Source>,
    last: u64,
    numbers: HashMap<Identifier, u64>,
    pub containers: HashMap<u64, Container>,
    zones: Zones,
    pub clients: HashMap<u64, (Client, Instant)>,
    pub forwards: HashMap<u64, Forward>,
    /// When each forward and each client is looked at.
    pub due: BTreeSet<(Instant, u64)>,
    pub most_forwards: usize,
    /// The clients with streams that have a turn to take which no event asks for.
    pub wanting: Vec<u64>,
    turn: usize,
    inbox: Inbox,
    outbox: Outbox,
    pub buffer: Vec<u8>,
    pub out: Vec<u8>,
    has_left: bool,
}

/// A container whose names are answered.
#[derive(Debug)]
pub(super) struct Container {
    pub sockets: Arc<Sockets>,
    /// Of the listener; `None` while enough clients are connected.
    tcp: Option<u64>,
    udp: u64,
    pub view: View,
    pub forwards: usize,
    clients: usize,
}

/// What an event speaks of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Orders,
    Datagrams(u64),
    Listener(u64),
    Client,
    Server(u64),
}

impl Answering {
    pub fn new(names: Directory, orders: Orders) -> io::Result<Answering> {
        let share = usize::try_from(rlimit::open_files()? / DESCRIPTORS_DIVISOR).unwrap_or(usize::MAX);
        let mut new = Answering {
            epoll: Epoll::new()?,
            orders,
            names,
            home: File::open("/proc/self/ns/net")?,
            sources: HashMap::new(),
            last: 0,
            numbers: HashMap::new(),
            containers: HashMap::new(),
            zones: Zones::default(),
            clients: HashMap::new(),
            forwards: HashMap::new(),
            due: BTreeSet::new(),
            most_forwards: share.min(MOST_OF_ALL),
            wanting: Vec::new(),
            turn: 0,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            buffer: Vec::new(),
            out: Vec::new(),
            has_left: false,
        };
        let wake = new.orders.wake.clone();
        new.watch(&*wake, Source::Orders, Interest::Readable)?;
        Ok(new)
    }

    pub fn run(&mut self) {
        let mut events = Vec::with_capacity(EVENTS_PER_TURN);
        loop {
            let done = self.has_left && self.forwards.is_empty() && self.clients.is_empty();
            if done {
                self.containers.clear();
                let _ = self.orders.gone.signal(); // it cannot fail
                return;
            }
            let now = Instant::now();
            let patience = match self.wanting.is_empty() {
                true => self.due.first().map(|(due, _)| due.saturating_duration_since(now)),
                false => Some(Duration::ZERO),
            };
            if self.epoll.wait::<EVENTS_PER_TURN>(patience, &mut events).is_err() {
                // Not known to happen; nothing could be heard any more.
                return;
            }
            let now = Instant::now();
            for event in &events {
                if !self.take(event, now) {
                    return;
                }
            }
            self.look_at_the_clock(now);
            for client in std::mem::take(&mut self.wanting) {
                self.serve_client(client, now);
            }
        }
    }

    /// `false` when there is nobody any more who could give orders.
    fn take(&mut self, event: &Event, now: Instant) -> bool {
        match self.sources.get(&event.token).copied() {
            Some(Source::Orders) => return self.obey(),
            Some(Source::Datagrams(container)) => self.take_datagrams(container, now),
            Some(Source::Listener(container)) => self.accept(container, now),
            Some(Source::Client) => self.serve_client(event.token, now),
            Some(Source::Server(forward)) => self.hear(forward, event.token, now),
            None => {}
        }
        true
    }

    fn obey(&mut self) -> bool {
        let _ = self.orders.wake.take(); // it only counts
        loop {
            let (command, answer) = match self.orders.commands.try_recv() {
                Ok(told) => told,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            let done = match command {
                Command::Serve(container, sockets) => self.serve(container, sockets),
                Command::Drop(container) => {
                    self.drop_container(&container);
                    Ok(())
                }
                Command::Refresh(subjects) => self.refresh(subjects),
                Command::Leave => {
                    self.leave();
                    Ok(())
                }
            };
            let _ = answer.send(done); // nobody may wait any more
        }
    }

    fn serve(&mut self, id: Identifier, sockets: Arc<Sockets>) -> Result<(), String> {
        let view = self.read_view(&id)?;
        self.read_zones(&view)?;
        self.drop_container(&id);
        let number = self.last + 1;
        self.last = number;
        let watched = self
            .watch(&sockets.udp, Source::Datagrams(number), Interest::Readable)
            .and_then(|udp| Ok((udp, self.watch(&sockets.tcp, Source::Listener(number), Interest::Readable)?)));
        let (udp, tcp) = watched.map_err(|error| format!("watch the sockets of container {id}: {error}"))?;
        self.numbers.insert(id, number);
        self.containers.insert(number, Container { sockets, tcp: Some(tcp), udp, view, forwards: 0, clients: 0 });
        Ok(())
    }

    fn read_view(&self, id: &Identifier) -> Result<View, String> {
        match self.names.read_container(id) {
            Ok(Some(names)) => Ok(View::new(names)),
            Ok(None) => Err(format!("there is no file of names for container {id}")),
            Err(error) => Err(format!("read the file of names of container {id}: {error}")),
        }
    }

    /// Reads the files of the networks that `view` sees and nobody has seen yet.
    fn read_zones(&mut self, view: &View) -> Result<(), String> {
        for network in view.networks() {
            if !self.zones.has(network) {
                let zone = self.read_zone(network)?;
                self.zones.set(network.clone(), zone);
            }
        }
        Ok(())
    }

    fn read_zone(&self, id: &Identifier) -> Result<Option<Zone>, String> {
        let read = self.names.read_network(id);
        let names = read.map_err(|error| format!("read the files of names of network {id}: {error}"))?;
        Ok(names.map(Zone::new))
    }

    fn read_host(&self, network: &Identifier, container: &Identifier) -> Result<Option<NetworkNames>, String> {
        let read = self.names.read_host(network, container);
        read.map_err(|error| format!("read the file of names of container {container} in network {network}: {error}"))
    }

    fn refresh(&mut self, subjects: Vec<Subject>) -> Result<(), String> {
        let mut refused = Ok(());
        for subject in subjects {
            let done = match subject {
                Subject::Network(id) if self.zones.has(&id) || self.is_seen(&id) => {
                    self.read_zone(&id).map(|zone| self.zones.set(id, zone))
                }
                // Nobody asks for its names.
                Subject::Network(_) => Ok(()),
                Subject::Container(id) => self.refresh_container(&id),
                Subject::Host { network, container } if self.zones.has(&network) || self.is_seen(&network) => {
                    let names = self.read_host(&network, &container);
                    names.map(|names| self.zones.set_host(network, &container, names))
                }
                Subject::Host { .. } => Ok(()),
            };
            // The others are read in any case.
            refused = refused.and(done);
        }
        refused
    }

    fn refresh_container(&mut self, id: &Identifier) -> Result<(), String> {
        let Some(number) = self.numbers.get(id).copied() else { return Ok(()) };
        let view = self.read_view(id)?;
        self.read_zones(&view)?;
        if let Some(container) = self.containers.get_mut(&number) {
            container.view = view;
        }
        self.forget_zones();
        Ok(())
    }

    fn is_seen(&self, network: &Identifier) -> bool {
        self.containers.values().any(|container| container.view.networks().any(|seen| seen == network))
    }

    fn forget_zones(&mut self) {
        let seen: std::collections::HashSet<&Identifier> =
            self.containers.values().flat_map(|container| container.view.networks()).collect();
        self.zones.keep(|network| seen.contains(network));
    }

    fn drop_container(&mut self, id: &Identifier) {
        let Some(number) = self.numbers.remove(id) else { return };
        let Some(container) = self.containers.remove(&number) else { return };
        // Its sockets may have copies elsewhere, which would keep them in the set.
        self.unwatch(container.udp, &container.sockets.udp);
        if let Some(tcp) = container.tcp {
            self.unwatch(tcp, &container.sockets.tcp);
        }
        let forwards = self.forwards.iter().filter(|(_, forward)| forward.container == number);
        for token in forwards.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.end_forward(token);
        }
        let clients = self.clients.iter().filter(|(_, (client, _))| client.container == number);
        for token in clients.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.end_client(token);
        }
        drop(container);
        self.forget_zones();
    }

    /// Another process answers from now on.
    fn leave(&mut self) {
        self.has_left = true;
        let sockets: Vec<_> = self
            .containers
            .values_mut()
            .map(|container| (container.udp, container.tcp.take(), container.sockets.clone()))
            .collect();
        for (udp, tcp, sockets) in sockets {
            self.unwatch(udp, &sockets.udp);
            if let Some(tcp) = tcp {
                self.unwatch(tcp, &sockets.tcp);
            }
        }
    }

    fn take_datagrams(&mut self, number: u64, now: Instant) {
        let Some(sockets) = self.containers.get(&number).map(|container| container.sockets.clone()) else { return };
        let (mut inbox, mut outbox) = (std::mem::take(&mut self.inbox), std::mem::take(&mut self.outbox));
        for _ in 0..BATCHES_PER_TURN {
            let count = match inbox.receive(&sockets.udp) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What came of an answer to somebody who has gone.
                Err(_) => continue,
            };
            for datagram in inbox.iter() {
                self.take_datagram(number, datagram, &mut outbox, now);
                if outbox.is_full() {
                    outbox.send(&sockets.udp);
                }
            }
            outbox.send(&sockets.udp);
            if count < datagrams::MOST {
                break;
            }
        }
        (self.inbox, self.outbox) = (inbox, outbox);
    }

    fn take_datagram(&mut self, number: u64, datagram: Datagram<'_>, outbox: &mut Outbox, now: Instant) {
        let Some(container) = self.containers.get(&number) else { return };
        let Datagram { bytes: query, is_whole, sender } = datagram;
        self.turn = self.turn.wrapping_add(1);
        let outcome = match is_whole {
            true => respond(&container.view, &self.zones, query, Transport::Udp, self.turn, &mut self.out),
            false => refuse(query, &mut self.out),
        };
        match outcome {
            Outcome::Answered => outbox.push(&self.out, sender),
            Outcome::Forward { question_end } => {
                self.forward(number, Asker::Datagram(sender), query, question_end, now);
            }
            Outcome::Ignored => {}
        }
    }

    fn accept(&mut self, number: u64, now: Instant) {
        loop {
            let Some(container) = self.containers.get_mut(&number) else { return };
            if container.clients >= MOST_CLIENTS {
                return self.close_door(number);
            }
            let socket = match container.sockets.tcp.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // No descriptors, perhaps: later again.
                Err(_) => {
                    self.close_door(number);
                    self.due.insert((now + EXHAUSTED, number));
                    return;
                }
            };
            let client = Client::new(number, socket);
            let watched = client.and_then(|client| {
                let token = self.watch(&client, Source::Client, Interest::Edges)?;
                Ok((token, client))
            });
            // One that cannot be watched is closed.
            if let Ok((token, client)) = watched {
                if let Some(container) = self.containers.get_mut(&number) {
                    container.clients += 1;
                }
                let due = now + CLIENT_IDLE;
                self.due.insert((due, token));
                self.clients.insert(token, (client, due));
            }
        }
    }

    /// Listens to nobody: the event would come again and again.
    fn close_door(&mut self, number: u64) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        if let Some(tcp) = container.tcp.take() {
            let sockets = container.sockets.clone();
            self.unwatch(tcp, &sockets.tcp);
        }
    }

    /// Listens again.
    fn open_door(&mut self, number: u64) {
        let Some(container) = self.containers.get(&number) else { return };
        if container.tcp.is_none() && !self.has_left {
            let sockets = container.sockets.clone();
            // Should it fail, the next client that ends tries again.
            let tcp = self.watch(&sockets.tcp, Source::Listener(number), Interest::Readable).ok();
            if let Some(container) = self.containers.get_mut(&number) {
                container.tcp = tcp;
            }
        }
    }

    /// Takes a client's queries, and sends what there is to send.
    pub fn serve_client(&mut self, token: u64, now: Instant) {
        if self.serve_client_or_fail(token, now).is_err()
            || self.clients.get(&token).is_some_and(|(client, _)| client.is_over())
        {
            self.end_client(token);
        }
    }

    fn serve_client_or_fail(&mut self, token: u64, now: Instant) -> io::Result<()> {
        loop {
            let Some((client, due)) = self.clients.get_mut(&token) else { return Ok(()) };
            client.send()?;
            let Some(query) = client.next_query()? else { return Ok(()) };
            self.due.remove(&(*due, token));
            *due = now + CLIENT_IDLE;
            self.due.insert((*due, token));
            let number = client.container;
            let Some(container) = self.containers.get(&number) else { return Ok(()) };
            self.turn = self.turn.wrapping_add(1);
            match respond(&container.view, &self.zones, &query, Transport::Tcp, self.turn, &mut self.out) {
                Outcome::Answered => client.answer(Some(&self.out)),
                Outcome::Ignored => client.answer(None),
                Outcome::Forward { question_end } => {
                    self.forward(number, Asker::Stream(token), &query, question_end, now);
                }
            }
        }
    }

    fn end_client(&mut self, token: u64) {
        let Some((client, due)) = self.clients.remove(&token) else { return };
        self.due.remove(&(due, token));
        self.sources.remove(&token);
        let Some(container) = self.containers.get_mut(&client.container) else { return };
        container.clients -= 1;
        self.open_door(client.container);
    }

    fn look_at_the_clock(&mut self, now: Instant) {
        while let Some((due, token)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, token));
            match self.clients.get_mut(&token) {
                // Queries on their way have their own time.
                Some((client, due)) if !client.is_idle() => {
                    *due = now + CLIENT_IDLE;
                    self.due.insert((*due, token));
                }
                Some(_) => self.end_client(token),
                None if self.containers.contains_key(&token) => self.open_door(token),
                None => self.ask_next(token, now),
            }
        }
    }

    pub fn new_token(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub fn watch(&mut self, fd: impl std::os::fd::AsFd, source: Source, interest: Interest) -> io::Result<u64> {
        let token = self.new_token();
        self.epoll.add(fd, token, interest)?;
        self.sources.insert(token, source);
        Ok(token)
    }

    fn unwatch(&mut self, token: u64, fd: impl std::os::fd::AsFd) {
        self.sources.remove(&token);
        let _ = self.epoll.remove(fd); // what is not there needs not be removed
    }
}
