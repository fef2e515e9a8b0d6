//! gRPC edge of the leases.

use std::{sync::Arc, time::SystemTime};

use corten_containerd_api::containerd::services::leases::v1::leases_server::Leases;
use corten_proto::containerd::services::leases::v1::{
    AddResourceRequest, CreateRequest, CreateResponse, DeleteRequest, DeleteResourceRequest, Lease, ListRequest,
    ListResourcesRequest, ListResourcesResponse, ListResponse,
};
use tonic::{Request, Response, Status, async_trait};

use super::records;
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result as Done},
    in_its_own_task,
    metadata::Durability,
};

/// The handlers. A lease that a power cut undoes protected nothing that outlived it: all relaxed.
#[derive(Debug)]
pub struct LeasesService(pub Arc<Supervisor>);

#[async_trait]
impl Leases for LeasesService {
    async fn create(&self, request: Request<CreateRequest>) -> Result<Response<CreateResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let CreateRequest { id, labels } = request.into_inner();
        let id = if id.is_empty() { random_id()? } else { id };
        let lease = Lease { id, labels, ..Lease::default() };
        let change = move |c: &rusqlite::Connection| records::create(c, &namespace, lease);
        let lease = self.0.metadata.write(Durability::Relaxed, change).await?;
        self.0.gc.expires(&lease);
        Ok(Response::new(CreateResponse { lease: Some(lease) }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let DeleteRequest { id, sync } = request.into_inner();
        let supervisor = self.0.clone();
        let delete = async move {
            supervisor.metadata.write(Durability::Relaxed, move |c| records::delete(c, &namespace, &id)).await?;
            supervisor.gc.deleted();
            if sync { supervisor.gc.collect_now(&supervisor).await } else { Ok(()) }
        };
        Ok(Response::new(in_its_own_task(delete).await?))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let caller = Caller::of(&request)?;
        let leases = self.0.metadata.read(|c| records::list(c, &caller.namespace, &request.get_ref().filters))?;
        Ok(Response::new(ListResponse { leases }))
    }

    async fn add_resource(&self, request: Request<AddResourceRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let AddResourceRequest { id, resource } = request.into_inner();
        let resource = resource.unwrap_or_default();
        let change = move |c: &rusqlite::Connection| records::add_resource(c, &namespace, &id, &resource);
        Ok(Response::new(self.0.metadata.write(Durability::Relaxed, change).await?))
    }

    async fn delete_resource(&self, request: Request<DeleteResourceRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let DeleteResourceRequest { id, resource } = request.into_inner();
        let resource = resource.unwrap_or_default();
        let change = move |c: &rusqlite::Connection| records::delete_resource(c, &namespace, &id, &resource);
        self.0.metadata.write(Durability::Relaxed, change).await?;
        self.0.gc.deleted();
        Ok(Response::new(()))
    }

    async fn list_resources(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let id = &request.get_ref().id;
        let resources = self.0.metadata.read(|c| records::list_resources(c, &caller.namespace, id))?;
        Ok(Response::new(ListResourcesResponse { resources }))
    }
}

/// A name nobody has: the time, and three random bytes, as containerd's clients make theirs.
fn random_id() -> Done<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("random id of a lease: {error}")))?;
    let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
    Ok(format!("{nanos}-{:08x}", u32::from_ne_bytes(bytes)))
}
