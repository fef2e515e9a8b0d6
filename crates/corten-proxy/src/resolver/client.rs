//! A client that asks by a stream.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
};

use super::upstream::{waits, whole};

/// The longest query that is taken; those of clients are below 300 bytes.
const MOST_QUERY_BYTES: usize = 4096;
/// Most queries of a client that are not answered yet; more wait in its stream.
const MOST_OPEN: usize = 16;
/// Most bytes of answers that a client has not taken; then nothing more is read from it.
const MOST_UNSENT_BYTES: usize = 1 << 17;

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// Whose resolver it asks.
    pub container: u64,
    socket: TcpStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
    open: usize,
    has_ended: bool,
}

impl Client {
    /// One that was accepted.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(container: u64, socket: TcpStream) -> io::Result<Client> {
        socket.set_nonblocking(true)?;
        let _ = socket.set_nodelay(true); // without it answers are later
        Ok(Client { container, socket, received: Vec::new(), unsent: Vec::new(), open: 0, has_ended: false })
    }

    /// The next query, which is open until [`Client::answer`]; `None` when there is none now.
    ///
    /// # Errors
    /// When the connection is of no use any more.
    pub fn next_query(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.open >= MOST_OPEN || self.unsent.len() > MOST_UNSENT_BYTES {
                return Ok(None);
            }
            if let Some(query) = whole(&self.received) {
                let query = query.to_vec();
                self.received.drain(..query.len() + 2);
                self.open += 1;
                return Ok(Some(query));
            }
            if self.received.len() > MOST_QUERY_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut piece = [0; 2048];
            match self.socket.read(&mut piece) {
                Ok(0) => {
                    self.has_ended = true;
                    return Ok(None);
                }
                Ok(count) => self.received.extend_from_slice(&piece[..count]),
                Err(error) if waits(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers an open query; with nothing, when it is `None`.
    pub fn answer(&mut self, answer: Option<&[u8]>) {
        self.open = self.open.saturating_sub(1);
        if let Some(answer) = answer
            && let Ok(length) = u16::try_from(answer.len())
        {
            self.unsent.extend_from_slice(&length.to_be_bytes());
            self.unsent.extend_from_slice(answer);
        }
    }

    /// Sends what can be sent.
    ///
    /// # Errors
    /// When the connection is of no use any more.
    pub fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if waits(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether nothing is open.
    pub fn is_idle(&self) -> bool {
        self.open == 0 && self.unsent.is_empty()
    }

    /// Whether it has asked its last and has every answer.
    pub fn is_over(&self) -> bool {
        self.has_ended && self.is_idle()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
