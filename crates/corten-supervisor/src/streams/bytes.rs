//! Archives on a stream: data one way, permission to send so much more the other way (containerd's transfer stream).
//!
//! Whoever reads says how many bytes may be under way; whoever writes keeps to it. The end of the stream is the end of
//! the archive, so a client that dies looks like one that is done: whoever reads an archive checks that it is whole.

use std::io;

use bytes::Bytes;
use corten_proto::{
    any,
    containerd::types::transfer::{Data, WindowUpdate},
};
use tokio::runtime::Handle;

use super::Stream;

/// Bytes that may be under way to us: enough that neither side waits for the other.
const WINDOW: i32 = 2 << 20;
/// Most bytes of one message to the client; containerd's own sends no more than 32 KiB, its clients take any.
const CHUNK: usize = 256 << 10;

/// Reads what a client sends; for a thread that may block.
#[derive(Debug)]
pub struct StreamReader {
    stream: Stream,
    runtime: Handle,
    /// Bytes the client may still send.
    window: i32,
    rest: Bytes,
}

impl StreamReader {
    /// Must be made inside a runtime.
    pub fn new(stream: Stream) -> Self {
        Self { stream, runtime: Handle::current(), window: 0, rest: Bytes::new() }
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.window <= WINDOW / 2 {
                let update = WINDOW - self.window;
                // A client that has sent everything may have closed its side already.
                let _ = self.stream.outgoing.send(Ok(any::pack(&WindowUpdate { update }))).await;
                self.window = WINDOW;
            }
            let Some(message) = self.stream.incoming.message().await.map_err(io::Error::other)? else {
                return Ok(None);
            };
            let data = any::unpack::<Data>(&message).map_err(io::Error::other)?;
            let Some(Data { data }) = data else {
                return Err(io::Error::other(format!("stream holds a {} instead of data", message.type_url)));
            };
            self.window = self.window.saturating_sub(i32::try_from(data.len()).unwrap_or(i32::MAX));
            if !data.is_empty() {
                return Ok(Some(data.into()));
            }
        }
    }
}

impl io::Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let runtime = self.runtime.clone();
            match runtime.block_on(self.next())? {
                Some(data) => self.rest = data,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

/// Writes to a client that reads.
#[derive(Debug)]
pub struct StreamWriter {
    stream: Stream,
    /// Bytes the client still takes.
    window: usize,
}

impl StreamWriter {
    /// Writes on `stream`; dropping it is the end.
    pub fn new(stream: Stream) -> Self {
        Self { stream, window: 0 }
    }

    /// Sends `data` as the client takes it.
    ///
    /// # Errors
    /// When the client left, or speaks something else.
    pub async fn send(&mut self, mut data: Bytes) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the client left before the end");
        while !data.is_empty() {
            while self.window == 0 {
                let message = self.stream.incoming.message().await.map_err(io::Error::other)?.ok_or_else(gone)?;
                if let Some(WindowUpdate { update }) = any::unpack(&message).map_err(io::Error::other)? {
                    self.window += usize::try_from(update).unwrap_or(0);
                }
            }
            let length = data.len().min(self.window).min(CHUNK);
            let piece = any::pack(&Data { data: data.split_to(length).into() });
            self.window -= length;
            self.stream.outgoing.send(Ok(piece)).await.map_err(|_| gone())?;
        }
        Ok(())
    }
}
