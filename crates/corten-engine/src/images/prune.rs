//! `POST /images/prune`.

use corten_docker_api::Filters;
use corten_docker_api::images::{ImageDeleted, ImagesPruned};
use corten_images::catalog::is_dangling;

use super::delete::{Force, Users, delete};
use super::list::{created, until};
use super::sizes::Sizes;
use crate::engine::Engine;
use crate::errors::Result;

/// Filters this call knows.
const FILTERS: &[&str] = &["dangling", "label", "label!", "until"];

/// Removes images that no container was made of: those without a name, or with `dangling=false` all.
///
/// # Errors
/// 400 for a filter that cannot be used; an image that cannot be removed is left out.
pub async fn prune(engine: &Engine, filters: &Filters) -> Result<ImagesPruned> {
    engine.containerd.linked().await?;
    filters.allow(FILTERS)?;
    let only_dangling = filters.boolean("dangling", true)?;
    let before = filters.values("until").next().map(until).transpose()?;
    let mut deleted: Vec<ImageDeleted> = Vec::new();
    let all = engine.catalog.list().await?;
    let sizes = Sizes::measure(engine, &all).await?;
    for image in all {
        let users = Users::of(engine, image.details.id().as_str());
        let has_name = image.records.iter().any(|record| !is_dangling(&record.name));
        let is_kept = users.running.is_some()
            || users.stopped.is_some()
            || (only_dangling && has_name)
            || before.is_some_and(|before| created(&image.details) >= before)
            || !filters.match_labels(&image.details.parsed.config.labels);
        if is_kept {
            continue;
        }
        match delete(engine, image.details.id().as_str(), Force::Yes).await {
            Ok(gone) => deleted.extend(gone),
            Err(error) => tracing::debug!(image = %image.details.id(), error = error.message(), "image not pruned"),
        }
    }
    // A layer that another image has stays: only what no image has any more was freed.
    let space_reclaimed = if deleted.is_empty() { 0 } else { sizes.bytes_without(&engine.catalog.list().await?) };
    super::announce_prune(engine, space_reclaimed);
    Ok(ImagesPruned { images_deleted: (!deleted.is_empty()).then_some(deleted), space_reclaimed })
}
