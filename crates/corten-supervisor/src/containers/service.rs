//! gRPC edge of the containers.

use std::sync::Arc;

use corten_containerd_api::containerd::services::containers::v1::containers_server::Containers;
use corten_proto::containerd::{
    events::{ContainerCreate, ContainerDelete, ContainerUpdate, container_create},
    services::containers::v1::{
        CreateContainerRequest, CreateContainerResponse, DeleteContainerRequest, GetContainerRequest,
        GetContainerResponse, ListContainerMessage, ListContainersRequest, ListContainersResponse,
        UpdateContainerRequest, UpdateContainerResponse,
    },
};
use tonic::{Request, Response, Status, async_trait};

use super::records;
use crate::{Supervisor, caller::Caller, in_its_own_task, metadata::Durability};

/// The handlers.
#[derive(Debug)]
pub struct ContainersService(pub Arc<Supervisor>);

type Listed = tokio_stream::Iter<std::vec::IntoIter<Result<ListContainerMessage, Status>>>;

#[async_trait]
impl Containers for ContainersService {
    type ListStreamStream = Listed;

    async fn get(&self, request: Request<GetContainerRequest>) -> Result<Response<GetContainerResponse>, Status> {
        let caller = Caller::of(&request)?;
        let container = self.0.metadata.read(|c| records::get(c, &caller.namespace, &request.get_ref().id))?;
        Ok(Response::new(GetContainerResponse { container: Some(container) }))
    }

    async fn list(&self, request: Request<ListContainersRequest>) -> Result<Response<ListContainersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let containers = self.0.metadata.read(|c| records::list(c, &caller.namespace, &request.get_ref().filters))?;
        Ok(Response::new(ListContainersResponse { containers }))
    }

    async fn list_stream(&self, request: Request<ListContainersRequest>) -> Result<Response<Listed>, Status> {
        let caller = Caller::of(&request)?;
        let containers = self.0.metadata.read(|c| records::list(c, &caller.namespace, &request.get_ref().filters))?;
        let messages: Vec<_> =
            containers.into_iter().map(|container| Ok(ListContainerMessage { container: Some(container) })).collect();
        Ok(Response::new(tokio_stream::iter(messages)))
    }

    async fn create(
        &self,
        request: Request<CreateContainerRequest>,
    ) -> Result<Response<CreateContainerResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let container = request.into_inner().container.unwrap_or_default();
        let owner = namespace.clone();
        let change = move |c: &rusqlite::Connection| records::create(c, &owner, container);
        let container = self.0.metadata.write(Durability::Durable, change).await?;
        let runtime = container.runtime.clone().unwrap_or_default();
        let event = ContainerCreate {
            id: container.id.clone(),
            image: container.image.clone(),
            runtime: Some(container_create::Runtime { name: runtime.name, options: runtime.options }),
        };
        self.0.events.publish(&namespace, "/containers/create", &event);
        Ok(Response::new(CreateContainerResponse { container: Some(container) }))
    }

    async fn update(
        &self,
        request: Request<UpdateContainerRequest>,
    ) -> Result<Response<UpdateContainerResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let UpdateContainerRequest { container, update_mask } = request.into_inner();
        let (wanted, paths) = (container.unwrap_or_default(), update_mask.unwrap_or_default().paths);
        let owner = namespace.clone();
        let change = move |c: &rusqlite::Connection| records::update(c, &owner, wanted, paths);
        let container = self.0.metadata.write(Durability::Durable, change).await?;
        let event = ContainerUpdate {
            id: container.id.clone(),
            image: container.image.clone(),
            labels: container.labels.clone(),
            snapshot_key: container.snapshot_key.clone(),
        };
        self.0.events.publish(&namespace, "/containers/update", &event);
        Ok(Response::new(UpdateContainerResponse { container: Some(container) }))
    }

    async fn delete(&self, request: Request<DeleteContainerRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let id = request.into_inner().id;
        let (owner, removed) = (namespace.clone(), id.clone());
        let supervisor = self.0.clone();
        let delete = async move {
            supervisor.metadata.write(Durability::Durable, move |c| records::delete(c, &owner, &removed)).await?;
            supervisor.gc.deleted();
            supervisor.events.publish(&namespace, "/containers/delete", &ContainerDelete { id });
            Ok(())
        };
        Ok(Response::new(in_its_own_task(delete).await?))
    }
}
