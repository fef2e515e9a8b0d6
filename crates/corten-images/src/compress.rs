//! Compressing a stored layer for a registry, once: blocks at the same time, each a member of the gzip file, always the
//! same bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use corten_containerd_api::{ApiError, ContentStore, ContentWriter, Descriptor, Ingest, Labels};
use corten_layers::buffers::{BUFFER, Stream};
use corten_types::{Digest, ErrorKind};
use libdeflater::{CompressionLvl, Compressor};
use tokio::task::JoinHandle;

use crate::lease::{hold_content, random_hex};
use crate::registry::Compressions;

/// What one thread compresses at once, a buffer of the stock: fresh memory for each cost half as much as compressing it.
/// Nothing refers back beyond a block's beginning, which makes half a percent more bytes.
const BLOCK: u64 = BUFFER as u64;
/// Blocks under way in the process.
const BLOCKS_MAX: usize = 4;
/// Layers at once: while one begins or ends, another has blocks.
const LAYERS_MAX: usize = 2;
/// Of 1 to 12: within 5 % of what gzip(1) makes. 1 takes a quarter less time for 3 % more bytes.
const LEVEL: i32 = 2;
/// On a plain layer: its compressed form, kept as long as the layer is.
const COMPRESSED: &str = "containerd.io/gc.ref.content.gzip";

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
    let tools = Tools::default();
    let mut under_way: VecDeque<JoinHandle<Result<Bytes, ApiError>>> = VecDeque::new();
    let (mut offset, mut size, mut is_done) = (0, 0, false);
    loop {
        while !is_done && under_way.len() < width() {
            let (at, length) = (offset, (layer.size - offset).min(BLOCK));
            offset += length;
            is_done = offset == layer.size;
            let (store, layer, blocks, tools) = (store.clone(), layer.clone(), turns.blocks.clone(), tools.clone());
            under_way.push_back(tokio::spawn(async move {
                let _turn = blocks.take(width()).await;
                block(&store, &layer, at, length, tools).await
            }));
        }
        let Some(next) = under_way.pop_front() else { break };
        let member = next.await.map_err(|_| failed(layer, "a task panicked"))??;
        size += member.len() as u64;
        writer.append(member).await?;
    }
    Ok((writer.digest().await?, size))
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
    tools: Tools,
) -> Result<Bytes, ApiError> {
    let length = usize::try_from(length).map_err(|error| failed(layer, error))?;
    let data = store.read_content(&layer.digest, offset, length).await?;
    if data.len() < length {
        return Err(failed(layer, format_args!("its content ends before byte {}", layer.size)));
    }
    let made = tokio::task::spawn_blocking(move || tools.member(&data)).await;
    made.map_err(|_| failed(layer, "a thread panicked"))?.map_err(|error| failed(layer, error))
}

/// What compresses blocks of one layer, one set for each that is under way, used again for the next.
#[derive(Clone, Default)]
struct Tools(Arc<Mutex<Vec<Tool>>>);

struct Tool {
    compressor: Compressor,
    /// Room for whatever a block becomes.
    room: Vec<u8>,
}

impl Tools {
    /// One block as a gzip file of its own, without name and time. Such files in a row are one to every reader: RFC
    /// 1952 demands it.
    fn member(&self, data: &[u8]) -> Result<Bytes, String> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut tool = match free {
            Some(tool) => tool,
            None => Tool::new()?,
        };
        let length = tool.compressor.gzip_compress(data, &mut tool.room).map_err(|error| error.to_string())?;
        let member = &tool.room[..length];
        let mut piece = Stream::default().buffer();
        let member =
            if piece.take(member) == length { Bytes::from_owner(piece) } else { Bytes::copy_from_slice(member) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tool);
        Ok(member)
    }
}

impl Tool {
    fn new() -> Result<Self, String> {
        let level = CompressionLvl::new(LEVEL).map_err(|error| format!("{error:?}"))?;
        let mut compressor = Compressor::new(level);
        let room = vec![0; compressor.gzip_compress_bound(BUFFER)];
        Ok(Self { compressor, room })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn text() -> Vec<u8> {
        (0..700_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) % 4096).to_string().into_bytes()).collect()
    }

    /// As [`write`] puts them in a row.
    fn members(data: &[u8]) -> Vec<u8> {
        let blocks: Vec<&[u8]> = if data.is_empty() { vec![data] } else { data.chunks(BLOCK as usize).collect() };
        let tools = Tools::default();
        blocks.iter().flat_map(|block| tools.member(block).unwrap()).collect()
    }

    #[test]
    fn blocks_make_one_file_that_readers_read() {
        let text = text();
        let noise: Vec<u8> = text.chunks(32).flat_map(|piece| Sha256::digest(piece).to_vec()).collect();
        for data in [&text[..], &noise, &text[..1], &[], &[0; 2 << 20]] {
            let all = members(data);
            let mut read = Vec::new();
            corten_layers::codec::Decoder::new(&all[..]).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == data, "{} bytes came back as {}", data.len(), read.len());
            assert!(all.len() <= data.len() + data.len() / 1000 + 64, "{} from {}", all.len(), data.len());
            let mut gzip =
                Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut pipe = gzip.stdin.take().unwrap();
            let written = std::thread::spawn(move || pipe.write_all(&all));
            let read = gzip.wait_with_output().unwrap();
            written.join().unwrap().unwrap();
            assert!(read.status.success() && read.stdout == data, "gzip read {} bytes", read.stdout.len());
        }
    }

    #[test]
    fn the_same_bytes_are_made_every_time() {
        let text = text();
        let made = members(&text);
        assert!(made == members(&text) && made.len() < text.len() / 2, "{} bytes", made.len());
        assert_eq!(made[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, made[8], 0xff], "no name, no time, no system");
    }
}
