//! Loading archives of whole images: `docker save`'s, old and new, and OCI layouts.

use std::io::Read;

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Descriptor, Image, Labels, Store};
use corten_layers::archive::ArchiveError;
use corten_layers::codec::Decoder;
use corten_types::{Digest, ErrorKind, Reference};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::archived::{self, Archived, ArchivedError};
use crate::catalog::{dangling_name, name_image};
use crate::ingest::Uploader;
use crate::lease::{Held, hold};
use crate::manifest::{
    Index, LAYERS_MAX, Manifest, ManifestError, Pointer, choose, is_attestation, manifest_labels, read_config,
    read_index, read_manifest,
};
use crate::media_type::{DOCKER_CONFIG, DOCKER_MANIFEST, docker_layer, is_index, is_manifest};
use crate::platform::Platform;
use crate::staging::Staging;
use crate::unpack::{UnpackError, unpack_with};

/// Most images of one archive.
const IMAGES_MAX: usize = 1024;

/// What to load.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// Which platform of an image for several is unpacked.
    pub platform: Platform,
    /// What becomes of an image whose name one of the archive takes.
    pub replaced: Replaced,
    /// Whose work this is; see [`settle`](crate::lease::settle).
    pub owner: String,
}

/// What becomes of an image whose name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// As with docker: it stays, without a name.
    Kept,
    /// As with containerd: nothing refers to it any more.
    Forgotten,
}

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its names; none when the archive gave it none, and it is kept without one.
    pub names: Vec<Reference>,
    /// Its id: the digest of its configuration.
    pub id: Digest,
    /// What the names stand for.
    pub target: Descriptor,
}

/// Why an archive was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archived(#[from] ArchivedError),
    /// It holds something else than images.
    #[error("unrecognized image format: the archive has neither manifest.json nor oci-layout with index.json")]
    NotImages,
    /// One of the files that explain it is broken.
    #[error("{file} of the archive")]
    Json {
        /// Which.
        file: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// It says something that cannot be.
    #[error("{file} of the archive: {why}")]
    Malformed {
        /// Which file.
        file: &'static str,
        /// What.
        why: String,
    },
    /// An image's description cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A layer could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// containerd did not do it.
    #[error("{operation}")]
    Api {
        /// What was being done.
        operation: String,
        /// Why.
        source: ApiError,
    },
    /// The thread that read the archive ended early.
    #[error("read the archive: the reading thread panicked")]
    Panicked,
}

impl LoadError {
    /// What went wrong, for the edge: the archive's fault is [`ErrorKind::InvalidArgument`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Archived(error) => error.kind(),
            Self::NotImages | Self::Json { .. } | Self::Malformed { .. } => ErrorKind::InvalidArgument,
            // What the archive should have brought.
            Self::Manifest(ManifestError::Missing { .. })
            | Self::Unpack(UnpackError::Manifest(ManifestError::Missing { .. })) => ErrorKind::InvalidArgument,
            Self::Manifest(error) => error.kind(),
            Self::Unpack(error) => error.kind(),
            Self::Api { source, .. } => source.kind(),
            Self::Panicked => ErrorKind::Internal,
        }
    }
}

fn api(operation: impl Into<String>) -> impl FnOnce(ApiError) -> LoadError {
    let operation = operation.into();
    move |source| LoadError::Api { operation, source }
}

/// Loads every image of an archive, compressed or not: blobs to the content store, layers to snapshots, names last.
///
/// All or nothing is named, and of a failed load nothing stays: its lease is ended with what it kept. Memory does not
/// depend on the archive's size. Run it in a task of its own, so that a client that leaves does not cut it off
/// between two steps; see [`input`](crate::input) for the archive of such a client.
///
/// # Errors
/// [`LoadError`].
pub async fn load<S: Store>(
    store: &S,
    request: &LoadRequest,
    archive: impl Read + Send + 'static,
) -> Result<Vec<Loaded>, LoadError> {
    let held = hold(store, "load", &request.owner).await.map_err(api("take a lease"))?;
    let loaded = load_under(&held, request, archive).await;
    held.release(if loaded.is_ok() { Collect::Later } else { Collect::Now }).await;
    loaded
}

async fn load_under<S: Store>(
    held: &Held<S>,
    request: &LoadRequest,
    archive: impl Read + Send + 'static,
) -> Result<Vec<Loaded>, LoadError> {
    let store = &held.store;
    let mut uploader = Uploader::new(store.clone(), &held.id);
    let mut staging = Staging::new(store.clone());
    let read = move || {
        let decoder = Decoder::new(archive).map_err(|error| ArchiveError::Read(error).into());
        let found = decoder.and_then(|decoder| archived::read(decoder, &mut uploader, &mut staging));
        (found, staging)
    };
    let (found, mut staging) = tokio::task::spawn_blocking(read).await.map_err(|_| LoadError::Panicked)?;
    let loaded = match found {
        Ok(found) => load_found(store, request, &found, &mut staging).await,
        Err(error) => Err(error.into()),
    };
    staging.discard().await;
    loaded
}

