//! Archives between us and our supervisor, through a pipe of ours: their bytes pass no message.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use corten_containerd_api::{Client, Stream};
use corten_proto::any;
use corten_proto::containerd::types::transfer::{Data, ImageImportStream, ImageStore, Progress};
use corten_sys::descriptors;
use hyper::body::Incoming;
use tokio::net::unix::pipe;

use crate::errors::{EngineError, Result};

/// Room of the pipe: enough that neither side waits for the other's turn.
const ROOM: usize = 1 << 20;

/// Whether an archive came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// It did.
    Yes,
    /// Whoever sent it went away, or nobody takes it any more.
    No,
}

/// A pipe to the supervisor or from it, and the stream that a transfer knows it by.
pub struct Pipe {
    /// The end to read from.
    pub read: OwnedFd,
    /// The end to write to.
    pub write: OwnedFd,
    /// Its transfer's stream.
    pub stream: Stream,
}

impl Pipe {
    /// Makes one.
    ///
    /// # Errors
    /// What the kernel or containerd answers.
    pub async fn new(client: &Client) -> Result<Self> {
        let (read, write) = descriptors::pipe().map_err(failed)?;
        descriptors::widen_pipe(write.as_fd(), ROOM);
        Ok(Self { read, write, stream: client.open_stream("archive").await? })
    }
}

/// What a transfer's other end opens `end` by.
pub fn path(end: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), end.as_raw_fd())
}

/// Why there is no pipe.
pub fn failed(error: std::io::Error) -> EngineError {
    EngineError::internal(format!("make a pipe to the supervisor: {error}"))
}

/// Has the supervisor import what `feed` writes, as `source` and `destination` say it; dropped, the archive breaks off
/// and nothing of it stays.
///
/// # Errors
/// What is wrong with the archive.
pub async fn import<F: Future<Output = Whole>>(
    client: &Client,
    source: ImageImportStream,
    destination: &ImageStore,
    feed: impl FnOnce(pipe::Sender) -> F,
    told: impl FnMut(Progress),
) -> Result<()> {
    let Pipe { read, write, stream } = Pipe::new(client).await?;
    let sender = pipe::Sender::from_owned_fd(write).map_err(failed)?;
    let source = ImageImportStream { stream: stream.id.clone(), corten_pipe: path(&read), ..source };
    let mut transfer = std::pin::pin!(client.transfer(any::pack(&source), any::pack(destination), told));
    let feed = async {
        match feed(sender).await {
            Whole::Yes => stream.send(&Data::default()).await,
            // Its end without a word says that the archive is not whole.
            Whole::No => drop(stream),
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    let outcome = tokio::select! {
        outcome = &mut transfer => outcome,
        never = feed => match never {},
    };
    drop(read);
    Ok(outcome?)
}

/// Writes a request's body into the pipe.
pub async fn feed_body(body: &mut Incoming, mut pipe: pipe::Sender) -> Whole {
    use http_body_util::BodyExt;
    use tokio::io::AsyncWriteExt;
    while let Some(frame) = body.frame().await {
        // The connection broke.
        let Ok(frame) = frame else { return Whole::No };
        let Ok(data) = frame.into_data() else { continue };
        if pipe.write_all(&data).await.is_err() {
            return Whole::No;
        }
    }
    Whole::Yes
}
