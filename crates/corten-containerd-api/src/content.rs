//! Blobs by digest: the trait, and its implementation on a containerd's content service.

use std::collections::HashMap;
use std::future::Future;
use std::time::SystemTime;

use bytes::Bytes;
use corten_types::{Digest, ErrorKind};
use prost_types::FieldMask;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::containerd::services::content::v1::content_client::ContentClient;
use crate::moment::parse_timestamp;
use crate::{ApiError, Client, Labels, Service};
use corten_proto::containerd::services::content::v1 as wire;

/// Most bytes of data in one message: well under the message bound, and the buffer on both sides.
pub(crate) const CHUNK_MAX: usize = 1 << 20;
/// Messages sent ahead of their answers: keeps both sides busy; bounds what a writer buffers to 4 MiB.
const AHEAD_MAX: usize = 4;

/// A blob's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Its labels.
    pub labels: Labels,
    /// When it was committed.
    pub created: SystemTime,
    /// When its labels last changed.
    pub updated: SystemTime,
}

/// What asking to write a blob gives.
pub enum Ingest<W> {
    /// The blob of the expected digest is there; under a lease it is now held by it.
    Exists,
    /// Write from [`ContentWriter::offset`] on.
    Open(W),
}

/// A place for blobs.
pub trait ContentStore: Clone + Send + Sync + 'static {
    /// How it is written to.
    type Writer: ContentWriter;

    /// The record of a blob.
    ///
    /// Errors with `NotFound`.
    fn content_info(&self, digest: &Digest) -> impl Future<Output = Result<Content, ApiError>> + Send;

    /// Every blob's record, in order of digest.
    fn list_content(&self) -> impl Future<Output = Result<Vec<Content>, ApiError>> + Send;

    /// Sets the labels given and keeps the others; an empty value removes one.
    fn label_content(&self, digest: &Digest, labels: &Labels) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Removes a blob.
    fn delete_content(&self, digest: &Digest) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Up to `size` bytes of a blob from `offset`; fewer only at its end.
    fn read_content(
        &self,
        digest: &Digest,
        offset: u64,
        size: usize,
    ) -> impl Future<Output = Result<Bytes, ApiError>> + Send;

    /// Opens the ingest `reference` for writing, where a broken-off attempt left it or from the start.
    fn ingest(
        &self,
        reference: &str,
        expected: Option<&Digest>,
        size: Option<u64>,
    ) -> impl Future<Output = Result<Ingest<Self::Writer>, ApiError>> + Send;

    /// Discards the ingest `reference`; one that is not there is no error.
    fn abort_ingest(&self, reference: &str) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// A whole blob, refused over `max` bytes.
    fn read_whole(&self, digest: &Digest, max: u64) -> impl Future<Output = Result<Bytes, ApiError>> + Send {
        async move {
            let size = self.content_info(digest).await?.size;
            if size > max {
                let text = format!("content {digest} has {size} bytes, at most {max} are read");
                return Err(ApiError::new(ErrorKind::ResourceExhausted, text));
            }
            self.read_content(digest, 0, usize::try_from(size).unwrap_or(usize::MAX)).await
        }
    }

    /// Writes a blob that is in memory; one that is there already only gets the labels.
    fn write_whole(
        &self,
        digest: &Digest,
        data: Bytes,
        labels: &Labels,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async move {
            let reference = format!("blob-{digest}");
            let size = data.len() as u64;
            let written = match self.ingest(&reference, Some(digest), Some(size)).await? {
                Ingest::Exists => Err(ApiError::new(ErrorKind::AlreadyExists, "")),
                Ingest::Open(mut writer) => {
                    // What an older attempt wrote is a prefix of the same bytes, or the digest will say so.
                    let done = usize::try_from(writer.offset()).unwrap_or(usize::MAX).min(data.len());
                    writer.append(data.slice(done..)).await?;
                    writer.commit(Some(size), Some(digest), labels).await.map(drop)
                }
            };
            match written {
                Err(error) if error.is_already_exists() && !labels.is_empty() => {
                    self.label_content(digest, labels).await
                }
                Err(error) if error.is_already_exists() => Ok(()),
                result => result,
            }
        }
    }
}

