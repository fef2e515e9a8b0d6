//! gRPC edge of the transfers.

use std::sync::Arc;

use corten_containerd_api::containerd::services::transfer::v1::transfer_server::Transfer;
use corten_proto::containerd::services::transfer::v1::TransferRequest;
use corten_types::ErrorKind;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, async_trait};

use super::{export::export, import::import, place::Place, progress::Teller, pull::pull, push::push, tag::tag};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result as Done},
    in_its_own_task,
    local::LocalStore,
    snapshots::OVERLAYFS,
};

/// The handlers.
#[derive(Debug)]
pub struct TransferService(pub Arc<Supervisor>);

#[async_trait]
impl Transfer for TransferService {
    async fn transfer(&self, request: Request<TransferRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let TransferRequest { source, destination, options } = request.into_inner();
        let (source, destination) = (Place::read("source", source)?, Place::read("destination", destination)?);
        let progress = options.unwrap_or_default().progress_stream;
        let teller = Teller::on(&self.0.streams, &caller.namespace, &progress)?;
        // The client leaves when this is dropped, and the transfer learns it where it can stop.
        let (_stays, left) = oneshot::channel();
        let running = Running { supervisor: self.0.clone(), caller, teller, left };
        in_its_own_task(running.transfer(source, destination)).await?;
        Ok(Response::new(()))
    }
}

/// A transfer, which outlives its client as long as it takes to stop cleanly.
struct Running {
    supervisor: Arc<Supervisor>,
    caller: Caller,
    teller: Teller,
    left: oneshot::Receiver<()>,
}

impl Running {
    async fn transfer(self, source: Place, destination: Place) -> Done<()> {
        let Self { supervisor, caller, teller, left } = self;
        let local = LocalStore::new(supervisor.clone(), caller.clone(), OVERLAYFS);
        match (source, destination) {
            (Place::Store(source), Place::Store(destination)) => tag(&local, &source, &destination).await,
            (Place::Registry(source), Place::Store(destination)) => tokio::select! {
                done = pull(&supervisor, &caller, &local, &source, &destination, &teller) => done,
                _ = left => Err(Error::new(ErrorKind::Canceled, format!("pull {}: the client left", source.reference))),
            },
            (Place::Store(source), Place::Registry(destination)) => tokio::select! {
                done = push(&supervisor, &caller, &local, &source, &destination, &teller) => done,
                _ = left => {
                    let text = format!("push {}: the client left", destination.reference);
                    Err(Error::new(ErrorKind::Canceled, text))
                }
            },
            // Nobody need be told that the client left: its archive ends, and half of one is refused.
            (Place::Import(source), Place::Store(destination)) => {
                let stream = supervisor.streams.take(&caller.namespace, &source.stream)?;
                import(&supervisor, &local, &source, stream, &destination, &teller).await
            }
            (Place::Store(source), Place::Export(destination)) => {
                let stream = supervisor.streams.take(&caller.namespace, &destination.stream)?;
                export(local, &source, &destination, stream, &teller).await
            }
            (source, destination) => {
                Err(Error::unimplemented(format!("transfer from {} to {}", source.kind(), destination.kind())))
            }
        }
    }
}
