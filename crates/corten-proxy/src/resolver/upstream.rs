//! A query on its way to one server.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

use corten_sys::inet;

use super::message::{self, Transport};

/// How many datagrams are taken from one server in one turn, before others have theirs.
const DATAGRAMS_PER_TURN: usize = 16;

/// The socket to a server, and what has come of it.
#[derive(Debug)]
pub enum Asked {
    /// By a datagram, which is sent already.
    Udp(UdpSocket),
    /// By a stream.
    Tcp(Stream),
}

/// A stream to a server: a length of two bytes, a message, and the same back.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    to_send: Vec<u8>,
    received: Vec<u8>,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing yet.
    Nothing,
    /// An answer, that begins there in the buffer of the call and has this length.
    Answer(usize),
    /// Nothing that helps.
    Failure,
}

impl Asked {
    /// Asks `server` for what `query` says, from the network namespace that the thread is in.
    ///
    /// # Errors
    /// `ENETUNREACH`, `EMFILE` and others that are known at once.
    pub fn ask(transport: Transport, server: SocketAddr, query: &[u8]) -> io::Result<Asked> {
        match transport {
            Transport::Udp => {
                let any = match server {
                    SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                };
                // A port that the kernel draws, for each query anew; what comes from elsewhere is dropped.
                let socket = UdpSocket::bind((any, 0))?;
                socket.set_nonblocking(true)?;
                socket.connect(server)?;
                socket.send(query)?;
                Ok(Asked::Udp(socket))
            }
            Transport::Tcp => {
                let length = u16::try_from(query.len()).map_err(io::Error::other)?;
                let to_send = [&length.to_be_bytes(), query].concat();
                Ok(Asked::Tcp(Stream { socket: inet::begin_connect(server)?, to_send, received: Vec::new() }))
            }
        }
    }

    /// What the server says to `query`, whose question ends at `question_end`; an answer is in `buffer`.
    pub fn hear(&mut self, query: &[u8], question_end: usize, buffer: &mut [u8]) -> Said {
        let length = match self {
            Asked::Udp(socket) => return hear_datagrams(socket, query, question_end, buffer),
            Asked::Tcp(stream) => match stream.exchange(buffer) {
                Ok(None) => return Said::Nothing,
                Ok(Some(length)) => length,
                Err(_) => return Said::Failure,
            },
        };
        match message::judge(query, question_end, &buffer[..length]) {
            message::Upstream::Answer => Said::Answer(length),
            _ => Said::Failure,
        }
    }
}

fn hear_datagrams(socket: &UdpSocket, query: &[u8], question_end: usize, buffer: &mut [u8]) -> Said {
    for _ in 0..DATAGRAMS_PER_TURN {
        match socket.recv(buffer) {
            Ok(length) => match message::judge(query, question_end, &buffer[..length]) {
                // Somebody guesses: the right one may come still.
                message::Upstream::Foreign => {}
                message::Upstream::Failed => return Said::Failure,
                message::Upstream::Answer => return Said::Answer(length),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Said::Nothing,
            Err(_) => return Said::Failure,
        }
    }
    Said::Nothing
}

impl Stream {
    /// Sends what is still to be sent and takes what has come; the length of a whole message in `buffer`.
    fn exchange(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        while !self.to_send.is_empty() {
            match self.socket.write(&self.to_send) {
                Ok(count) => drop(self.to_send.drain(..count)),
                // Not connected yet, or no room.
                Err(error) if waits(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        loop {
            if let Some(message) = whole(&self.received) {
                let answer = buffer.get_mut(..message.len()).ok_or(io::ErrorKind::InvalidData)?;
                answer.copy_from_slice(message);
                return Ok(Some(answer.len()));
            }
            match self.socket.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if waits(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Asked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Asked::Udp(socket) => socket.as_fd(),
            Asked::Tcp(stream) => stream.socket.as_fd(),
        }
    }
}

/// The message at the beginning of a stream, when all of it is there.
pub fn whole(stream: &[u8]) -> Option<&[u8]> {
    let (length, rest) = stream.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Whether to go on later: a connection that has not come about says `ENOTCONN`.
pub fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::NotConnected)
}
