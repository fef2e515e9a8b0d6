//! Blobs and ingests, by their files.

use std::os::{fd::AsFd, unix::fs::FileExt};

use bytes::Bytes;
use corten_containerd_api::{
    ApiError, Content, ContentStore, ContentWriter, Ingest, Labels, containerd::services::content::v1::content_server,
    relabel,
};
use corten_layers::buffers::{BUFFER, Stream};
use corten_proto::containerd::services::content::v1::{
    AbortRequest, DeleteContentRequest, WriteAction, WriteContentRequest,
};
use corten_types::{Digest, ErrorKind};
use tonic::Code;

use super::{LocalStore, refused};
use crate::{
    content::{self, ContentService, Writer},
    error::Error,
};

use content_server::Content as _;

/// How many times what is read comes next, and is read ahead.
const AHEAD: u64 = 2;
/// What is read into a buffer of the stock: less is of the heap, and more does not fit. A mapping of its own, which the heap
/// makes of more, has its pages brought in one by one.
const WORTH_A_BUFFER: std::ops::RangeInclusive<usize> = 64 << 10..=BUFFER;

impl LocalStore {
    fn content(&self) -> ContentService {
        ContentService(self.supervisor.clone())
    }
}

impl ContentStore for LocalStore {
    type Writer = LocalWriter;

    async fn content_info(&self, digest: &Digest) -> Result<Content, ApiError> {
        let (namespace, digest) = (&self.caller.namespace, digest.as_str());
        let found = self.supervisor.metadata.read(|c| content::records::get(c, namespace, digest));
        found.map_err(refused)?.try_into()
    }

    async fn list_content(&self) -> Result<Vec<Content>, ApiError> {
        let namespace = &self.caller.namespace;
        let found = self.supervisor.metadata.read(|c| content::records::list(c, namespace, &[])).map_err(refused)?;
        found.into_iter().map(Content::try_from).collect()
    }

    async fn label_content(&self, digest: &Digest, labels: &Labels) -> Result<(), ApiError> {
        self.content().update(self.caller.asks(relabel(digest, labels))).await?;
        Ok(())
    }

    async fn delete_content(&self, digest: &Digest) -> Result<(), ApiError> {
        let request = DeleteContentRequest { digest: digest.to_string() };
        self.content().delete(self.caller.asks(request)).await?;
        Ok(())
    }

    async fn read_content(&self, digest: &Digest, offset: u64, size: usize) -> Result<Bytes, ApiError> {
        let (supervisor, caller, digest) = (self.supervisor.clone(), self.caller.clone(), digest.to_string());
        let read = crate::blocking(move || {
            let file = content::open(&supervisor, &caller.namespace, &digest)?;
            let failed = |error: &std::io::Error| Error::io(format!("read blob {digest}"), error);
            let length = file.metadata().map_err(|error| failed(&error))?.len();
            if offset > length {
                let text = format!("read blob {digest} from {offset}: it has {length} bytes");
                return Err(Error::new(ErrorKind::OutOfRange, text));
            }
            let size = usize::try_from(length - offset).unwrap_or(usize::MAX).min(size);
            let next = offset + size as u64;
            if next < length {
                // Whoever reads on need not wait for the disk: the kernel's own look ahead is 128 KiB. Only a hint.
                let _ = corten_sys::at::begin_reading(file.as_fd(), next, AHEAD * size as u64);
            }
            if !WORTH_A_BUFFER.contains(&size) {
                let mut data = vec![0; size];
                file.read_exact_at(&mut data, offset).map_err(|error| failed(&error))?;
                return Ok(Bytes::from(data));
            }
            let (mut data, mut at) = (Stream::default().buffer(), offset);
            let filled = data.fill_with(|space| {
                let wanted = space.len().min(usize::try_from(next - at).unwrap_or(usize::MAX));
                let read = file.read_at(&mut space[..wanted], at)?;
                at += read as u64;
                Ok(read)
            });
            filled.map_err(|error| failed(&error))?;
            if at < next {
                return Err(failed(&std::io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(Bytes::from_owner(data))
        });
        read.await.map_err(refused)
    }

    async fn ingest(
        &self,
        reference: &str,
        expected: Option<&Digest>,
        size: Option<u64>,
    ) -> Result<Ingest<LocalWriter>, ApiError> {
        let first = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: reference.to_owned(),
            expected: expected.map(ToString::to_string).unwrap_or_default(),
            total: signed(size.unwrap_or(0))?,
            ..WriteContentRequest::default()
        };
        match Writer::open(self.supervisor.clone(), self.caller.clone(), &first).await {
            Ok(mut writer) => {
                let state = writer.take(first).await.map_err(refused)?;
                Ok(Ingest::Open(LocalWriter { writer, offset: u64::try_from(state.offset).unwrap_or(0) }))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Ingest::Exists),
            Err(error) => Err(refused(error)),
        }
    }

    async fn abort_ingest(&self, reference: &str) -> Result<(), ApiError> {
        match self.content().abort(self.caller.asks(AbortRequest { r#ref: reference.to_owned() })).await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            result => result.map(drop).map_err(ApiError::from),
        }
    }
}

/// An ingest being written by the process itself.
#[derive(Debug)]
pub struct LocalWriter {
    writer: Writer,
    offset: u64,
}

impl ContentWriter for LocalWriter {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn digest(&mut self) -> Result<Digest, ApiError> {
        let request = WriteContentRequest { action: WriteAction::Stat.into(), ..WriteContentRequest::default() };
        parse_digest(&self.writer.take(request).await.map_err(refused)?.digest)
    }

    async fn append(&mut self, data: Bytes) -> Result<(), ApiError> {
        let length = data.len() as u64;
        if length > 0 {
            self.writer.append(data).await.map_err(refused)?;
            self.offset += length;
        }
        Ok(())
    }

    async fn commit(
        mut self,
        size: Option<u64>,
        expected: Option<&Digest>,
        labels: &Labels,
    ) -> Result<Digest, ApiError> {
        let request = WriteContentRequest {
            action: WriteAction::Commit.into(),
            offset: signed(self.offset)?,
            total: signed(size.unwrap_or(self.offset))?,
            expected: expected.map(ToString::to_string).unwrap_or_default(),
            labels: labels.clone().into_iter().collect(),
            ..WriteContentRequest::default()
        };
        // In a task of its own: what asks for it may be dropped, a commit is not left in the middle.
        let commit = crate::in_its_own_task(async move { self.writer.take(request).await });
        parse_digest(&commit.await.map_err(refused)?.digest)
    }
}

fn parse_digest(text: &str) -> Result<Digest, ApiError> {
    text.parse().map_err(|error| ApiError::new(ErrorKind::Internal, format!("digest {text:?}: {error}")))
}

fn signed(value: u64) -> Result<i64, ApiError> {
    i64::try_from(value).map_err(|_| ApiError::new(ErrorKind::OutOfRange, format!("{value} is out of range")))
}
