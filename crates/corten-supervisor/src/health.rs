//! gRPC's health check. The socket is bound when every store is open, so who can ask is answered
//! SERVING; adoption of running shims goes on behind it, and calls for their tasks wait for it.

use corten_containerd_api::grpc::health::v1::health_server::Health;
use corten_proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, async_trait};

/// The handlers.
#[derive(Debug)]
pub struct HealthService;

#[async_trait]
impl Health for HealthService {
    type WatchStream = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match request.into_inner().service.as_str() {
            "" => Ok(Response::new(serving())),
            _ => Err(Status::not_found("unknown service")),
        }
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let stream = tokio_stream::once(Ok(serving())).chain(tokio_stream::pending());
        Ok(Response::new(Box::pin(stream)))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: ServingStatus::Serving.into() }
}
