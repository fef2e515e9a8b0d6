//! From an asynchronous body to the blocking reader that archives are read with.

use std::io::{self, Read};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces that may wait: bounds what a fast client makes us hold to a few hundred KiB.
const PIECES_WAITING: usize = 16;

enum Piece {
    Data(Bytes),
    End,
}

/// The writing end; dropped without [`Sender::finish`], the reader sees a broken-off stream and not an end.
pub struct Sender(mpsc::Sender<Piece>);

/// The reading end, for a thread that may block.
pub struct Reader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// The reader is gone; whoever reads knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the archive any more")]
pub struct ReaderGone;

/// A pipe from async code to a blocking reader.
pub fn channel() -> (Sender, Reader) {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    (Sender(sender), Reader { pieces, current: Bytes::new(), ended: false })
}

impl Sender {
    /// Hands over a piece of the body, waiting while the reader is behind.
    ///
    /// # Errors
    /// [`ReaderGone`]: the rest of the body is of no use.
    pub async fn send(&self, data: Bytes) -> Result<(), ReaderGone> {
        self.0.send(Piece::Data(data)).await.map_err(|_| ReaderGone)
    }

    /// Says that the body was whole.
    pub async fn finish(self) {
        // A reader that stopped before the end has its own reason.
        let _ = self.0.send(Piece::End).await;
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client went away")),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}
