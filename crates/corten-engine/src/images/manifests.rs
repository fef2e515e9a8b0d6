//! The manifests behind an image: one, or those of an index, each with what of it is here (1.47).

use std::sync::Arc;

use corten_containerd_api::{ContentStore, Descriptor as Target, Image, Snapshotter};
use corten_docker_api::images as api;
use corten_images::Details;
use corten_images::catalog::details_of_manifest;
use corten_images::manifest::{is_attestation, read_index};
use corten_images::media_type::{is_index, is_manifest};

use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Most manifests told of one image.
const MANIFESTS_AT_MOST: usize = 256;

/// The manifests of the record `record`.
///
/// # Errors
/// What containerd answers; what is not here is told as not available.
pub async fn manifests(engine: &Engine, record: &Image) -> Result<Vec<api::ManifestSummary>> {
    if !is_index(&record.target.media_type) {
        return Ok(vec![summary(engine, &record.target, "image", "").await?]);
    }
    let store = engine.catalog.store();
    let index = read_index(store, &record.target).await.map_err(|error| {
        EngineError::new(error.kind(), format!("list the manifests of {}", record.name)).caused_by(error)
    })?;
    let mut all = Vec::new();
    for pointer in index.manifests.into_iter().take(MANIFESTS_AT_MOST) {
        let subject = pointer.annotations.get("vnd.docker.reference.digest").cloned().unwrap_or_default();
        let kind = match (is_attestation(&pointer), is_manifest(&pointer.media_type)) {
            (true, _) => "attestation",
            (false, true) => "image",
            (false, false) => "unknown",
        };
        let platform = pointer.platform.clone();
        let mut one = summary(engine, &pointer.into(), kind, &subject).await?;
        if let (Some(data), Some(platform)) = (&mut one.image_data, platform) {
            data.platform =
                api::Platform { architecture: platform.architecture, os: platform.os, variant: platform.variant };
        }
        all.push(one);
    }
    Ok(all)
}

async fn summary(engine: &Engine, target: &Target, kind: &str, subject: &str) -> Result<api::ManifestSummary> {
    let details = details_of_manifest(engine.catalog.store(), target).await.ok().map(Arc::new);
    let mut one = api::ManifestSummary {
        id: target.digest.to_string(),
        descriptor: descriptor(target),
        available: false,
        size: api::ManifestSize::default(),
        kind: kind.to_owned(),
        image_data: None,
        attestation_data: (kind == "attestation").then(|| api::AttestationData { subject: subject.to_owned() }),
    };
    let unpacked = match &details {
        Some(details) => {
            let (content, available) = content_of(engine, target, details).await?;
            (one.size.content, one.available) = (content, available);
            unpacked_bytes(engine, details).await?
        }
        None => 0,
    };
    one.size.total = one.size.content + unpacked;
    if kind == "image" {
        one.image_data = Some(image_data(engine, details.as_deref(), unpacked));
    }
    Ok(one)
}

fn image_data(engine: &Engine, details: Option<&Details>, unpacked: i64) -> api::ManifestImageData {
    let platform = details.map(|details| details.parsed.platform());
    let users =
        engine.containers.all().into_iter().filter(|container| {
            details.is_some_and(|details| container.view().record.image_id == details.id().as_str())
        });
    api::ManifestImageData {
        platform: platform.map_or_else(api::Platform::default, |platform| api::Platform {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
        }),
        containers: users.map(|container| container.id.clone()).collect(),
        size: api::UnpackedSize { unpacked },
    }
}

/// The bytes of its blobs that are here, and whether all are.
async fn content_of(engine: &Engine, target: &Target, details: &Details) -> Result<(i64, bool)> {
    let (mut bytes, mut available) = (0_u64, true);
    for blob in [target, &details.config].into_iter().chain(&details.layers) {
        match engine.catalog.store().content_info(&blob.digest).await {
            Ok(info) => bytes += info.size,
            Err(error) if error.is_not_found() => available = false,
            Err(error) => {
                let text = format!("look up blob {}", blob.digest);
                return Err(EngineError::new(error.kind(), text).caused_by(error));
            }
        }
    }
    Ok((i64::try_from(bytes).unwrap_or(i64::MAX), available))
}

async fn unpacked_bytes(engine: &Engine, details: &Details) -> Result<i64> {
    let mut bytes = 0_u64;
    for chain_id in &details.chain {
        match engine.catalog.store().usage(chain_id.as_str()).await {
            Ok((used, _files)) => bytes += used,
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                return Err(EngineError::new(error.kind(), format!("measure layer {chain_id}")).caused_by(error));
            }
        }
    }
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// As the API shows it.
pub(super) fn descriptor(target: &Target) -> api::Descriptor {
    api::Descriptor {
        media_type: target.media_type.clone(),
        digest: target.digest.to_string(),
        size: i64::try_from(target.size).unwrap_or(i64::MAX),
        annotations: (!target.annotations.is_empty()).then(|| target.annotations.clone().into_iter().collect()),
    }
}
