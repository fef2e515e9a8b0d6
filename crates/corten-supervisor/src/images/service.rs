//! gRPC edge of the images.

use std::sync::Arc;

use corten_containerd_api::containerd::services::images::v1::images_server::Images;
use corten_proto::containerd::services::images::v1::{
    CreateImageRequest, CreateImageResponse, DeleteImageRequest, GetImageRequest, GetImageResponse, ImageCreate,
    ImageDelete, ImageUpdate, ListImagesRequest, ListImagesResponse, UpdateImageRequest, UpdateImageResponse,
};
use tonic::{Request, Response, Status, async_trait};

use super::records;
use crate::{Supervisor, caller::Caller, in_its_own_task, metadata::Durability};

/// The handlers.
#[derive(Debug)]
pub struct ImagesService(pub Arc<Supervisor>);

#[async_trait]
impl Images for ImagesService {
    async fn get(&self, request: Request<GetImageRequest>) -> Result<Response<GetImageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let image = self.0.metadata.read(|c| records::get(c, &caller.namespace, &request.get_ref().name))?;
        Ok(Response::new(GetImageResponse { image: Some(image) }))
    }

    async fn list(&self, request: Request<ListImagesRequest>) -> Result<Response<ListImagesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let images = self.0.metadata.read(|c| records::list(c, &caller.namespace, &request.get_ref().filters))?;
        Ok(Response::new(ListImagesResponse { images }))
    }

    async fn create(&self, request: Request<CreateImageRequest>) -> Result<Response<CreateImageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let namespace = caller.namespace.clone();
        let CreateImageRequest { image, source_date_epoch } = request.into_inner();
        let image = image.unwrap_or_default();
        let change = move |c: &rusqlite::Connection| records::create(c, &caller, image, source_date_epoch);
        let image = self.0.metadata.write(Durability::Durable, change).await?;
        let event = ImageCreate { name: image.name.clone(), labels: image.labels.clone() };
        self.0.events.publish(&namespace, "/images/create", &event);
        Ok(Response::new(CreateImageResponse { image: Some(image) }))
    }

    async fn update(&self, request: Request<UpdateImageRequest>) -> Result<Response<UpdateImageResponse>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let UpdateImageRequest { image, update_mask, source_date_epoch } = request.into_inner();
        let (wanted, paths) = (image.unwrap_or_default(), update_mask.unwrap_or_default().paths);
        let owner = namespace.clone();
        let change = move |c: &rusqlite::Connection| records::update(c, &owner, wanted, &paths, source_date_epoch);
        let supervisor = self.0.clone();
        let update = async move {
            let image = supervisor.metadata.write(Durability::Durable, change).await?;
            supervisor.gc.deleted();
            let event = ImageUpdate { name: image.name.clone(), labels: image.labels.clone() };
            supervisor.events.publish(&namespace, "/images/update", &event);
            Ok(image)
        };
        Ok(Response::new(UpdateImageResponse { image: Some(in_its_own_task(update).await?) }))
    }

    async fn delete(&self, request: Request<DeleteImageRequest>) -> Result<Response<()>, Status> {
        let Caller { namespace, .. } = Caller::of(&request)?;
        let DeleteImageRequest { name, sync, target } = request.into_inner();
        let (owner, removed) = (namespace.clone(), name.clone());
        let change = move |c: &rusqlite::Connection| records::delete(c, &owner, &removed, target.as_ref());
        let supervisor = self.0.clone();
        // A client that leaves once the record is deleted must not leave behind what the image kept.
        let delete = async move {
            supervisor.metadata.write(Durability::Durable, change).await?;
            supervisor.events.publish(&namespace, "/images/delete", &ImageDelete { name });
            supervisor.gc.deleted();
            if sync { supervisor.gc.collect_now(&supervisor).await } else { Ok(()) }
        };
        Ok(Response::new(in_its_own_task(delete).await?))
    }
}
