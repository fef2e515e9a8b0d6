//! gRPC edge of the namespaces.

use std::sync::Arc;

use corten_containerd_api::containerd::services::namespaces::v1::namespaces_server::Namespaces;
use corten_proto::containerd::{
    events::{NamespaceCreate, NamespaceDelete, NamespaceUpdate},
    services::namespaces::v1::{
        CreateNamespaceRequest, CreateNamespaceResponse, DeleteNamespaceRequest, GetNamespaceRequest,
        GetNamespaceResponse, ListNamespacesRequest, ListNamespacesResponse, UpdateNamespaceRequest,
        UpdateNamespaceResponse,
    },
};
use tonic::{Request, Response, Status, async_trait};

use super::records;
use crate::{Supervisor, metadata::Durability};

/// The handlers.
#[derive(Debug)]
pub struct NamespacesService(pub Arc<Supervisor>);

#[async_trait]
impl Namespaces for NamespacesService {
    async fn get(&self, request: Request<GetNamespaceRequest>) -> Result<Response<GetNamespaceResponse>, Status> {
        let name = request.into_inner().name;
        let namespace = self.0.metadata.read(|c| records::get(c, &name))?;
        Ok(Response::new(GetNamespaceResponse { namespace: Some(namespace) }))
    }

    async fn list(&self, _: Request<ListNamespacesRequest>) -> Result<Response<ListNamespacesResponse>, Status> {
        let namespaces = self.0.metadata.read(records::list)?;
        Ok(Response::new(ListNamespacesResponse { namespaces }))
    }

    async fn create(
        &self,
        request: Request<CreateNamespaceRequest>,
    ) -> Result<Response<CreateNamespaceResponse>, Status> {
        let namespace = request.into_inner().namespace.unwrap_or_default();
        let stored = namespace.clone();
        self.0.metadata.write(Durability::Durable, move |c| records::create(c, &stored)).await?;
        let event = NamespaceCreate { name: namespace.name.clone(), labels: namespace.labels.clone() };
        self.0.events.publish(&namespace.name, "/namespaces/create", &event);
        Ok(Response::new(CreateNamespaceResponse { namespace: Some(namespace) }))
    }

    async fn update(
        &self,
        request: Request<UpdateNamespaceRequest>,
    ) -> Result<Response<UpdateNamespaceResponse>, Status> {
        let UpdateNamespaceRequest { namespace, update_mask } = request.into_inner();
        let (wanted, paths) = (namespace.unwrap_or_default(), update_mask.unwrap_or_default().paths);
        let change = move |c: &rusqlite::Connection| records::update(c, &wanted, &paths);
        let namespace = self.0.metadata.write(Durability::Durable, change).await?;
        let event = NamespaceUpdate { name: namespace.name.clone(), labels: namespace.labels.clone() };
        self.0.events.publish(&namespace.name, "/namespaces/update", &event);
        Ok(Response::new(UpdateNamespaceResponse { namespace: Some(namespace) }))
    }

    async fn delete(&self, request: Request<DeleteNamespaceRequest>) -> Result<Response<()>, Status> {
        let name = request.into_inner().name;
        let removed = name.clone();
        self.0.metadata.write(Durability::Durable, move |c| records::delete(c, &removed)).await?;
        self.0.events.publish(&name, "/namespaces/delete", &NamespaceDelete { name: name.clone() });
        Ok(Response::new(()))
    }
}
