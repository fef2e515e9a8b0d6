//! An archive from a thread that reads files to a client that takes it piece by piece.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use corten_docker_api::containers::PathStat;
use futures_util::{Stream, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::errors::{EngineError, Result};

/// How long a client may neither take nor send anything while it holds a container's file system: the next start waits
/// for it, and of a container that does not run, all that changes it.
pub const STALLED_AFTER: Duration = Duration::from_secs(600);

/// Pieces on their way.
const PIECES_AHEAD: usize = 4;

/// An archive whose beginning is known.
pub struct Archive(mpsc::Receiver<Result<Piece>>);

enum Piece {
    Begin(PathStat),
    Data(Bytes),
}

/// Its writing end, for a thread that may block.
pub struct Outgoing {
    handle: Handle,
    pieces: mpsc::Sender<Result<Piece>>,
}

/// Runs `work`, which goes on behind the answer's header; returns once it has called [`Outgoing::begin`].
///
/// # Errors
/// Those of `work` before that; what goes wrong later breaks the archive off.
pub async fn send<F>(work: impl FnOnce(Outgoing) -> F) -> Result<(PathStat, Archive)>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (pieces, mut archive) = mpsc::channel(PIECES_AHEAD);
    let work = work(Outgoing { handle: Handle::current(), pieces: pieces.clone() });
    tokio::spawn(async move {
        if let Err(error) = work.await {
            // A client that has left needs no error.
            let _ = pieces.send(Err(error)).await;
        }
    });
    match archive.recv().await {
        Some(Ok(Piece::Begin(stat))) => Ok((stat, Archive(archive))),
        Some(Err(error)) => Err(error),
        Some(Ok(Piece::Data(_))) | None => Err(EngineError::internal("the archive was broken off")),
    }
}

impl Archive {
    /// The archive as a body.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::unfold(self.0, |mut pieces| async move {
            let piece = match pieces.recv().await? {
                Ok(Piece::Data(data)) => Ok(data),
                Ok(Piece::Begin(_)) => Ok(Bytes::new()),
                Err(error) => Err(io::Error::other(error)),
            };
            Some((piece, pieces))
        })
    }
}

impl Outgoing {
    /// Says what the archive is of: from here on it is the client's.
    ///
    /// # Errors
    /// When the client has left.
    pub fn begin(&mut self, stat: PathStat) -> io::Result<()> {
        self.send(Piece::Begin(stat))
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        match self.handle.block_on(tokio::time::timeout(STALLED_AFTER, self.pieces.send(Ok(piece)))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client has left")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing any more")),
        }
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Piece::Data(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
