//! Images from one place to another, done by the containerd itself: the client's end of Transfer and Streaming.

use corten_proto::any;
use corten_proto::containerd::services::streaming::v1::StreamInit;
use corten_proto::containerd::services::transfer::v1::{TransferOptions, TransferRequest};
use corten_proto::containerd::types::transfer::Progress;
use corten_types::ErrorKind;
use prost::{Message, Name};
use prost_types::Any;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{ApiError, Client};

/// Messages sent ahead of their reader.
const AHEAD_MAX: usize = 4;

/// A stream that a transfer uses by its name.
#[derive(Debug)]
pub struct Stream {
    /// How a transfer refers to it.
    pub id: String,
    /// From containerd; ends when the transfer is done with it.
    pub incoming: Streaming<Any>,
    /// To containerd; the stream ends when it is dropped.
    pub outgoing: mpsc::Sender<Any>,
}

impl Stream {
    /// The next message from containerd that is an `M`; `None` at the end.
    ///
    /// # Errors
    /// What broke the stream.
    pub async fn next<M: Message + Name + Default>(&mut self) -> Result<Option<M>, ApiError> {
        while let Some(message) = self.incoming.message().await? {
            let broken = |error| ApiError::new(ErrorKind::Internal, format!("stream {}: {error}", self.id));
            if let Some(message) = any::unpack(&message).map_err(broken)? {
                return Ok(Some(message));
            }
            tracing::debug!(stream = self.id, kind = message.type_url, "unexpected message on a stream");
        }
        Ok(None)
    }

    /// Sends a message; one that nobody reads any more is lost.
    pub async fn send<M: Message + Name>(&self, message: &M) {
        let _ = self.outgoing.send(any::pack(message)).await;
    }
}

impl Client {
    /// Opens a stream under a name of its own, known to containerd when this returns.
    ///
    /// # Errors
    /// `Unimplemented` by a containerd before 1.7.
    pub async fn open_stream(&self, purpose: &str) -> Result<Stream, ApiError> {
        let id = format!("{purpose}-{:016x}", random());
        let (outgoing, messages) = mpsc::channel(AHEAD_MAX);
        // The queue is empty and its receiver at hand.
        let _ = outgoing.try_send(any::pack(&StreamInit { id: id.clone() }));
        let mut incoming = self.streaming().stream(ReceiverStream::new(messages)).await?.into_inner();
        if incoming.message().await?.is_none() {
            return Err(ApiError::new(ErrorKind::Unavailable, format!("containerd ended stream {id} at once")));
        }
        Ok(Stream { id, incoming, outgoing })
    }

    /// Has containerd move images from `source` to `destination`, and tells how it goes.
    ///
    /// Dropped, it breaks the transfer off.
    ///
    /// # Errors
    /// What containerd answers.
    pub async fn transfer(
        &self,
        source: Any,
        destination: Any,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), ApiError> {
        let mut told = self.open_stream("progress").await?;
        let options = TransferOptions { progress_stream: told.id.clone() };
        let request = TransferRequest { source: Some(source), destination: Some(destination), options: Some(options) };
        let mut client = self.transfers();
        let mut call = std::pin::pin!(client.transfer(request));
        let mut answer = None;
        loop {
            tokio::select! {
                message = told.next::<Progress>() => match message {
                    Ok(Some(message)) => progress(message),
                    // Progress ends with the transfer; without it the answer still comes.
                    Ok(None) | Err(_) => break,
                },
                result = &mut call, if answer.is_none() => {
                    answer = Some(result);
                }
            }
        }
        let answer = match answer {
            Some(answer) => answer,
            None => call.await,
        };
        answer.map(drop).map_err(ApiError::from)
    }
}

/// A number nobody else has: streams are named by their client.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // RandomState is seeded from the system's random numbers and differs at every call.
    std::hash::RandomState::new().build_hasher().finish()
}
