//! A further name for an image that is here.

use corten_containerd_api::ImageStore as _;
use corten_proto::containerd::types::transfer::ImageStore;

use super::names;
use crate::{
    error::{Error, Result},
    local::{LocalStore, refusal},
};

/// Names what `source` names as `destination` says.
///
/// # Errors
/// `NotFound` when nothing has the source's name.
pub async fn tag(local: &LocalStore, source: &ImageStore, destination: &ImageStore) -> Result<()> {
    let image = local.get_image(&source.name).await.map_err(refusal)?;
    let images = names::of_pulled(destination, &image.target);
    if images.is_empty() {
        return Err(Error::not_found("no image name found"));
    }
    for image in images {
        local.put_image(&image).await.map_err(refusal)?;
    }
    Ok(())
}
