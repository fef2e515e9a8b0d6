//! A file or standard input as the body of a request, read while it is sent.

use crate::failure::Failure;
use corten_docker_api::client::Payload;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Piece read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces read ahead of the daemon.
const PIECES_AHEAD: usize = 4;

type Pieces = mpsc::Receiver<io::Result<bytes::Bytes>>;

/// An archive read from `source` by a thread of its own.
///
/// # Errors
/// When the thread cannot be started.
pub fn archive(mut source: Box<dyn Read + Send>) -> Result<Payload, Failure> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let read = move || {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let piece = match source.read(&mut piece) {
                Ok(0) => return,
                Ok(count) => {
                    piece.truncate(count);
                    Ok(bytes::Bytes::from(piece))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = piece.is_err();
            // The daemon has refused and nobody sends any more.
            if sender.blocking_send(piece).is_err() || is_last {
                return;
            }
        }
    };
    let started = std::thread::Builder::new().name("upload".to_owned()).spawn(read);
    started.map_err(|error| Failure::new(format!("start a thread to read the archive: {error}")))?;
    Ok(Payload::Stream { content_type: "application/x-tar", chunks: Box::pin(Chunks(Mutex::new(receiver))) })
}

/// The pieces as a stream; the lock only makes it shareable, it is never contended.
struct Chunks(Mutex<Pieces>);

impl futures_util::Stream for Chunks {
    type Item = io::Result<bytes::Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).poll_recv(context)
    }
}