/// An open ingest. Dropped without [`commit`](ContentWriter::commit), it stays and can be resumed.
pub trait ContentWriter: Send + 'static {
    /// Bytes that are in the ingest.
    fn offset(&self) -> u64;

    /// Digest of what is in the ingest.
    fn digest(&mut self) -> impl Future<Output = Result<Digest, ApiError>> + Send;

    /// Appends to it.
    fn append(&mut self, data: Bytes) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Makes it a blob, after checking what is stated; returns its digest.
    ///
    /// Errors with `FailedPrecondition` when size or digest differ, `AlreadyExists` when the blob is there.
    fn commit(
        self,
        size: Option<u64>,
        expected: Option<&Digest>,
        labels: &Labels,
    ) -> impl Future<Output = Result<Digest, ApiError>> + Send;
}

impl TryFrom<wire::Info> for Content {
    type Error = ApiError;

    fn try_from(info: wire::Info) -> Result<Self, ApiError> {
        let digest = info.digest.parse().map_err(|error| {
            ApiError::new(ErrorKind::Internal, format!("containerd names content {:?}: {error}", info.digest))
        })?;
        Ok(Self {
            digest,
            size: u64::try_from(info.size).unwrap_or(0),
            labels: info.labels.into_iter().collect(),
            created: parse_timestamp(info.created_at.as_ref()),
            updated: parse_timestamp(info.updated_at.as_ref()),
        })
    }
}

/// The request that sets the labels given on a blob and leaves its others.
pub fn relabel(digest: &Digest, labels: &Labels) -> wire::UpdateRequest {
    wire::UpdateRequest {
        info: Some(wire::Info {
            digest: digest.to_string(),
            labels: labels.clone().into_iter().collect(),
            ..Default::default()
        }),
        update_mask: Some(label_mask(labels)),
    }
}

impl ContentStore for Client {
    type Writer = RemoteWriter;

    async fn content_info(&self, digest: &Digest) -> Result<Content, ApiError> {
        let request = wire::InfoRequest { digest: digest.to_string() };
        let info = self.content().info(request).await?.into_inner().info;
        info.unwrap_or_default().try_into()
    }

    async fn list_content(&self) -> Result<Vec<Content>, ApiError> {
        let mut answers = self.content().list(wire::ListContentRequest::default()).await?.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            for info in answer.info {
                all.push(info.try_into()?);
            }
        }
        Ok(all)
    }

    async fn label_content(&self, digest: &Digest, labels: &Labels) -> Result<(), ApiError> {
        self.content().update(relabel(digest, labels)).await?;
        Ok(())
    }

    async fn delete_content(&self, digest: &Digest) -> Result<(), ApiError> {
        self.content().delete(wire::DeleteContentRequest { digest: digest.to_string() }).await?;
        Ok(())
    }

    async fn read_content(&self, digest: &Digest, offset: u64, size: usize) -> Result<Bytes, ApiError> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let request = wire::ReadContentRequest {
            digest: digest.to_string(),
            offset: wire_number(offset)?,
            size: wire_number(size as u64)?,
        };
        let mut answers = self.content().read(request).await?.into_inner();
        let mut data = Vec::with_capacity(size.min(CHUNK_MAX));
        while let Some(answer) = answers.message().await? {
            data.extend_from_slice(&answer.data);
            if data.len() >= size {
                break;
            }
        }
        data.truncate(size);
        Ok(Bytes::from(data))
    }

    async fn ingest(
        &self,
        reference: &str,
        expected: Option<&Digest>,
        size: Option<u64>,
    ) -> Result<Ingest<RemoteWriter>, ApiError> {
        match RemoteWriter::open(self.content(), reference, expected, size).await {
            Ok(writer) => Ok(Ingest::Open(writer)),
            Err(error) if error.is_already_exists() => Ok(Ingest::Exists),
            Err(error) => Err(error),
        }
    }

    async fn abort_ingest(&self, reference: &str) -> Result<(), ApiError> {
        let mut tries = ABORTS;
        loop {
            tries -= 1;
            match self.content().abort(wire::AbortRequest { r#ref: reference.to_owned() }).await {
                Err(status) if status.code() == tonic::Code::NotFound => return Ok(()),
                Err(status) if tries > 0 && is_being_closed(&status) => {}
                result => return result.map(drop).map_err(ApiError::from),
            }
        }
    }
}

/// How often an ingest is asked to be given up whose writer is not quite closed yet.
const ABORTS: usize = 20;

/// containerd notes in the ingest's directory when its writer was closed, which nobody hears of, and removes the directory
/// without waiting for that.
fn is_being_closed(status: &tonic::Status) -> bool {
    status.code() == tonic::Code::Unknown && status.message().ends_with("directory not empty")
}

