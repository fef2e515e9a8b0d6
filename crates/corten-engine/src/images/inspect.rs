//! `GET /images/{name}/json`.

use corten_docker_api::ApiVersion;
use corten_docker_api::images::{GraphDriver, ImageInspect, ImageMetadata, RootFs};
use corten_images::Platform;
use serde_json::Value;

use super::document::Document;
use super::{manifests, platform};
use crate::clock::{Moment, NEVER};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Below this version the size is given twice.
const ONE_SIZE_SINCE: ApiVersion = ApiVersion::new(1, 44);

/// Below this version the container an image was committed from is shown.
const NO_CONTAINER_SINCE: ApiVersion = ApiVersion::new(1, 45);

/// From this version on what the name stands for is shown.
pub(super) const DESCRIPTOR_SINCE: ApiVersion = ApiVersion::new(1, 48);

/// From this version on fields of the configuration that only a container has are left out.
const IMAGE_CONFIG_SINCE: ApiVersion = ApiVersion::new(1, 50);

/// Fields of a configuration that say nothing of an image.
const CONTAINERS_OWN: [&str; 9] =
    ["Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image"];

/// What is asked beside the image.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// The manifests behind it (1.48).
    pub manifests: bool,
    /// The platform that is to be shown (1.49).
    pub platform: Option<Platform>,
    /// The container it was committed from, whatever the version.
    pub container: bool,
}

/// The image a client calls `wanted`, as that version of the API shows it.
///
/// # Errors
/// 404 `No such image: …`.
pub async fn inspect(engine: &Engine, wanted: &str, extras: Extras, version: ApiVersion) -> Result<Value> {
    if extras.manifests && extras.platform.is_some() {
        let text = "conflicting options: manifests and platform options cannot both be set";
        return Err(EngineError::invalid(text));
    }
    let found = engine.catalog.resolve(wanted).await?;
    let mut image = engine.catalog.with_all_names(&found).await?;
    if let Some(platform) = &extras.platform {
        image.details = platform::details(engine, &image, wanted, platform).await?;
    }
    let manifests = match image.records.first() {
        Some(record) if extras.manifests => Some(manifests::manifests(engine, record).await?),
        _ => None,
    };
    let details = &image.details;
    // Of several names the one that was asked for; of one platform what is that platform's alone.
    let target = match found.records.first() {
        Some(record) if extras.platform.is_none() => record.target.clone(),
        _ => details.manifest.clone(),
    };
    let document = Document::of(details)?;
    let shows_container = extras.container || version < NO_CONTAINER_SINCE;
    let size = i64::try_from(engine.catalog.size(details).await?).unwrap_or(i64::MAX);
    let tagged = image.records.iter().map(|record| record.updated).max();
    let inspected = ImageInspect {
        id: details.id().to_string(),
        repo_tags: Some(image.repo_tags()),
        repo_digests: Some(image.repo_digests()),
        comment: document.history.last().map(|step| step.comment.clone()).unwrap_or_default(),
        created: document.created,
        container: shows_container.then_some(document.container),
        container_config: shows_container.then(|| document.container_config.unwrap_or_default()),
        docker_version: document.docker_version,
        author: document.author,
        config: Some(document.config.unwrap_or_default()),
        architecture: document.architecture,
        variant: document.variant,
        os: document.os,
        os_version: document.os_version,
        size,
        virtual_size: if version < ONE_SIZE_SINCE { size } else { 0 },
        graph_driver: GraphDriver { data: None, name: engine.catalog.store().snapshotter_name().to_owned() },
        rootfs: RootFs {
            kind: "layers".to_owned(),
            layers: Some(details.parsed.rootfs.diff_ids.iter().map(ToString::to_string).collect()),
        },
        metadata: ImageMetadata {
            last_tag_time: tagged.map_or_else(|| NEVER.to_owned(), |time| Moment::from(time).to_string()),
        },
        descriptor: (version >= DESCRIPTOR_SINCE).then(|| manifests::descriptor(&target)),
        manifests,
        ..ImageInspect::default()
    };
    let mut value = serde_json::to_value(&inspected)
        .map_err(|error| EngineError::internal(format!("describe image {wanted}")).caused_by(error))?;
    if version >= IMAGE_CONFIG_SINCE
        && let Some(config) = value["Config"].as_object_mut()
    {
        config.retain(|key, _| !CONTAINERS_OWN.contains(&key.as_str()));
    }
    Ok(value)
}
