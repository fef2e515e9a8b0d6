//! `GET /system/df`: what images, containers and volumes take.

use std::collections::HashMap;
use std::sync::Arc;

use corten_docker_api::disk_usage::DiskUsage;
use corten_docker_api::{ApiVersion, Filters};

use crate::containers::list::{self as containers, ListQuery};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::images::list as images;
use crate::images::sizes::Sizes;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types {
    images: bool,
    containers: bool,
    volumes: bool,
    build_cache: bool,
}

impl Types {
    /// Reads the values of `type`; none asks for all.
    ///
    /// # Errors
    /// 400 for an unknown one.
    pub fn decode<'a>(values: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut types = Self { images: false, containers: false, volumes: false, build_cache: false };
        let mut is_given = false;
        for value in values {
            is_given = true;
            match value {
                "image" => types.images = true,
                "container" => types.containers = true,
                "volume" => types.volumes = true,
                "build-cache" => types.build_cache = true,
                other => return Err(EngineError::invalid(format!("unknown object type: {other}"))),
            }
        }
        let all = Self { images: true, containers: true, volumes: true, build_cache: true };
        Ok(if is_given { types } else { all })
    }
}

/// Adds up what there is.
///
/// # Errors
/// What containerd answers.
pub async fn disk_usage(engine: &Arc<Engine>, types: Types, version: ApiVersion) -> Result<DiskUsage> {
    engine.containerd.linked().await?;
    let mut usage = DiskUsage::default();
    if types.images {
        let listed = engine.catalog.list().await?;
        let sizes = Sizes::measure(engine, &listed).await?;
        usage.layers_size = i64::try_from(sizes.total_bytes()).unwrap_or(i64::MAX);
        let mut users: HashMap<String, i64> = HashMap::new();
        for container in engine.containers.all() {
            *users.entry(container.view().record.image_id.clone()).or_default() += 1;
        }
        let mut summaries = images::summaries_of(engine, listed, &sizes, &Filters::default(), version).await?;
        for (summary, shared) in &mut summaries {
            summary.shared_size = *shared;
            summary.containers = users.get(&summary.id).copied().unwrap_or(0);
        }
        usage.images = Some(summaries.into_iter().map(|(summary, _)| summary).collect());
    }
    if types.containers {
        let query = ListQuery { all: true, size: true, ..ListQuery::default() };
        usage.containers = Some(containers::list(engine, query).await?);
    }
    usage.volumes = types.volumes.then(Vec::new);
    usage.build_cache = types.build_cache.then(Vec::new);
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asks_for_all() {
        let all = Types::decode(std::iter::empty()).unwrap();
        assert!(all.images && all.containers && all.volumes && all.build_cache);
        let some = Types::decode(["image", "volume"].into_iter()).unwrap();
        assert!(some.images && !some.containers && some.volumes && !some.build_cache);
        assert_eq!(Types::decode(["x"].into_iter()).unwrap_err().message(), "unknown object type: x");
    }
}