/// The mask that sets the labels given and leaves the others.
pub(crate) fn label_mask(labels: &Labels) -> FieldMask {
    FieldMask { paths: labels.keys().map(|key| format!("labels.{key}")).collect() }
}

fn wire_number(value: u64) -> Result<i64, ApiError> {
    i64::try_from(value).map_err(|_| ApiError::new(ErrorKind::OutOfRange, format!("{value} is out of range")))
}

/// A bidirectional stream: every message is answered once, in order.
pub struct RemoteWriter {
    requests: mpsc::Sender<wire::WriteContentRequest>,
    answers: Streaming<wire::WriteContentResponse>,
    reference: String,
    offset: u64,
    unanswered: usize,
}

impl RemoteWriter {
    async fn open(
        mut client: ContentClient<Service>,
        reference: &str,
        expected: Option<&Digest>,
        size: Option<u64>,
    ) -> Result<Self, ApiError> {
        let (requests, receiver) = mpsc::channel(AHEAD_MAX);
        let first = wire::WriteContentRequest {
            action: wire::WriteAction::Stat.into(),
            r#ref: reference.to_owned(),
            expected: expected.map(ToString::to_string).unwrap_or_default(),
            total: wire_number(size.unwrap_or(0))?,
            ..Default::default()
        };
        // The queue is empty and the receiver at hand, so this neither waits nor fails.
        let _ = requests.send(first).await;
        let mut answers = client.write(ReceiverStream::new(receiver)).await?.into_inner();
        let state = answers.message().await?.unwrap_or_default();
        let offset = u64::try_from(state.offset).unwrap_or(0);
        Ok(Self { requests, answers, reference: reference.to_owned(), offset, unanswered: 0 })
    }

    async fn send(&mut self, request: wire::WriteContentRequest) -> Result<(), ApiError> {
        if self.requests.send(request).await.is_err() {
            // The other side ended the stream; its reason is the next answer.
            self.answer().await?;
            return Err(self.ended());
        }
        self.unanswered += 1;
        Ok(())
    }

    async fn answer(&mut self) -> Result<wire::WriteContentResponse, ApiError> {
        let answer = self.answers.message().await?.ok_or_else(|| self.ended())?;
        self.unanswered = self.unanswered.saturating_sub(1);
        Ok(answer)
    }

    fn ended(&self) -> ApiError {
        let text = format!("containerd ended the write of ingest {} without an answer", self.reference);
        ApiError::new(ErrorKind::Unavailable, text)
    }
}

impl ContentWriter for RemoteWriter {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn digest(&mut self) -> Result<Digest, ApiError> {
        while self.unanswered > 0 {
            self.answer().await?;
        }
        self.send(wire::WriteContentRequest { action: wire::WriteAction::Stat.into(), ..Default::default() }).await?;
        let answer = self.answer().await?;
        answer.digest.parse().map_err(|error| {
            let text = format!("containerd has {:?} in ingest {}: {error}", answer.digest, self.reference);
            ApiError::new(ErrorKind::Internal, text)
        })
    }

    async fn append(&mut self, mut data: Bytes) -> Result<(), ApiError> {
        while !data.is_empty() {
            let chunk = data.split_to(data.len().min(CHUNK_MAX));
            let length = chunk.len() as u64;
            let request = wire::WriteContentRequest {
                action: wire::WriteAction::Write.into(),
                offset: wire_number(self.offset)?,
                data: chunk.into(),
                ..Default::default()
            };
            self.send(request).await?;
            self.offset += length;
            while self.unanswered >= AHEAD_MAX {
                self.answer().await?;
            }
        }
        Ok(())
    }

    async fn commit(
        mut self,
        size: Option<u64>,
        expected: Option<&Digest>,
        labels: &Labels,
    ) -> Result<Digest, ApiError> {
        while self.unanswered > 0 {
            self.answer().await?;
        }
        let labels: HashMap<String, String> = labels.clone().into_iter().collect();
        let request = wire::WriteContentRequest {
            action: wire::WriteAction::Commit.into(),
            offset: wire_number(self.offset)?,
            total: wire_number(size.unwrap_or(self.offset))?,
            expected: expected.map(ToString::to_string).unwrap_or_default(),
            labels,
            ..Default::default()
        };
        self.send(request).await?;
        let answer = self.answer().await?;
        answer.digest.parse().map_err(|error| {
            ApiError::new(ErrorKind::Internal, format!("containerd committed {:?}: {error}", answer.digest))
        })
    }
}
