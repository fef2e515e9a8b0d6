//! Writing blobs into the store from a blocking thread.

use bytes::Bytes;
use corten_containerd_api::{ApiError, ContentWriter, Ingest, Labels, Store};
use corten_layers::buffers::{Buffer, Stream};
use corten_types::Digest;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Writes one blob after the other.
pub(crate) struct Uploader<S> {
    store: S,
    runtime: Handle,
    stem: String,
    count: u64,
}

/// A blob being written, or one that is there already and only swallows its data.
pub(crate) struct Upload<S: Store> {
    store: S,
    runtime: Handle,
    reference: String,
    expected: Option<Digest>,
    writer: Option<S::Writer>,
    /// What the other side has of it without us: a blob of another namespace is taken over without its bytes.
    there: u64,
    pieces: Stream,
    /// What [`write`](Upload::write) has collected.
    collected: Option<Buffer>,
    size: u64,
}

impl<S: Store> Uploader<S> {
    /// Ingests are named after `stem`, the lease's id. Must be made inside a runtime.
    pub(crate) fn new(store: S, stem: &str) -> Self {
        Self { store, runtime: Handle::current(), stem: stem.to_owned(), count: 0 }
    }

    /// The runtime it works on.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Begins a blob.
    pub(crate) fn begin(&mut self, expected: Option<Digest>, size: Option<u64>) -> Result<Upload<S>, ApiError> {
        self.count += 1;
        let reference = format!("{}-{}", self.stem, self.count);
        let ingest = self.runtime.block_on(self.store.ingest(&reference, expected.as_ref(), size))?;
        let writer = match ingest {
            Ingest::Exists => None,
            Ingest::Open(writer) => Some(writer),
        };
        let there = writer.as_ref().map_or(0, ContentWriter::offset);
        Ok(Upload {
            there,
            store: self.store.clone(),
            runtime: self.runtime.clone(),
            reference,
            expected,
            writer,
            pieces: Stream::default(),
            collected: None,
            size: 0,
        })
    }
}

impl<S: Store> Upload<S> {
    /// The name of its ingest.
    pub(crate) fn reference(&self) -> &str {
        &self.reference
    }

    /// Reads along with it, where the store can; none for a blob that is there.
    pub(crate) fn follow(&self) -> Option<S::Arriving> {
        self.writer.as_ref().filter(|_| self.there == 0).and_then(|_| self.store.follow(&self.reference))
    }

    /// Room for what is appended next.
    pub(crate) fn piece(&self) -> Buffer {
        self.pieces.buffer()
    }

    /// Appends a piece to the blob.
    pub(crate) fn append(&mut self, piece: Buffer) -> Result<(), ApiError> {
        self.runtime.clone().block_on(self.send(piece))
    }

    /// Appends to the blob, a whole piece at a time.
    pub(crate) fn write(&mut self, mut data: &[u8]) -> Result<(), ApiError> {
        while !data.is_empty() {
            let mut piece = self.collected.take().unwrap_or_else(|| self.piece());
            match piece.take(data) {
                0 => self.append(piece)?,
                taken => {
                    data = &data[taken..];
                    self.collected = Some(piece);
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, piece: Buffer) -> Result<(), ApiError> {
        self.size += piece.len() as u64;
        match &mut self.writer {
            Some(writer) if !piece.is_empty() && self.size > self.there => {
                writer.append(Bytes::from_owner(piece)).await
            }
            _ => Ok(()),
        }
    }

    /// Makes it a blob and tells its digest and size.
    pub(crate) fn finish(self) -> Result<(Digest, u64), ApiError> {
        self.runtime.clone().block_on(self.commit())
    }

    /// As [`finish`](Upload::finish), while the caller goes on.
    pub(crate) fn finish_aside(self) -> JoinHandle<Result<(Digest, u64), ApiError>> {
        self.runtime.clone().spawn(self.commit())
    }

    async fn commit(mut self) -> Result<(Digest, u64), ApiError> {
        let sent = match self.collected.take() {
            Some(piece) => self.send(piece).await,
            None => Ok(()),
        };
        let committed = match sent {
            Ok(()) => self.commit_written().await,
            Err(error) => Err(error),
        };
        if committed.is_err() {
            self.discard().await;
        }
        committed.map(|digest| (digest, self.size))
    }

    async fn commit_written(&mut self) -> Result<Digest, ApiError> {
        let digest = match (&self.expected, &mut self.writer) {
            (Some(expected), _) => expected.clone(),
            (None, Some(writer)) => writer.digest().await?,
            // A blob is told to be there by its digest only.
            (None, None) => return Err(ApiError::new(corten_types::ErrorKind::Internal, "a blob without a digest")),
        };
        let Some(writer) = self.writer.take() else { return Ok(digest) };
        match writer.commit(Some(self.size), Some(&digest), &Labels::new()).await {
            Ok(digest) => Ok(digest),
            // The other side drops an ingest of what it has.
            Err(error) if error.is_already_exists() => Ok(digest),
            Err(error) => Err(error),
        }
    }

    /// Discards what was written.
    pub(crate) fn abort(mut self) {
        self.runtime.clone().block_on(self.discard());
    }

    async fn discard(&mut self) {
        // An open writer keeps the ingest locked.
        self.writer = None;
        if let Err(error) = self.store.abort_ingest(&self.reference).await {
            tracing::debug!(reference = self.reference, error = %error, "ingest left to its lease");
        }
    }
}
