//! Records of images.

use corten_containerd_api::{
    ApiError, Collect, Image, ImageStore, containerd::services::images::v1::images_server::Images as _,
};
use corten_proto::containerd::services::images::v1::{
    CreateImageRequest, DeleteImageRequest, GetImageRequest, ListImagesRequest, UpdateImageRequest,
};

use super::LocalStore;
use crate::images::ImagesService;

impl LocalStore {
    fn images(&self) -> ImagesService {
        ImagesService(self.supervisor.clone())
    }
}

impl ImageStore for LocalStore {
    async fn get_image(&self, name: &str) -> Result<Image, ApiError> {
        let request = GetImageRequest { name: name.to_owned() };
        let answer = self.images().get(self.caller.asks(request)).await?.into_inner();
        answer.image.unwrap_or_default().try_into()
    }

    async fn list_images(&self) -> Result<Vec<Image>, ApiError> {
        let answer = self.images().list(self.caller.asks(ListImagesRequest::default())).await?.into_inner();
        answer.images.into_iter().map(Image::try_from).collect()
    }

    async fn create_image(&self, image: &Image) -> Result<(), ApiError> {
        self.images().create(self.caller.asks(CreateImageRequest::from(image))).await?;
        Ok(())
    }

    async fn update_image(&self, image: &Image) -> Result<(), ApiError> {
        self.images().update(self.caller.asks(UpdateImageRequest::from(image))).await?;
        Ok(())
    }

    async fn delete_image(&self, name: &str, collect: Collect) -> Result<(), ApiError> {
        let request = DeleteImageRequest { name: name.to_owned(), sync: collect == Collect::Now, ..Default::default() };
        self.images().delete(self.caller.asks(request)).await?;
        Ok(())
    }
}
