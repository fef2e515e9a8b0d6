//! Compressing a stored layer for a registry, once: blocks at the same time, one gzip stream, always the same bytes.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use corten_containerd_api::{ApiError, ContentStore, ContentWriter, Descriptor, Ingest, Labels};
use corten_types::{Digest, ErrorKind};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::lease::{hold_content, random_hex};
use crate::registry::Compressions;

/// What one thread compresses at once.
const BLOCK: u64 = 1 << 20;
/// What deflate can refer back to.
const WINDOW: u64 = 32 << 10;
/// Blocks under way in the process: with what comes out of them, at most 8 MiB.
const BLOCKS_MAX: usize = 4;
/// Layers at once: while one begins or ends, another has blocks.
const LAYERS_MAX: usize = 2;
/// A third faster than 5 for 4 % more bytes.
const LEVEL: u32 = 3;
/// On a plain layer: its compressed form, kept as long as the layer is.
const COMPRESSED: &str = "containerd.io/gc.ref.content.gzip";
/// No name, no time, no operating system: the same layer gives the same bytes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The gzip form of a plain layer: digest and size. What was made once is found again by the layer's label; making it
/// takes turns, so that all layers together hold no more than the blocks of one.
///
/// # Errors
/// What the store answers.
pub(crate) async fn compressed<S: ContentStore>(
    store: &S,
    layer: &Descriptor,
    turns: &Compressions,
) -> Result<(Digest, u64), ApiError> {
    let info = store.content_info(&layer.digest).await?;
    let known = info.labels.get(COMPRESSED).and_then(|text| text.parse::<Digest>().ok());
    if let Some(known) = known
        && hold_content(store, &known).await?
    {
        let size = store.content_info(&known).await?.size;
        return Ok((known, size));
    }
    let (digest, size) = compress(store, layer, turns).await?;
    let labels = Labels::from([(COMPRESSED.to_owned(), digest.to_string())]);
    store.label_content(&layer.digest, &labels).await?;
    Ok((digest, size))
}

async fn compress<S: ContentStore>(
    store: &S,
    layer: &Descriptor,
    turns: &Compressions,
) -> Result<(Digest, u64), ApiError> {
    let turn = turns.layers.take(LAYERS_MAX).await;
    let reference = format!("compress-{}-{}", random_hex(8), layer.digest);
    let Ingest::Open(mut writer) = store.ingest(&reference, None, None).await? else {
        return Err(ApiError::new(ErrorKind::Internal, format!("ingest {reference} cannot be opened")));
    };
    let written = write(store, layer, &mut writer, turns).await;
    // Others are compressed while this one gets to the disk.
    drop(turn);
    let labels = Labels::from([("containerd.io/uncompressed".to_owned(), layer.digest.to_string())]);
    let committed = match written {
        Ok((digest, size)) => match writer.commit(Some(size), Some(&digest), &labels).await {
            Ok(_) => return Ok((digest, size)),
            // Made before the layer was labelled with it.
            Err(error) if error.is_already_exists() => hold_content(store, &digest).await.map(|_| (digest, size)),
            Err(error) => Err(error),
        },
        Err(error) => {
            drop(writer);
            Err(error)
        }
    };
    store.abort_ingest(&reference).await?;
    committed
}

async fn write<S: ContentStore>(
    store: &S,
    layer: &Descriptor,
    writer: &mut impl ContentWriter,
    turns: &Compressions,
) -> Result<(Digest, u64), ApiError> {
    let mut out = Output { hash: Sha256::new(), size: 0 };
    out.append(writer, Bytes::from_static(&HEADER)).await?;
    let mut under_way: VecDeque<JoinHandle<Result<Block, ApiError>>> = VecDeque::new();
    let (mut offset, mut crc, mut is_done) = (0, Crc::new(), false);
    loop {
        while !is_done && under_way.len() < width() {
            let length = (layer.size - offset).min(BLOCK);
            is_done = offset + length == layer.size;
            let (store, layer, blocks) = (store.clone(), layer.clone(), turns.blocks.clone());
            let (at, last) = (offset, is_done);
            under_way.push_back(tokio::spawn(async move {
                let _turn = blocks.take(width()).await;
                block(&store, &layer, at, length, last).await
            }));
            offset += length;
        }
        let Some(next) = under_way.pop_front() else { break };
        let block = next.await.map_err(|_| failed(layer, "a task panicked"))??;
        crc.combine(&block.crc);
        out.append(writer, block.data.into()).await?;
    }
    let mut trailer = crc.sum().to_le_bytes().to_vec();
    trailer.extend(crc.amount().to_le_bytes());
    out.append(writer, trailer.into()).await?;
    Ok((Digest::sha256(out.hash.finalize().into()), out.size))
}

