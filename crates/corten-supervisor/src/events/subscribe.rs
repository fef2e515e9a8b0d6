//! `Events.Subscribe` with bytes that are shared: the generated server would encode each envelope
//! once per subscriber, so this one method is served with a codec that passes encoded bytes on.
//!
//! Subscribing is across namespaces: the metadata's namespace does not filter (containerd 1.6 to 2.3).

use std::{convert::Infallible, marker::PhantomData, sync::Arc};

use bytes::{BufMut, Bytes};
use corten_containerd_api::containerd::services::events::v1::events_server;
use corten_proto::containerd::services::events::v1::SubscribeRequest;
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{Body as HttpBody, BoxFuture, Context, Poll, Service, StdError, http},
    server::{Grpc, NamedService, ServerStreamingService},
};

use super::Subscription;
use crate::{Supervisor, filter::Filter};

/// The handlers.
#[derive(Debug, Clone)]
pub struct EventsService(pub(super) Arc<Supervisor>);

/// The whole service.
#[derive(Debug, Clone)]
pub struct EventsServer {
    handlers: EventsService,
    generated: events_server::EventsServer<EventsService>,
}

impl EventsServer {
    /// The service of `supervisor`.
    pub fn new(supervisor: Arc<Supervisor>) -> Self {
        let handlers = EventsService(supervisor);
        let generated = events_server::EventsServer::new(handlers.clone());
        Self { handlers, generated: generated.max_decoding_message_size(crate::serve::MAX_MESSAGE) }
    }
}

impl NamedService for EventsServer {
    const NAME: &'static str = events_server::SERVICE_NAME;
}

impl<B> Service<http::Request<B>> for EventsServer
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != "/containerd.services.events.v1.Events/Subscribe" {
            return self.generated.call(request);
        }
        let handlers = self.handlers.clone();
        Box::pin(async move { Ok(Grpc::new(SharedBytes::default()).server_streaming(handlers, request).await) })
    }
}

impl ServerStreamingService<SubscribeRequest> for EventsService {
    type Response = Bytes;
    type ResponseStream = Subscription;
    type Future = BoxFuture<Response<Subscription>, Status>;

    fn call(&mut self, request: Request<SubscribeRequest>) -> Self::Future {
        let result = Filter::parse(&request.into_inner().filters)
            .map(|filter| Response::new(self.0.events.subscribe(filter)))
            .map_err(Status::from);
        Box::pin(async move { result })
    }
}

/// Decodes messages `M` and sends bytes that are encoded already.
struct SharedBytes<M>(PhantomData<M>);

impl<M> Default for SharedBytes<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: prost::Message + Default + 'static> Codec for SharedBytes<M> {
    type Encode = Bytes;
    type Decode = M;
    type Encoder = PassOn;
    type Decoder = Decode<M>;

    fn encoder(&mut self) -> PassOn {
        PassOn
    }

    fn decoder(&mut self) -> Decode<M> {
        Decode(PhantomData)
    }
}

struct PassOn;

impl Encoder for PassOn {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

struct Decode<M>(PhantomData<M>);

impl<M: prost::Message + Default> Decoder for Decode<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        M::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
