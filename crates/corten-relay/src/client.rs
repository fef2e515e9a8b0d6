//! The engine's end of the socket.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use corten_sys::{pidfd::PidFd, poll, scm, sockets};
use corten_types::Identifier;

use crate::{Answer, Held, Hold, MAX_PACKET_BYTES, MessageError, Port, Request, Subject, server::is_trusted};

/// How long an acknowledgement may take: the longest is a file of many names that is read again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A connection to the corten-proxy of this engine. As long as one is open the program stays.
///
/// It is a descriptor that becomes readable, between requests, when the program has ended.
#[derive(Debug)]
pub struct Relay {
    socket: OwnedFd,
    hello: Hello,
    process: PidFd,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
}

/// Why something was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Nobody is there: `NotFound`, `ConnectionRefused`.
    #[error("connect to corten-proxy at {}", path.display())]
    Connect {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else is there.
    #[error("who listens at {} is user {uid}: only root and the own user are believed", path.display())]
    Stranger {
        /// Where.
        path: PathBuf,
        /// Who.
        uid: u32,
    },
    /// The connection failed, or the program has ended.
    #[error("speak to corten-proxy")]
    Speak(#[source] io::Error),
    /// It speaks otherwise.
    #[error("corten-proxy's answer cannot be read")]
    Answer(#[source] MessageError),
    /// It says something to another question.
    #[error("corten-proxy answers another question than it was asked")]
    Other,
    /// It refuses, and says why.
    #[error("corten-proxy refuses: {0}")]
    Refused(String),
}

impl Relay {
    /// Connects to the program that listens at `path`, and greets it. Blocks, as everything here does.
    ///
    /// # Errors
    /// [`RelayError::Connect`] when nobody is there; any other.
    pub fn connect(path: &Path) -> Result<Relay, RelayError> {
        let failed = |source| RelayError::Connect { path: path.to_owned(), source };
        let socket = sockets::connect_packets(path).map_err(failed)?;
        let peer = scm::peer(&socket).map_err(failed)?;
        if !is_trusted(peer.uid) {
            return Err(RelayError::Stranger { path: path.to_owned(), uid: peer.uid });
        }
        // Opened before it answers: whoever answers on this socket had the pid all the time.
        let process = PidFd::open(peer.pid).map_err(failed)?;
        let hello = Hello { version: String::new(), pid: peer.pid };
        let mut relay = Relay { socket, hello, process };
        relay.hello.version = match relay.ask(&Request::Hello)? {
            Answer::Hello { version } => version,
            _ => return Err(RelayError::Other),
        };
        Ok(relay)
    }

    /// Who answers.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The program's process: readable when it has ended.
    #[must_use]
    pub fn process(&self) -> &PidFd {
        &self.process
    }

    /// Has everything of `hold` held. With the answer the program has it; the caller closes its own sockets.
    ///
    /// # Errors
    /// [`RelayError`]; a part may be held then: [`Relay::drop_container`].
    pub fn hold(&mut self, hold: Hold) -> Result<(), RelayError> {
        self.done(&Request::Hold(hold))
    }

    /// Lets go of everything that is held for `container`; nothing is well, too. With the answer its ports are free and
    /// its network namespace is not kept alive.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn drop_container(&mut self, container: &Identifier) -> Result<(), RelayError> {
        self.done(&Request::Drop { container: container.clone(), ports: None })
    }

    /// Lets go of some ports of `container`.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn drop_ports(&mut self, container: &Identifier, ports: Vec<Port>) -> Result<(), RelayError> {
        self.done(&Request::Drop { container: container.clone(), ports: Some(ports) })
    }

    /// Has the files of `subjects` read again. With the answer the next look-up sees what they say.
    ///
    /// # Errors
    /// [`RelayError::Refused`] for a file that cannot be read: what was known before stays.
    pub fn refresh(&mut self, subjects: Vec<Subject>) -> Result<(), RelayError> {
        self.done(&Request::Refresh(subjects))
    }

    /// Everything that is held.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn list(&mut self) -> Result<Vec<Held>, RelayError> {
        let mut all: Vec<Held> = Vec::new();
        let mut answer = self.ask(&Request::List)?;
        loop {
            match answer {
                Answer::Listed(part) => part.into_iter().for_each(|held| merge(&mut all, held)),
                Answer::Done => return Ok(all),
                _ => return Err(RelayError::Other),
            }
            answer = self.answer()?;
        }
    }

    /// Copies of everything that is held, for a newer program. Until [`Relay::taken`] the old one goes on as before.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn take_over(&mut self) -> Result<Vec<Hold>, RelayError> {
        let mut all: Vec<Hold> = Vec::new();
        let mut answer = self.ask(&Request::Takeover)?;
        loop {
            match answer {
                Answer::Given(hold) => match all.last_mut().filter(|last| last.container == hold.container) {
                    Some(last) => {
                        last.ports.extend(hold.ports);
                        last.resolver = hold.resolver.or(last.resolver.take());
                        last.flows.extend(hold.flows);
                    }
                    None => all.push(hold),
                },
                Answer::Done => return Ok(all),
                _ => return Err(RelayError::Other),
            }
            answer = self.answer()?;
        }
    }

    /// The copies have arrived: the old program serves them no more, and gives up its lock. What flows through it already
    /// goes on to its end.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn taken(&mut self) -> Result<(), RelayError> {
        self.done(&Request::Taken)
    }

    fn done(&mut self, request: &Request) -> Result<(), RelayError> {
        match self.ask(request)? {
            Answer::Done => Ok(()),
            _ => Err(RelayError::Other),
        }
    }

    /// The answer to the last packet of `request`; those before are acknowledged.
    fn ask(&mut self, request: &Request) -> Result<Answer, RelayError> {
        let packets = request.packets();
        let last = packets.len().saturating_sub(1);
        for (index, packet) in packets.iter().enumerate() {
            scm::send(&self.socket, packet.text.as_bytes(), &packet.descriptors).map_err(RelayError::Speak)?;
            let answer = self.answer()?;
            match answer {
                answer if index == last => return Ok(answer),
                Answer::Done => {}
                _ => return Err(RelayError::Other),
            }
        }
        Err(RelayError::Other)
    }

    fn answer(&mut self) -> Result<Answer, RelayError> {
        let readable = poll::readable(&[self.socket.as_fd()], Some(ANSWER_WITHIN)).map_err(RelayError::Speak)?;
        if readable != [true] {
            return Err(RelayError::Speak(io::ErrorKind::TimedOut.into()));
        }
        let mut buffer = vec![0; MAX_PACKET_BYTES];
        let (length, descriptors) = scm::receive(&self.socket, &mut buffer).map_err(RelayError::Speak)?;
        if length == 0 {
            return Err(RelayError::Speak(io::ErrorKind::UnexpectedEof.into()));
        }
        match Answer::parse(&buffer[..length], descriptors).map_err(RelayError::Answer)? {
            Answer::Refused(why) => Err(RelayError::Refused(why)),
            answer => Ok(answer),
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A container's lines may be spread over two packets.
fn merge(all: &mut Vec<Held>, held: Held) {
    match all.last_mut().filter(|last| last.container == held.container) {
        Some(last) => {
            last.ports.extend(held.ports);
            last.has_resolver |= held.has_resolver;
        }
        None => all.push(held),
    }
}
