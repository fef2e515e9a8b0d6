//! `GET /images/{name}/history`.

use corten_containerd_api::Snapshotter;
use corten_docker_api::images::ImageHistory;
use corten_images::Platform;

use super::document::{Document, Step};
use super::platform;
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// How an image was made, the last step first.
///
/// # Errors
/// 404 for an unknown image; 500 when its steps and its layers do not fit.
pub async fn history(engine: &Engine, wanted: &str, platform: Option<&Platform>) -> Result<Vec<ImageHistory>> {
    let found = engine.catalog.resolve(wanted).await?;
    let mut image = engine.catalog.with_all_names(&found).await?;
    if let Some(platform) = platform {
        image.details = platform::details(engine, &image, wanted, platform).await?;
    }
    let document = Document::of(&image.details)?;
    let mut layer_sizes = Vec::new();
    for chain_id in &image.details.chain {
        let usage = engine.catalog.store().usage(chain_id.as_str()).await;
        layer_sizes.push(usage.map_or(0, |(bytes, _)| i64::try_from(bytes).unwrap_or(i64::MAX)));
    }
    let sizes = assign(&document.history, &layer_sizes).ok_or_else(|| {
        EngineError::internal(format!("image {wanted}: its history does not fit its {} layers", layer_sizes.len()))
    })?;
    let step = |(step, size): (&Step, i64)| ImageHistory {
        comment: step.comment.clone(),
        created: Moment::parse(&step.created).map_or(0, Moment::seconds),
        created_by: step.created_by.clone(),
        id: "<missing>".to_owned(),
        size,
        tags: None,
    };
    let mut steps: Vec<ImageHistory> = document.history.iter().zip(sizes).map(step).rev().collect();
    if let Some(last) = steps.first_mut() {
        last.id = image.details.id().to_string();
        let tags = image.repo_tags();
        last.tags = (!tags.is_empty()).then_some(tags);
    }
    Ok(steps)
}

/// The size of each step; `None` when more or fewer of them made a layer than there are.
fn assign(history: &[Step], layer_sizes: &[i64]) -> Option<Vec<i64>> {
    let mut layers = layer_sizes.iter();
    let sizes: Option<Vec<i64>> =
        history.iter().map(|step| if step.empty_layer { Some(0) } else { layers.next().copied() }).collect();
    sizes.filter(|_| layers.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_belong_to_the_steps_that_made_one() {
        let step = |empty_layer| Step { empty_layer, ..Step::default() };
        assert_eq!(assign(&[step(false), step(true), step(false)], &[5, 7]), Some(vec![5, 0, 7]));
        assert_eq!(assign(&[step(false)], &[5, 7]), None);
        assert_eq!(assign(&[step(false), step(false)], &[5]), None);
        assert_eq!(assign(&[], &[]), Some(vec![]));
    }
}
