//! Writing blobs into the store from a blocking thread.

use bytes::{Bytes, BytesMut};
use corten_containerd_api::{ApiError, ContentStore, ContentWriter, Ingest, Labels};
use corten_types::Digest;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

/// What is handed to the store at once.
const CHUNK: usize = 1 << 20;

/// Writes one blob after the other.
pub(crate) struct Uploader<S> {
    store: S,
    runtime: Handle,
    stem: String,
    count: u64,
}

/// A blob being written, or one that is there already and only swallows its data.
pub(crate) struct Upload<S: ContentStore> {
    store: S,
    runtime: Handle,
    reference: String,
    expected: Option<Digest>,
    writer: Option<S::Writer>,
    buffer: BytesMut,
    hash: Sha256,
    size: u64,
}

impl<S: ContentStore> Uploader<S> {
    /// Ingests are named after `stem`, the lease's id. Must be made inside a runtime.
    pub(crate) fn new(store: S, stem: &str) -> Self {
        Self { store, runtime: Handle::current(), stem: stem.to_owned(), count: 0 }
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
        Ok(Upload {
            store: self.store.clone(),
            runtime: self.runtime.clone(),
            reference,
            expected,
            writer,
            buffer: BytesMut::new(),
            hash: Sha256::new(),
            size: 0,
        })
    }
}

impl<S: ContentStore> Upload<S> {
    /// Appends to the blob.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), ApiError> {
        self.size += data.len() as u64;
        if self.writer.is_none() {
            return Ok(());
        }
        if self.expected.is_none() {
            self.hash.update(data);
        }
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ApiError> {
        let data: Bytes = self.buffer.split().freeze();
        match &mut self.writer {
            Some(writer) if !data.is_empty() => self.runtime.block_on(writer.append(data)),
            _ => Ok(()),
        }
    }

    /// Makes it a blob and tells its digest and size.
    pub(crate) fn finish(mut self) -> Result<(Digest, u64), ApiError> {
        self.flush()?;
        let size = self.size;
        let hash = std::mem::take(&mut self.hash);
        let digest = self.expected.clone().unwrap_or_else(|| Digest::sha256(hash.finalize().into()));
        let Some(writer) = self.writer.take() else { return Ok((digest, size)) };
        match self.runtime.block_on(writer.commit(Some(size), Some(&digest), &Labels::new())) {
            Ok(digest) => Ok((digest, size)),
            // The other side drops an ingest of what it has.
            Err(error) if error.is_already_exists() => Ok((digest, size)),
            Err(error) => {
                self.abort();
                Err(error)
            }
        }
    }

    /// Discards what was written.
    pub(crate) fn abort(mut self) {
        // An open writer keeps the ingest locked.
        self.writer = None;
        if let Err(error) = self.runtime.block_on(self.store.abort_ingest(&self.reference)) {
            tracing::debug!(reference = self.reference, error = %error, "ingest left to its lease");
        }
    }
}
