//! A client's connection once HTTP is done with it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::Bytes;
use futures_util::stream;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::http::Answer;
use crate::http::answer::{Chunks, RAW_STREAM};

/// Bytes copied at a time for a client that cannot take its connection over.
const CHUNK_BYTES: usize = 32 * 1024;

/// A client's own socket, with what it sent before HTTP let go of it.
#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
    read_ahead: Bytes,
}

/// The way to a client whose answer is being sent.
pub enum Arriving {
    /// It asked for an upgrade: after the 101 the socket is ours.
    Upgrade(OnUpgrade),
    /// It did not: the answer's body is the other end of this socket.
    Body(UnixStream),
}

impl Arriving {
    /// The answer that opens the streams, and the way to the client behind it.
    ///
    /// A client that sends no `Upgrade` header gets a 200 whose body is copied from a socket pair:
    /// HTTP cannot give its connection up after a 200. Such a client has no standard input.
    ///
    /// # Errors
    /// When no socket pair can be had.
    pub fn open(upgrade: Option<OnUpgrade>, content_type: &'static str) -> io::Result<(Answer, Self)> {
        match upgrade {
            Some(upgrade) => Ok((Answer::upgraded(content_type), Self::Upgrade(upgrade))),
            None => {
                let (body, hub) = UnixStream::pair()?;
                Ok((Answer::stream(RAW_STREAM, chunks(body)), Self::Body(hub)))
            }
        }
    }

    /// Waits until the answer is sent.
    ///
    /// # Errors
    /// When the client left before.
    pub async fn client(self) -> io::Result<Client> {
        match self {
            Self::Body(socket) => Ok(Client { socket, read_ahead: Bytes::new() }),
            Self::Upgrade(upgrade) => {
                let upgraded = upgrade.await.map_err(io::Error::other)?;
                let parts = upgraded
                    .downcast::<TokioIo<UnixStream>>()
                    .map_err(|_| io::Error::other("the connection is no unix socket"))?;
                Ok(Client { socket: parts.io.into_inner(), read_ahead: parts.read_buf })
            }
        }
    }
}

impl Client {
    /// What it sent already.
    pub fn read_ahead(&self) -> &[u8] {
        &self.read_ahead
    }

    /// Whether nobody is at the other end any more.
    pub fn is_gone(&self) -> bool {
        corten_sys::poll::hung_up(&[self.socket.as_fd()]).is_ok_and(|gone| gone == [true])
    }

    /// Writes bytes of our own, as fast as the client reads.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
impl From<std::os::unix::net::UnixStream> for Client {
    /// A client that has just arrived.
    fn from(socket: std::os::unix::net::UnixStream) -> Self {
        socket.set_nonblocking(true).expect("a socket can be made not to wait");
        Self { socket: UnixStream::from_std(socket).expect("there is a runtime"), read_ahead: Bytes::new() }
    }
}

/// What arrives at `body`, until its other end is closed.
fn chunks(body: UnixStream) -> Chunks {
    Box::pin(stream::unfold(body, |mut body| async move {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK_BYTES);
        match body.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk.freeze()), body)),
            Err(error) => Some((Err(error), body)),
        }
    }))
}
