//! A layer's stream in two stages: one thread decompresses and hashes while the caller's writes the tree.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use corten_types::Digest;
use sha2::{Digest as _, Sha256};

use crate::codec::{Codec, Decoder};

/// What the stages hand over at once, and how many of these may wait: 4 MiB a layer, whatever its size.
const CHUNK: usize = 256 << 10;
const CHUNKS_WAITING: usize = 16;

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

/// A reader that hashes and counts what passes.
pub struct Hashing<R> {
    inner: R,
    hash: Sha256,
    size: u64,
}

impl<R> Hashing<R> {
    /// Hashes everything read from `inner` from now on.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    /// The digest and number of bytes that passed.
    pub fn finish(self) -> (Digest, u64) {
        (Digest::sha256(self.hash.finalize().into()), self.size)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.size += read as u64;
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
    consume: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<(T, Option<Streamed>), E> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(CHUNKS_WAITING);
        let producer = scope.spawn(move || produce(reader, &sender));
        let mut source = Source { receiver, chunk: Vec::new(), position: 0 };
        let result = consume(&mut source);
        // Without its receiver the producer stops at its next chunk.
        drop(source);
        let streamed = producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.map(|value| (value, streamed))
    })
}

/// Fills chunks until the end; none when the consumer left or reading failed.
fn produce(reader: impl Read + Send, chunks: &SyncSender<io::Result<Vec<u8>>>) -> Option<Streamed> {
    let mut raw = Hashing::new(reader);
    let produced = decode(&mut raw, chunks);
    match produced {
        Ok(Some((diff_id, size, codec))) => {
            let (compressed, compressed_size) = raw.finish();
            Some(Streamed { diff_id, size, compressed, compressed_size, codec })
        }
        Ok(None) => None,
        Err(error) => {
            // A consumer that left needs no error.
            let _ = chunks.send(Err(error));
            None
        }
    }
}

fn decode(
    raw: &mut (impl Read + Send),
    chunks: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<Option<(Digest, u64, Codec)>> {
    let mut decoder = Decoder::new(raw)?;
    let codec = decoder.codec();
    let mut hash = Sha256::new();
    let mut size = 0_u64;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut decoder).take(CHUNK as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(Some((Digest::sha256(hash.finalize().into()), size, codec)));
        }
        hash.update(&chunk);
        size += chunk.len() as u64;
        if chunks.send(Ok(chunk)).is_err() {
            return Ok(None);
        }
    }
}

struct Source {
    receiver: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    position: usize,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.chunk.len() {
            match self.receiver.recv() {
                Ok(chunk) => self.chunk = chunk?,
                Err(_) => return Ok(0),
            }
            self.position = 0;
        }
        let count = buffer.len().min(self.chunk.len() - self.position);
        buffer[..count].copy_from_slice(&self.chunk[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}
