//! gRPC edge of the bus; `Subscribe` has its own in `subscribe`.

use corten_containerd_api::containerd::services::events::v1::events_server::Events;
use corten_proto::containerd::{
    services::events::v1::{ForwardRequest, PublishRequest, SubscribeRequest},
    types::Envelope,
};
use tonic::{Request, Response, Status, async_trait};

use super::{forward::forward, publish::publish, subscribe::EventsService};
use crate::caller::Caller;

#[async_trait]
impl Events for EventsService {
    type SubscribeStream = tokio_stream::Empty<Result<Envelope, Status>>;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let PublishRequest { topic, event } = request.into_inner();
        Ok(Response::new(publish(&self.0.events, &caller.namespace, &topic, event)?))
    }

    async fn forward(&self, request: Request<ForwardRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(forward(&self.0, request.into_inner().envelope)?))
    }

    async fn subscribe(&self, _: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("answered with shared bytes before it comes here"))
    }
}
