//! From the name in a create to what a container takes from its image.

use corten_docker_api::containers::ContainerConfig;

use super::document::Document;
use crate::engine::Engine;
use crate::errors::Result;

/// What a container takes from its image.
#[derive(Clone, Debug)]
pub struct Image {
    /// `sha256:…` of its configuration: docker's id.
    pub id: String,
    /// What a container inherits.
    pub config: ContainerConfig,
    /// The name of the snapshot with all its layers.
    pub chain_id: String,
    /// `linux`.
    pub os: String,
    /// Go's word for the processor.
    pub architecture: String,
}

/// Finds the image that `wanted` names: a reference (`latest` when it has no tag), an id, or the
/// beginning of an id. A name wins over the beginning of an id.
///
/// # Errors
/// 404 `No such image: …`, on which the CLI pulls and asks again.
pub async fn resolve(engine: &Engine, wanted: &str) -> Result<Image> {
    engine.containerd.linked().await?;
    let details = engine.catalog.resolve(wanted).await?.details;
    let document = Document::of(&details)?;
    Ok(Image {
        id: details.id().to_string(),
        chain_id: details.top().to_owned(),
        config: document.config.unwrap_or_default(),
        os: document.os,
        architecture: document.architecture,
    })
}
