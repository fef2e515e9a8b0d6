//! A thread that reads a log, and the chunks it hands to a connection.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use corten_stdio::logs::{Options, Reader, Stop};
use tokio::sync::mpsc;

use super::text::Printer;

/// Bytes gathered before they are handed on; a record can be 16 KiB longer.
const CHUNK_BYTES: usize = 32 * 1024;

/// Chunks waiting for a client that reads slowly; the reader waits with it.
const IN_FLIGHT: usize = 1;

/// The reader holds one record and one buffer; its stack holds next to nothing.
const STACK_BYTES: usize = 256 * 1024;

/// What comes out of a log.
pub struct Chunks {
    /// The bytes; the end of the channel is the end of the log.
    pub receiver: mpsc::Receiver<io::Result<Bytes>>,
    stop: Arc<Stop>,
}

impl Chunks {
    /// Ends the reader when it has read all there is.
    pub fn stopper(&self) -> Arc<Stop> {
        Arc::clone(&self.stop)
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.stop.now();
    }
}

/// Reads the log at `path` in a thread of its own: reading waits for the disk, and a followed log
/// holds its thread for hours, which the pool for short work has no room for.
///
/// # Errors
/// When no thread or descriptor can be had.
pub fn read(path: PathBuf, options: Options, printer: Printer) -> io::Result<Chunks> {
    let stop = Stop::new()?;
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let reader_stop = Arc::clone(&stop);
    thread::Builder::new()
        .name("logs".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || copy(path, options, printer, reader_stop, &sender))?;
    Ok(Chunks { receiver, stop })
}

fn copy(
    path: PathBuf,
    options: Options,
    mut printer: Printer,
    stop: Arc<Stop>,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) {
    let mut buffer = Vec::new();
    let outcome = Reader::open(&path, options, stop).and_then(|mut reader| {
        loop {
            // What is gathered goes out before the reader may wait for more.
            let is_full = buffer.len() >= CHUNK_BYTES;
            if (is_full || (!buffer.is_empty() && !reader.has_buffered())) && !send(&mut buffer, sender) {
                return Ok(());
            }
            match reader.next_record()? {
                Some(record) => printer.print(&record, &mut buffer),
                None => return Ok(()),
            }
        }
    });
    if let Err(error) = outcome {
        printer.print_error(&error.to_string(), &mut buffer);
    }
    if !buffer.is_empty() {
        send(&mut buffer, sender);
    }
}

/// Whether somebody still listens.
fn send(buffer: &mut Vec<u8>, sender: &mpsc::Sender<io::Result<Bytes>>) -> bool {
    sender.blocking_send(Ok(Bytes::from(std::mem::take(buffer)))).is_ok()
}