/// Blocks at the same time: one for each processor, and one that is read meanwhile.
fn width() -> usize {
    std::thread::available_parallelism().map_or(2, |processors| processors.get() + 1).min(BLOCKS_MAX)
}

fn failed(layer: &Descriptor, why: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Internal, format!("compress {}: {why}", layer.digest))
}

/// Reads and compresses the `length` bytes of `layer` at `offset`.
async fn block(
    store: &impl ContentStore,
    layer: &Descriptor,
    offset: u64,
    length: u64,
    last: bool,
) -> Result<Block, ApiError> {
    let before = offset.min(WINDOW);
    let (before, size) = (before as usize, (before + length) as usize);
    let data = store.read_content(&layer.digest, offset - before as u64, size).await?;
    if data.len() < size {
        return Err(failed(layer, format_args!("its content ends before byte {}", layer.size)));
    }
    let made = tokio::task::spawn_blocking(move || deflate(&data[before..size], &data[..before], last)).await;
    made.map_err(|_| failed(layer, "a thread panicked"))?.map_err(|error| failed(layer, error))
}

struct Output {
    hash: Sha256,
    size: u64,
}

impl Output {
    async fn append(&mut self, writer: &mut impl ContentWriter, data: Bytes) -> Result<(), ApiError> {
        self.hash.update(&data);
        self.size += data.len() as u64;
        writer.append(data).await
    }
}

struct Block {
    data: Vec<u8>,
    crc: Crc,
}

/// One block as a part of a deflate stream: it may refer back to what came before, and ends on a whole byte.
fn deflate(data: &[u8], dictionary: &[u8], last: bool) -> io::Result<Block> {
    let mut crc = Crc::new();
    crc.update(data);
    let mut state = Compress::new(Compression::new(LEVEL), false);
    if !dictionary.is_empty() {
        state.set_dictionary(dictionary)?;
    }
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut out = Vec::with_capacity(data.len() / 2 + 1024);
    loop {
        let done = usize::try_from(state.total_in()).unwrap_or(usize::MAX).min(data.len());
        let status = state.compress_vec(&data[done..], &mut out, flush)?;
        let is_all_in = state.total_in() >= data.len() as u64;
        // A flush is complete when it leaves room.
        let is_flushed = !last && is_all_in && out.len() < out.capacity();
        if status == Status::StreamEnd || is_flushed {
            return Ok(Block { data: out, crc });
        }
        out.reserve(64 << 10);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn blocks_make_one_stream_that_every_reader_reads() {
        let text: Vec<u8> =
            (0..700_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) % 4096).to_string().into_bytes()).collect();
        for data in [&text[..], &text[..1], &[], &[0; 2 << 20]] {
            let mut all = HEADER.to_vec();
            let mut crc = Crc::new();
            let blocks: Vec<&[u8]> = if data.is_empty() { vec![data] } else { data.chunks(1 << 20).collect() };
            let mut before: &[u8] = &[];
            for (number, block) in blocks.iter().enumerate() {
                let made = deflate(block, before, number + 1 == blocks.len()).unwrap();
                all.extend(made.data);
                crc.combine(&made.crc);
                before = &block[block.len().saturating_sub(32 << 10)..];
            }
            all.extend(crc.sum().to_le_bytes());
            all.extend(crc.amount().to_le_bytes());
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&all[..]).read_to_end(&mut read).unwrap();
            assert!(read == data, "{} bytes came back as {}", data.len(), read.len());
        }
    }
}
