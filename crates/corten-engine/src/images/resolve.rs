//! Finds the image that a client calls by name, digest or id.

use std::sync::Arc;

use corten_docker_api::containers::ContainerConfig;
use corten_proto::containerd::services::content::v1::ReadContentRequest;
use corten_proto::containerd::services::images::v1::{GetImageRequest, Image as ImageRecord, ListImagesRequest};
use corten_types::{ErrorKind, Reference};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Image;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::system::version::go_arch;

/// Most bytes of a manifest or configuration; registries allow 4 MiB.
const DOCUMENT_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Most manifests one index is searched for; an index of indexes is refused beyond this depth.
const INDEX_DEPTH: usize = 2;

/// The image a client calls `wanted`: `name[:tag]`, `name@digest`, an id, or the beginning of an id.
/// A name wins over the beginning of an id.
///
/// # Errors
/// 404 `No such image: …`, on which the CLI pulls and asks again.
pub async fn resolve(engine: &Engine, wanted: &str) -> Result<Arc<Image>> {
    engine.containerd.linked().await?;
    let missing = || EngineError::not_found(format!("No such image: {}", familiar(wanted)));
    let id = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let looks_like_id = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_full_id = looks_like_id && (id.len() == 64 || wanted.starts_with("sha256:"));
    if !is_full_id {
        match wanted.parse::<Reference>() {
            Ok(reference) => {
                if let Some(record) = record(engine, &reference.or_latest().to_string()).await? {
                    return read(engine, &record).await;
                }
            }
            Err(error) if !looks_like_id => return Err(EngineError::invalid(error.to_string())),
            Err(_) => {}
        }
    }
    if !looks_like_id {
        return Err(missing());
    }
    let prefix = format!("sha256:{id}");
    let mut found: Option<Arc<Image>> = None;
    for record in list(engine).await? {
        let Ok(image) = read(engine, &record).await else { continue };
        if !image.id.starts_with(&prefix) && !image.target.starts_with(&prefix) {
            continue;
        }
        match &found {
            Some(other) if other.id != image.id => {
                return Err(EngineError::invalid(format!("multiple IDs found with provided prefix: {wanted}")));
            }
            _ => found = Some(image),
        }
    }
    found.ok_or_else(missing)
}

/// A name as docker prints it in `No such image`: with its tag, without the default registry.
fn familiar(wanted: &str) -> String {
    wanted.parse::<Reference>().map_or_else(|_| wanted.to_owned(), |reference| reference.or_latest().familiar())
}

/// containerd's record of exactly that name.
///
/// # Errors
/// Those of the call; an absent record is no error.
pub async fn record(engine: &Engine, name: &str) -> Result<Option<ImageRecord>> {
    let call = engine.containerd.images();
    let answer = { call }.get(GetImageRequest { name: name.to_owned() }).await;
    match answer {
        Ok(response) => Ok(response.into_inner().image),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(EngineError::from(status).while_doing(format!("look up image {name}"))),
    }
}

/// Every record in the namespace.
///
/// # Errors
/// Those of the call.
pub async fn list(engine: &Engine) -> Result<Vec<ImageRecord>> {
    let mut images = engine.containerd.images();
    let listed = engine.containerd.step("list images", images.list(ListImagesRequest::default())).await?;
    Ok(listed.images)
}

/// Reads the manifest and the configuration behind a record, for this platform.
///
/// # Errors
/// 404 when the index has nothing for this platform; else what the content store says.
pub async fn read(engine: &Engine, record: &ImageRecord) -> Result<Arc<Image>> {
    let target = record.target.clone().unwrap_or_default();
    if let Some(image) = engine.images.get(&target.digest) {
        return Ok(image);
    }
    let image = read_image(engine, &record.name, &target.digest).await;
    let image = Arc::new(image.map_err(|error| error.while_doing(format!("read image {}", record.name)))?);
    engine.images.put(Arc::clone(&image));
    Ok(image)
}

