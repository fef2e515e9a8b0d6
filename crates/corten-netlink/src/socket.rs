//! The synchronous way to the kernel and back.

use std::os::fd::{AsFd, BorrowedFd};

use corten_sys::netlink::{NetlinkSocket, Protocol};

use crate::{
    Batch, Error, Result,
    batch::flag,
    reply::{Meaning, Message, Messages},
};

/// Larger than any message of the kernel: a dump's are 32 KiB at most, an event's and an error's below 64 KiB.
const BUFFER_BYTES: usize = 1 << 17;
/// How often a dump is begun again because what it tells changed meanwhile.
const DUMPS: u32 = 20;

/// A socket in the network namespace of the thread that opened it. Requests of one socket follow each other.
#[derive(Debug)]
pub struct Socket {
    socket: NetlinkSocket,
    next: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// One for interfaces, addresses and routes.
    ///
    /// # Errors
    /// [`Error::Socket`].
    pub fn route() -> Result<Self> {
        Self::open(Protocol::Route)
    }

    /// One for the packet filter and tracked connections.
    ///
    /// # Errors
    /// [`Error::is_lacking`] when the kernel was built without nfnetlink.
    pub fn netfilter() -> Result<Self> {
        Self::open(Protocol::Netfilter)
    }

    fn open(protocol: Protocol) -> Result<Self> {
        let socket = NetlinkSocket::open(protocol).map_err(|source| Error::Socket { step: "open a socket", source })?;
        Ok(Self { socket, next: 1, buffer: Vec::new() })
    }

    /// The number by which events name it as their cause.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Subscribes to a group of events.
    ///
    /// # Errors
    /// [`Error::Socket`].
    pub fn subscribe(&self, group: u32) -> Result<()> {
        self.socket.join(group).map_err(|source| Error::Socket { step: "subscribe to events", source })
    }

    /// Does the requests one after the other. One that is refused does not keep the kernel from those after it.
    ///
    /// # Errors
    /// The first refusal.
    pub fn run(&mut self, batch: Batch) -> Result<()> {
        self.run_all(batch).into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// As [`Self::run`], with every refusal and its request's place.
    pub fn run_all(&mut self, mut batch: Batch) -> Vec<(usize, Error)> {
        if batch.is_empty() {
            return Vec::new();
        }
        batch.acknowledge(0);
        self.run_unanswered(batch)
    }

    /// As [`Self::run_all`], where what is to be answered was said.
    pub(crate) fn run_unanswered(&mut self, mut batch: Batch) -> Vec<(usize, Error)> {
        self.exchange(&mut batch, |_, _| {}).unwrap_or_else(|error| vec![(0, error)])
    }

    /// Asks for everything of a kind; `each` reads an object. It is begun again when something changed meanwhile.
    ///
    /// # Errors
    /// A refusal, and [`Error::Changing`].
    pub fn dump<T>(&mut self, request: &Batch, each: impl Fn(&Message<'_>) -> Option<T>) -> Result<Vec<T>> {
        let what = || request.request(0).unwrap_or_default().to_owned();
        for _ in 0..DUMPS {
            let mut found = Vec::new();
            let mut interrupted = false;
            let refusals = self.exchange(&mut request.clone(), |_, message| {
                interrupted |= message.interrupted;
                found.extend(each(message));
            })?;
            match refusals.into_iter().next() {
                Some((_, error)) if error.number() == Some(4) => {} // EINTR: nf_tables says it so
                Some((_, error)) => return Err(error),
                None if interrupted => {}
                None => return Ok(found),
            }
        }
        Err(Error::Changing { request: what(), times: DUMPS })
    }

    /// Takes what events there are, without waiting.
    ///
    /// # Errors
    /// [`Error::is_overrun`] when some were lost.
    pub fn events(&mut self, mut each: impl FnMut(&Message<'_>)) -> Result<()> {
        self.buffer.resize(BUFFER_BYTES, 0);
        loop {
            match self.socket.receive(&mut self.buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(length)) => Messages::new(&self.buffer[..length]).for_each(|message| each(&message)),
                Err(source) => return Err(Error::Socket { step: "receive events", source }),
            }
        }
    }

    /// Sends the requests and reads what comes back until the last has been answered or nothing is left. What the kernel
    /// answers at all it has answered when the send returns; only a dump goes on while it is read.
    fn exchange(
        &mut self,
        batch: &mut Batch,
        mut each: impl FnMut(usize, &Message<'_>),
    ) -> Result<Vec<(usize, Error)>> {
        if batch.is_too_large() {
            return Err(Error::TooLarge { request: batch.request(0).unwrap_or_default().to_owned() });
        }
        let first = self.next;
        self.next = first.wrapping_add(batch.len() as u32).max(1);
        self.buffer.resize(BUFFER_BYTES, 0);
        self.socket.send(batch.numbered(first)).map_err(|source| Error::Socket { step: "send requests", source })?;
        let mut refusals = Vec::new();
        loop {
            let length = match self.socket.receive(&mut self.buffer) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(refusals),
                Err(source) => return Err(Error::Socket { step: "receive answers", source }),
            };
            for message in Messages::new(&self.buffer[..length]) {
                let index = message.number.wrapping_sub(first) as usize;
                // An answer to a request that was given up.
                let Some(request) = batch.request(index) else { continue };
                match message.meaning() {
                    Meaning::Object => each(index, &message),
                    Meaning::Done | Meaning::Nothing => {}
                    Meaning::Refused { error: source, text } => {
                        let error =
                            Error::Refused { request: request.to_owned(), text: text.map(str::to_owned), source };
                        refusals.push((index, error));
                    }
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One request for everything of a kind.
pub(crate) fn dump(what: &'static str, kind: u16, fixed: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.add(what, kind, flag::DUMP, fixed, |_| {});
    batch
}
