//! Records of images by name: the trait, and its implementation on a containerd's image service.

use std::future::Future;
use std::time::SystemTime;

use corten_proto::containerd::services::images::v1 as wire;
use corten_proto::containerd::types;
use corten_types::{Digest, ErrorKind};
use prost_types::FieldMask;

use crate::moment::parse_timestamp;
use crate::{ApiError, Client, Labels};

/// Points to a blob (image-spec descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Free annotations.
    pub annotations: Labels,
}

impl From<Descriptor> for types::Descriptor {
    fn from(descriptor: Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type,
            digest: descriptor.digest.to_string(),
            size: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
            annotations: descriptor.annotations.into_iter().collect(),
        }
    }
}

impl TryFrom<types::Descriptor> for Descriptor {
    type Error = ApiError;

    fn try_from(wire: types::Descriptor) -> Result<Self, ApiError> {
        let digest = wire.digest.parse().map_err(|error| {
            ApiError::new(ErrorKind::Internal, format!("containerd describes content {:?}: {error}", wire.digest))
        })?;
        Ok(Self {
            media_type: wire.media_type,
            digest,
            size: u64::try_from(wire.size).unwrap_or(0),
            annotations: wire.annotations.into_iter().collect(),
        })
    }
}

/// A name and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name; free text for containerd, a normalised reference for us.
    pub name: String,
    /// The manifest or index it stands for.
    pub target: Descriptor,
    /// Its labels.
    pub labels: Labels,
    /// When the record was made.
    pub created: SystemTime,
    /// When it last changed.
    pub updated: SystemTime,
}

impl Image {
    /// A record to be made.
    pub fn new(name: impl Into<String>, target: Descriptor, labels: Labels) -> Self {
        let now = SystemTime::now();
        Self { name: name.into(), target, labels, created: now, updated: now }
    }
}

/// A place for image records.
pub trait ImageStore: Clone + Send + Sync + 'static {
    /// The record of `name`.
    ///
    /// Errors with `NotFound`.
    fn get_image(&self, name: &str) -> impl Future<Output = Result<Image, ApiError>> + Send;

    /// Every record, in order of name.
    fn list_images(&self) -> impl Future<Output = Result<Vec<Image>, ApiError>> + Send;

    /// Makes a record.
    ///
    /// Errors with `AlreadyExists`.
    fn create_image(&self, image: &Image) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Points an existing record at another target and replaces its labels.
    fn update_image(&self, image: &Image) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Removes a record; with `Collect::Now` what only it kept is gone when this returns.
    fn delete_image(&self, name: &str, collect: Collect) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Makes the record or points it at the new target.
    fn put_image(&self, image: &Image) -> impl Future<Output = Result<(), ApiError>> + Send {
        async move {
            match self.create_image(image).await {
                Err(error) if error.is_already_exists() => self.update_image(image).await,
                result => result,
            }
        }
    }
}

/// When what nothing refers to any more is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collect {
    /// Before the call returns.
    Now,
    /// When containerd sees fit.
    Later,
}

impl TryFrom<wire::Image> for Image {
    type Error = ApiError;

    fn try_from(image: wire::Image) -> Result<Self, ApiError> {
        Ok(Self {
            target: image.target.unwrap_or_default().try_into()?,
            name: image.name,
            labels: image.labels.into_iter().collect(),
            created: parse_timestamp(image.created_at.as_ref()),
            updated: parse_timestamp(image.updated_at.as_ref()),
        })
    }
}

impl From<&Image> for wire::CreateImageRequest {
    fn from(image: &Image) -> Self {
        let image = wire::Image {
            name: image.name.clone(),
            labels: image.labels.clone().into_iter().collect(),
            target: Some(image.target.clone().into()),
            ..Default::default()
        };
        Self { image: Some(image), ..Default::default() }
    }
}

/// Target and labels; the rest of a record does not change.
impl From<&Image> for wire::UpdateImageRequest {
    fn from(image: &Image) -> Self {
        let wire::CreateImageRequest { image, .. } = image.into();
        let paths = vec!["target".to_owned(), "labels".to_owned()];
        Self { image, update_mask: Some(FieldMask { paths }), ..Default::default() }
    }
}

impl ImageStore for Client {
    async fn get_image(&self, name: &str) -> Result<Image, ApiError> {
        let request = wire::GetImageRequest { name: name.to_owned() };
        self.images().get(request).await?.into_inner().image.unwrap_or_default().try_into()
    }

    async fn list_images(&self) -> Result<Vec<Image>, ApiError> {
        let answer = self.images().list(wire::ListImagesRequest::default()).await?.into_inner();
        answer.images.into_iter().map(Image::try_from).collect()
    }

    async fn create_image(&self, image: &Image) -> Result<(), ApiError> {
        self.images().create(wire::CreateImageRequest::from(image)).await?;
        Ok(())
    }

    async fn update_image(&self, image: &Image) -> Result<(), ApiError> {
        self.images().update(wire::UpdateImageRequest::from(image)).await?;
        Ok(())
    }

    async fn delete_image(&self, name: &str, collect: Collect) -> Result<(), ApiError> {
        let request =
            wire::DeleteImageRequest { name: name.to_owned(), sync: collect == Collect::Now, ..Default::default() };
        self.images().delete(request).await?;
        Ok(())
    }
}