async fn load_found<S: Store>(
    store: &S,
    request: &LoadRequest,
    found: &Archived,
    staging: &mut Staging<S>,
) -> Result<Vec<Loaded>, LoadError> {
    let tops = match (&found.layout, &found.index) {
        (Some(layout), Some(index)) => oci_images(store, layout, index, found.manifest.as_ref()).await?,
        _ => docker_images(store, found).await?,
    };
    let mut loaded = Vec::new();
    for top in tops {
        let (_, manifest) = choose(store, &top.target, &request.platform).await?;
        unpack_with(store, &manifest, staging, &|_, _| {}).await?;
        loaded.push(Loaded { names: top.names, id: manifest.config.digest, target: top.target });
    }
    for image in &loaded {
        record(store, image, request.replaced).await.map_err(api("record the image"))?;
    }
    Ok(loaded)
}

async fn record<S: Store>(store: &S, image: &Loaded, replaced: Replaced) -> Result<(), ApiError> {
    for name in image.names.iter().map(ToString::to_string) {
        match replaced {
            Replaced::Kept => name_image(store, &name, &image.target).await?,
            Replaced::Forgotten => store.put_image(&Image::new(name, image.target.clone(), Labels::new())).await?,
        }
    }
    if !image.names.is_empty() {
        return Ok(());
    }
    let named = store.list_images().await?.iter().any(|record| record.target.digest == image.target.digest);
    if named {
        return Ok(());
    }
    store.put_image(&Image::new(dangling_name(&image.target.digest), image.target.clone(), Labels::new())).await
}

/// An image of the archive, its blobs in the store and labelled.
struct Top {
    names: Vec<Reference>,
    target: Descriptor,
}

/// An item of docker's `manifest.json`.
#[derive(Debug, Deserialize)]
struct DockerItem {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Option<Vec<String>>,
}

fn docker_items(data: &Bytes) -> Result<Vec<DockerItem>, LoadError> {
    let items: Vec<DockerItem> =
        serde_json::from_slice(data).map_err(|source| LoadError::Json { file: "manifest.json", source })?;
    if items.len() > IMAGES_MAX {
        let why = format!("{} images, at most {IMAGES_MAX} are taken", items.len());
        return Err(LoadError::Malformed { file: "manifest.json", why });
    }
    Ok(items)
}

fn references(names: &[String]) -> Result<Vec<Reference>, LoadError> {
    let parse = |name: &String| {
        name.parse::<Reference>().map(Reference::or_latest).map_err(|error| LoadError::Malformed {
            file: "manifest.json",
            why: format!("invalid tag {name:?}: {error}"),
        })
    };
    names.iter().map(parse).collect()
}

async fn docker_images<S: Store>(store: &S, found: &Archived) -> Result<Vec<Top>, LoadError> {
    let data = found.manifest.as_ref().ok_or(LoadError::NotImages)?;
    let mut tops = Vec::new();
    for item in docker_items(data)? {
        let manifest = docker_manifest(&item, found)?;
        // Before anything is written: the configuration must be one, and must fit the layers.
        read_config(store, &manifest).await?;
        let target = write_manifest(store, &manifest).await?;
        tops.push(Top { names: references(item.repo_tags.as_deref().unwrap_or_default())?, target });
    }
    Ok(tops)
}

/// The manifest that docker's archive leaves out, byte for byte as containerd makes it.
fn docker_manifest(item: &DockerItem, found: &Archived) -> Result<Manifest, LoadError> {
    let missing = |what: &str, path: &str| LoadError::Malformed {
        file: "manifest.json",
        why: format!("{what} {path:?} is not in the archive"),
    };
    let layers = item.layers.as_deref().unwrap_or_default();
    if layers.len() > LAYERS_MAX {
        let why = format!("{} layers, at most {LAYERS_MAX} are taken", layers.len());
        return Err(LoadError::Malformed { file: "manifest.json", why });
    }
    let pointer = |media_type: &str, digest: &Digest, size| Pointer {
        media_type: media_type.to_owned(),
        digest: digest.clone(),
        size,
        annotations: Labels::new(),
        platform: None,
    };
    let config = found.blob(&item.config).ok_or_else(|| missing("config", &item.config))?;
    let layers = layers.iter().map(|path| {
        let blob = found.blob(path).ok_or_else(|| missing("layer", path))?;
        Ok(pointer(docker_layer(blob.codec), &blob.digest, blob.size))
    });
    Ok(Manifest {
        schema_version: 2,
        media_type: DOCKER_MANIFEST.to_owned(),
        config: pointer(DOCKER_CONFIG, &config.digest, config.size),
        layers: layers.collect::<Result<_, LoadError>>()?,
    })
}