/// The part of a manifest or an index that is needed; one has a configuration, the other manifests.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    size: i64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Configuration {
    os: String,
    architecture: String,
    variant: String,
    config: Option<ContainerConfig>,
    rootfs: RootFs,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<String>,
}

async fn read_image(engine: &Engine, name: &str, target: &str) -> Result<Image> {
    let mut digest = target.to_owned();
    for _ in 0..=INDEX_DEPTH {
        let bytes = read_blob(engine, &digest).await?;
        let manifest: Manifest = parse(&digest, &bytes)?;
        let Some(config) = manifest.config else {
            digest = choose(manifest.manifests)
                .ok_or_else(|| EngineError::not_found(format!("no manifest for linux/{} in {name}", go_arch())))?;
            continue;
        };
        let raw_config = read_blob(engine, &config.digest).await?;
        let configuration: Configuration = parse(&config.digest, &raw_config)?;
        let layers: i64 = manifest.layers.iter().map(|layer| layer.size).sum();
        return Ok(Image {
            id: config.digest,
            target: target.to_owned(),
            manifest: digest,
            config: configuration.config.unwrap_or_default(),
            chain_id: chain_id(&configuration.rootfs.diff_ids),
            diff_ids: configuration.rootfs.diff_ids,
            os: configuration.os,
            architecture: configuration.architecture,
            variant: configuration.variant,
            content_size_bytes: layers + config.size + i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            raw_config: raw_config.into(),
        });
    }
    Err(EngineError::invalid(format!("{target} is an index of indexes, deeper than {INDEX_DEPTH}")))
}

/// The manifest for this platform; entries without a platform count as ours.
fn choose(manifests: Vec<Descriptor>) -> Option<String> {
    let fits = |descriptor: &Descriptor| {
        descriptor.platform.as_ref().is_none_or(|platform| platform.os == "linux" && platform.architecture == go_arch())
    };
    manifests.into_iter().find(fits).map(|descriptor| descriptor.digest)
}

fn parse<'a, T: Deserialize<'a>>(digest: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| EngineError::internal(format!("understand {digest}")).caused_by(error))
}

/// The name of the snapshot that holds these layers (image-spec config.md, "Layer ChainID").
pub fn chain_id(diff_ids: &[String]) -> String {
    let mut chain = String::new();
    for diff_id in diff_ids {
        chain = match chain.is_empty() {
            true => diff_id.clone(),
            false => {
                let hash = Sha256::digest(format!("{chain} {diff_id}").as_bytes());
                format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
        };
    }
    chain
}

/// A whole small blob.
///
/// # Errors
/// Those of the content store, and when it is longer than a document may be.
pub async fn read_blob(engine: &Engine, digest: &str) -> Result<Vec<u8>> {
    let reading = |error: EngineError| error.while_doing(format!("read {digest}"));
    let request = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
    let mut chunks =
        engine.containerd.content().read(request).await.map_err(|status| reading(status.into()))?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(|status| reading(status.into()))? {
        bytes.extend_from_slice(&chunk.data);
        if bytes.len() > DOCUMENT_LIMIT_BYTES {
            return Err(EngineError::new(
                ErrorKind::OutOfRange,
                format!("{digest} is longer than {DOCUMENT_LIMIT_BYTES} bytes"),
            ));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_is_the_first_diff_id_then_hashes() {
        let ids = ["sha256:aa".to_owned(), "sha256:bb".to_owned()];
        assert_eq!(chain_id(&ids[..1]), "sha256:aa");
        // printf 'sha256:aa sha256:bb' | sha256sum
        assert_eq!(chain_id(&ids).len(), 71);
        assert_eq!(chain_id(&[]), "");
    }

    #[test]
    fn a_missing_image_is_named_as_docker_names_it() {
        assert_eq!(familiar("busybox"), "busybox:latest");
        assert_eq!(familiar("localhost:5000/a:b"), "localhost:5000/a:b");
        assert_eq!(familiar("docker.io/library/a"), "a:latest");
    }
}
