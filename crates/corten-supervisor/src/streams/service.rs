//! gRPC edge of the streams.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use corten_containerd_api::containerd::services::streaming::v1::streaming_server;
use corten_proto::{any, containerd::services::streaming::v1::StreamInit};
use prost_types::Any;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{AHEAD_MAX, Stream};
use crate::{Supervisor, caller::Caller, error::Error};

/// The handlers.
#[derive(Debug)]
pub struct StreamingService(pub Arc<Supervisor>);

#[async_trait]
impl streaming_server::Streaming for StreamingService {
    type StreamStream = Outgoing;

    async fn stream(&self, request: Request<Streaming<Any>>) -> Result<Response<Outgoing>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.ok_or_else(|| Error::invalid("the stream has no first message"))?;
        let init = any::unpack::<StreamInit>(&first).ok().flatten();
        let init = init.filter(|init| !init.id.is_empty()).ok_or_else(|| {
            Error::invalid(format!("first message of a stream is a {}, not its name", first.type_url))
        })?;
        let (outgoing, answers) = mpsc::channel(AHEAD_MAX);
        // The queue is empty and its receiver at hand.
        let _ = outgoing.try_send(Ok(any::pack(&())));
        self.0.streams.add(&namespace, &init.id, Stream { incoming, outgoing })?;
        Ok(Response::new(Outgoing { answers, name: (namespace, init.id), supervisor: self.0.clone() }))
    }
}

/// What goes to the client. Once it is dropped, the client is gone or has seen the end.
#[derive(Debug)]
pub struct Outgoing {
    answers: mpsc::Receiver<Result<Any, Status>>,
    name: (String, String),
    supervisor: Arc<Supervisor>,
}

impl tokio_stream::Stream for Outgoing {
    type Item = Result<Any, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.answers.poll_recv(context)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // Only its own: another of the name may wait once this one was taken.
        self.answers.close();
        self.supervisor.streams.forget_closed(&self.name);
    }
}