/// Stores a manifest that was made here, with the labels that keep what it points to.
pub(crate) async fn write_manifest<S: Store>(store: &S, manifest: &Manifest) -> Result<Descriptor, LoadError> {
    let data = serde_json::to_vec(manifest).map_err(|source| LoadError::Json { file: "manifest", source })?;
    let digest = Digest::sha256(Sha256::digest(&data).into());
    let target = Descriptor {
        media_type: manifest.media_type.clone(),
        digest: digest.clone(),
        size: data.len() as u64,
        annotations: Labels::new(),
    };
    store
        .write_whole(&digest, Bytes::from(data), &manifest_labels(manifest))
        .await
        .map_err(api(format!("store manifest {digest}")))?;
    Ok(target)
}

#[derive(Deserialize)]
struct Layout {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

async fn oci_images<S: Store>(
    store: &S,
    layout: &Bytes,
    index: &Bytes,
    docker: Option<&Bytes>,
) -> Result<Vec<Top>, LoadError> {
    let layout: Layout =
        serde_json::from_slice(layout).map_err(|source| LoadError::Json { file: "oci-layout", source })?;
    if !layout.version.starts_with("1.") {
        let why = format!("unsupported image layout version {:?}", layout.version);
        return Err(LoadError::Malformed { file: "oci-layout", why });
    }
    let index: Index =
        serde_json::from_slice(index).map_err(|source| LoadError::Json { file: "index.json", source })?;
    if index.manifests.len() > IMAGES_MAX {
        let why = format!("{} images, at most {IMAGES_MAX} are taken", index.manifests.len());
        return Err(LoadError::Malformed { file: "index.json", why });
    }
    let docker = docker.map(docker_items).transpose()?.unwrap_or_default();
    let mut tops: Vec<Top> = Vec::new();
    for pointer in index.manifests.iter().filter(|pointer| !is_attestation(pointer)) {
        let mut target = Descriptor::from(pointer.clone());
        let mut names = annotated_names(pointer);
        keep(store, &target).await?;
        if names.is_empty() && is_manifest(&target.media_type) {
            let config = read_manifest(store, &target).await?.config.digest;
            let same = docker.iter().find(|item| item.config.ends_with(config.hex()));
            names = references(same.and_then(|item| item.repo_tags.as_deref()).unwrap_or_default())?;
        }
        // Names are in the record; containerd keeps no annotations of the archive either.
        target.annotations = Labels::new();
        match tops.iter_mut().find(|top| top.target.digest == target.digest) {
            Some(top) => top.names.extend(names),
            None => tops.push(Top { names, target }),
        }
    }
    for top in &mut tops {
        let mut seen = std::collections::HashSet::new();
        top.names.retain(|name| seen.insert(name.to_string()));
    }
    Ok(tops)
}

/// The name an index gives an image: containerd's annotation, or the specification's where it is a whole reference.
fn annotated_names(pointer: &Pointer) -> Vec<Reference> {
    let whole = pointer.annotations.get("io.containerd.image.name");
    let short = pointer.annotations.get("org.opencontainers.image.ref.name");
    // A bare word there is a tag of a repository that is not named.
    let name = whole.or_else(|| short.filter(|name| name.contains(['/', ':'])));
    name.and_then(|name| name.parse::<Reference>().ok()).map(Reference::or_latest).into_iter().collect()
}

/// Labels a manifest, or an index and all it lists that is there, so that they keep what they point to.
async fn keep<S: Store>(store: &S, top: &Descriptor) -> Result<(), LoadError> {
    let mut todo = vec![top.clone()];
    let mut visited = 0;
    while let Some(descriptor) = todo.pop() {
        visited += 1;
        let malformed = |why: String| {
            LoadError::from(ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why })
        };
        if visited > IMAGES_MAX {
            return Err(malformed(format!("it lists more than {IMAGES_MAX} manifests")));
        }
        let labels = if is_index(&descriptor.media_type) {
            let index = read_index(store, &descriptor).await?;
            let mut labels = Labels::new();
            for child in index.manifests {
                match store.content_info(&child.digest).await {
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => return Err(api(format!("look up content {}", child.digest))(error)),
                }
                let key = format!("containerd.io/gc.ref.content.m.{}", labels.len());
                labels.insert(key, child.digest.to_string());
                todo.push(child.into());
            }
            labels
        } else if is_manifest(&descriptor.media_type) {
            manifest_labels(&read_manifest(store, &descriptor).await?)
        } else if descriptor.digest == top.digest {
            return Err(malformed(format!("unsupported media type {:?}", descriptor.media_type)));
        } else {
            continue;
        };
        let digest = &descriptor.digest;
        store.label_content(digest, &labels).await.map_err(api(format!("label content {digest}")))?;
    }
    Ok(())
}
