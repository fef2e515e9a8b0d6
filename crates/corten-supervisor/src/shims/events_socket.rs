//! The ttrpc socket that shims forward their events to.

use std::sync::Arc;

use corten_proto::{containerd::services::events::ttrpc::v1::ForwardRequest, google::rpc::Status};
use corten_shim_api::{Call, Service, status, task::EVENTS};

use crate::{Supervisor, error::Error, events::forward::forward};

/// The one service of the socket.
#[derive(Debug)]
pub struct EventsSocket(pub Arc<Supervisor>);

impl Service for EventsSocket {
    async fn call(self: Arc<Self>, call: Call) -> Result<Vec<u8>, Status> {
        match (call.service.as_str(), call.method.as_str()) {
            (EVENTS, "Forward") => {
                let request: ForwardRequest = call.decode()?;
                let refused = |error: Error| status(error.kind().grpc_code(), error.to_string());
                forward(&self.0, request.envelope).map_err(refused)?;
                Ok(Vec::new())
            }
            (service, _) => Err(call.unimplemented(service == EVENTS)),
        }
    }
}
