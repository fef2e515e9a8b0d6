//! The buffers that layers and blobs pass through: one bounded stock for the whole process, used again and again.
//!
//! Two buffers are every stream's own right, whatever the others hold: a stream whose sender is slow, or which waits
//! its turn for something else, holds up nobody. More than these come from the stock.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Size of one buffer: large enough that handing over costs nothing, small enough for the cache.
pub const BUFFER: usize = 256 << 10;
/// Most bytes of all buffers of the process together, but for the two of each stream.
pub const STOCK: usize = 6 << 20;
/// Where in a page a buffer begins: where the page cache's pages and other buffers do. Copies to a little further in the
/// page than they are from run at a tenth of the speed on many processors (`rep movsb`).
const PAGE: usize = 4096;
/// Buffers that a stream gets at once: one being filled, one being emptied.
const OWN: usize = 2;

struct Stock {
    free: Vec<Vec<u8>>,
    in_use: usize,
}

static STOCK_OF_PROCESS: Mutex<Stock> = Mutex::new(Stock { free: Vec::new(), in_use: 0 });
static WAS_FREED: Condvar = Condvar::new();

fn stock() -> MutexGuard<'static, Stock> {
    // Counts and buffers are whole whenever they can be seen, also after a panic.
    STOCK_OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One stream's right to buffers.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// How many it has; changed under the stock's lock only.
    has: Arc<AtomicUsize>,
}

/// A buffer of the stock, filled to some length; it goes back when dropped.
#[derive(Debug)]
pub struct Buffer {
    /// A page more than is used.
    data: Vec<u8>,
    /// Where the first page begins.
    start: usize,
    filled: usize,
    of: Stream,
}

impl Stream {
    /// Waits for a free buffer.
    pub fn buffer(&self) -> Buffer {
        let must_wait = |stock: &mut Stock| self.has.load(Ordering::Relaxed) >= OWN && stock.in_use * BUFFER >= STOCK;
        let mut stock = WAS_FREED.wait_while(stock(), must_wait).unwrap_or_else(PoisonError::into_inner);
        stock.in_use += 1;
        self.has.fetch_add(1, Ordering::Relaxed);
        let data = stock.free.pop();
        drop(stock);
        let data = data.unwrap_or_else(|| vec![0; BUFFER + PAGE]);
        // Where that cannot be said, anywhere will do.
        let start = data.as_ptr().align_offset(PAGE).min(PAGE);
        Buffer { data, start, filled: 0, of: self.clone() }
    }
}

impl Buffer {
    /// Reads until the buffer is full or the stream ends.
    ///
    /// # Errors
    /// The reader's.
    pub fn fill(&mut self, reader: &mut impl std::io::Read) -> std::io::Result<()> {
        self.fill_with(|space| {
            loop {
                match reader.read(space) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    read => return read,
                }
            }
        })
    }

    /// As [`fill`](Buffer::fill), from what puts bytes into the space it is given and says how many; none at its end.
    ///
    /// # Errors
    /// What `read` answers.
    pub fn fill_with<E>(&mut self, mut read: impl FnMut(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        while self.filled < BUFFER {
            match read(&mut self.data[self.start..self.start + BUFFER][self.filled..])? {
                0 => break,
                read => self.filled += read,
            }
        }
        Ok(())
    }

    /// Takes as much of the beginning of `bytes` as there is room for; how much that is.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(BUFFER - self.filled);
        let begin = self.start + self.filled;
        self.data[begin..begin + length].copy_from_slice(&bytes[..length]);
        self.filled += length;
        length
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.data[self.start..self.start + self.filled]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.start + self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut stock = stock();
        self.of.has.fetch_sub(1, Ordering::Relaxed);
        stock.in_use -= 1;
        stock.free.push(std::mem::take(&mut self.data));
        if stock.in_use == 0 {
            // An idle daemon keeps nothing.
            stock.free = Vec::new();
        }
        stock.free.truncate(STOCK / BUFFER);
        drop(stock);
        WAS_FREED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_streams_than_buffers_share_the_stock() {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let (sender, receiver) = std::sync::mpsc::sync_channel::<Buffer>(16);
                    let sum = move || receiver.iter().map(|buffer| buffer.len()).sum::<usize>();
                    scope.spawn(move || assert_eq!(sum(), 40 * BUFFER));
                    let stream = Stream::default();
                    for _ in 0..40 {
                        let mut buffer = stream.buffer();
                        buffer.fill(&mut std::io::repeat(7)).unwrap();
                        sender.send(buffer).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn a_stream_gets_its_own_buffers_whatever_others_hold() {
        let slow: Vec<(Stream, Buffer, Buffer)> = (0..40)
            .map(|_| {
                let stream = Stream::default();
                (stream.clone(), stream.buffer(), stream.buffer())
            })
            .collect();
        let stream = Stream::default();
        drop((stream.buffer(), stream.buffer()));
        drop(slow);
    }
}
