//! A layer's stream in two stages: one thread reads and decompresses while the caller's hashes and writes the tree.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use corten_types::Digest;
use sha2::{Digest as _, Sha256};

use crate::budget;
use crate::buffers::{BUFFER, Buffer, STOCK, Stream};
use crate::codec::{Codec, Decoder};

/// Buffers that may wait between the stages: half of the stock, so that two layers at once never wait for each other.
const BUFFERS_WAITING: usize = STOCK / BUFFER / 2;

/// What went through the pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streamed {
    /// Digest of the decompressed stream: the layer's diff id.
    pub diff_id: Digest,
    /// Size of the decompressed stream.
    pub size: u64,
    /// Digest of the stream as it came.
    pub compressed: Digest,
    /// Size of the stream as it came.
    pub compressed_size: u64,
    /// How it was compressed.
    pub codec: Codec,
}

/// Who knows the digest of a stream as it comes.
#[derive(Clone, Copy)]
pub enum Compressed<'a> {
    /// Nobody: it is hashed here.
    Hashed,
    /// Somebody who tells it once the stream was read to its end.
    Known(&'a (dyn Fn() -> io::Result<Digest> + Sync)),
}

/// A reader that counts what passes, and hashes it where nobody else does.
struct Measured<'a, R> {
    inner: R,
    hash: Option<Sha256>,
    known: Compressed<'a>,
    size: u64,
}

impl<'a, R> Measured<'a, R> {
    fn new(inner: R, known: Compressed<'a>) -> Self {
        let hash = matches!(known, Compressed::Hashed).then(Sha256::new);
        Self { inner, hash, known, size: 0 }
    }

    /// The digest and number of bytes that passed.
    fn finish(self) -> io::Result<(Digest, u64)> {
        let digest = match self.known {
            Compressed::Hashed => Digest::sha256(self.hash.unwrap_or_default().finalize().into()),
            Compressed::Known(tell) => tell()?,
        };
        Ok((digest, self.size))
    }
}

impl<R: Read> Read for Measured<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..read]);
        }
        self.size += read as u64;
        Ok(read)
    }
}

/// Counts what passes, for a bound that is looked at while the stream runs.
struct Counting<'a, R> {
    inner: R,
    count: &'a AtomicU64,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Runs `consume` on the decompressed stream of `reader` and tells what passed once it returned.
///
/// `consume` must read to the end, or the digests would cover a part only; it is told of a read error by its reader.
///
/// # Errors
/// What `consume` returned; an error of setting the decompressor up reaches it through its reader too.
pub fn run<T, E>(
    reader: impl Read + Send,
    compressed: Compressed<'_>,
    consume: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<(T, Option<Streamed>), E> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(BUFFERS_WAITING);
        let producer = scope.spawn(move || produce(Measured::new(reader, compressed), &sender));
        let mut source = Source { receiver, chunk: None, position: 0, hash: Sha256::new() };
        let result = consume(&mut source);
        // Without its receiver the producer stops at its next buffer.
        let hash = source.into_hash();
        let produced = producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let streamed = produced.map(|Produced { size, compressed, compressed_size, codec }| {
            // The two streams of a layer that is not compressed are one, and hashed once.
            let diff_id = match codec {
                Codec::Plain => compressed.clone(),
                _ => Digest::sha256(hash.finalize().into()),
            };
            Streamed { diff_id, size, compressed, compressed_size, codec }
        });
        result.map(|value| (value, streamed))
    })
}

/// What one stage hands the next.
enum Piece {
    /// Decompressed data.
    Data { chunk: Buffer, codec: Codec },
    /// Reading or decompressing ended in this.
    Broken(io::Error),
}

struct Produced {
    size: u64,
    compressed: Digest,
    compressed_size: u64,
    codec: Codec,
}

/// Fills buffers until the end; none when the consumer left or reading failed.
fn produce(mut raw: Measured<'_, impl Read + Send>, pieces: &SyncSender<Piece>) -> Option<Produced> {
    let done = decode(&mut raw, pieces).and_then(|decoded| {
        let Some((size, codec)) = decoded else { return Ok(None) };
        let (compressed, compressed_size) = raw.finish()?;
        Ok(Some(Produced { size, compressed, compressed_size, codec }))
    });
    done.unwrap_or_else(|error| {
        // A consumer that left needs no error.
        let _ = pieces.send(Piece::Broken(error));
        None
    })
}

fn decode(raw: &mut (impl Read + Send), pieces: &SyncSender<Piece>) -> io::Result<Option<(u64, Codec)>> {
    let read = AtomicU64::new(0);
    let mut decoder = Decoder::new(Counting { inner: raw, count: &read })?;
    let codec = decoder.codec();
    let mut size = 0_u64;
    let stream = Stream::default();
    loop {
        let mut chunk = stream.buffer();
        chunk.fill(&mut decoder)?;
        if chunk.is_empty() {
            return Ok(Some((size, codec)));
        }
        size += chunk.len() as u64;
        budget::check_stream(read.load(Ordering::Relaxed), size)?;
        if pieces.send(Piece::Data { chunk, codec }).is_err() {
            return Ok(None);
        }
    }
}

/// The consumer's end. It hashes what was decompressed, as decompressing is the longer half of the work.
struct Source {
    receiver: Receiver<Piece>,
    chunk: Option<Buffer>,
    position: usize,
    hash: Sha256,
}

impl Source {
    /// The hash so far; the other end learns that nobody reads on.
    fn into_hash(self) -> Sha256 {
        self.hash
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(chunk) = &self.chunk
                && self.position < chunk.len()
            {
                let count = buffer.len().min(chunk.len() - self.position);
                buffer[..count].copy_from_slice(&chunk[self.position..self.position + count]);
                self.position += count;
                return Ok(count);
            }
            // It goes back to the stock before the next one is waited for.
            self.chunk = None;
            match self.receiver.recv() {
                Ok(Piece::Data { chunk, codec }) => {
                    if codec != Codec::Plain {
                        self.hash.update(&*chunk);
                    }
                    (self.chunk, self.position) = (Some(chunk), 0);
                }
                Ok(Piece::Broken(error)) => return Err(error),
                Err(_) => return Ok(0),
            }
        }
    }
}
