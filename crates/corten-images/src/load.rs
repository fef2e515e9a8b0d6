//! Loading archives of whole images: `docker save`'s, old and new, and OCI layouts.

mod naming;

use std::io::Read;

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Descriptor, Image, Labels, Store};
use corten_layers::archive::ArchiveError;
use corten_layers::codec::{Codec, Decoder};
use corten_types::{Digest, ErrorKind, Reference};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::archived::{self, Archived, ArchivedError};
use crate::compress::compressed;
use crate::ingest::Uploader;
use crate::lease::{Held, hold};
use crate::manifest::{
    Index, LAYERS_MAX, Manifest, ManifestError, Pointer, choose, is_attestation, manifest_labels, read_config,
    read_index, read_manifest,
};
use crate::media_type::{DOCKER_CONFIG, DOCKER_MANIFEST, OCI_INDEX, docker_layer, is_index, is_manifest};
use crate::platform::Platform;
use crate::registry::Compressions;
use crate::staging::Staging;
use crate::unpack::{UnpackError, unpack_with};

use naming::Said;
pub use naming::{ByDigest, Naming, Rule, Rules, Whole};

/// Most images of one archive.
const IMAGES_MAX: usize = 1024;

/// What to load.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// Which platform of an image for several is unpacked.
    pub platform: Platform,
    /// Of images for several platforms what is kept besides; all that the archive has when none is named.
    pub platforms: Vec<Platform>,
    /// What the images are called.
    pub naming: Naming,
    /// Whether layers that the archive holds plain are stored compressed. Only of docker's archives without manifests,
    /// whose images get theirs here.
    pub layers: PlainLayers,
    /// Whose work this is; see [`settle`](crate::lease::settle).
    pub owner: String,
}

/// How plain layers are stored.
#[derive(Debug, Clone)]
pub enum PlainLayers {
    /// As they are.
    AsTheyAre,
    /// Compressed, when it is their turn.
    Compressed(Compressions),
}

impl LoadRequest {
    /// `docker load`.
    pub fn new(platform: Platform, owner: &str) -> Self {
        Self {
            platform,
            platforms: Vec::new(),
            naming: Naming::Docker,
            layers: PlainLayers::AsTheyAre,
            owner: owner.to_owned(),
        }
    }
}

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its records' names; none when it got none.
    pub names: Vec<String>,
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
        (Some(layout), Some(index)) => oci_images(store, layout, index, found.manifest.as_ref(), request).await?,
        _ => docker_images(store, found, request, staging).await?,
    };
    let mut loaded = Vec::new();
    for top in &tops {
        let (_, manifest) = choose(store, &top.target, &request.platform).await?;
        unpack_with(store, &manifest, staging, &|_, _| {}).await?;
        let names = request.naming.names(&top.said, &top.target);
        loaded.push(Loaded { names, id: manifest.config.digest, target: top.target.clone() });
    }
    if let Naming::Containerd(rules) = &request.naming {
        record_index(store, rules, found.index.as_ref(), &tops).await?;
    }
    for image in &loaded {
        let recorded = request.naming.record(store, &image.names, &image.target).await;
        recorded.map_err(api("record the image"))?;
    }
    Ok(loaded)
}

/// Stores the archive's own index, which is made of the images where it has none, and records it by its name, if it has
/// one.
async fn record_index<S: Store>(
    store: &S,
    rules: &Rules,
    index: Option<&Bytes>,
    tops: &[Top],
) -> Result<(), LoadError> {
    if rules.index.is_empty() {
        return Ok(());
    }
    let data = match index {
        Some(data) => data.clone(),
        None => {
            let manifests = tops.iter().map(|top| Pointer::from(&top.target)).collect();
            let index = Index { schema_version: 2, media_type: OCI_INDEX.to_owned(), manifests };
            let data = serde_json::to_vec(&index);
            data.map_err(|source| LoadError::Json { file: "index.json", source })?.into()
        }
    };
    let (digest, size) = (Digest::sha256(Sha256::digest(&data).into()), data.len() as u64);
    let label = |number: usize| format!("containerd.io/gc.ref.content.m.{number}");
    let labels = tops.iter().enumerate().map(|(number, top)| (label(number), top.target.digest.to_string()));
    let written = store.write_whole(&digest, data, &labels.collect()).await;
    written.map_err(api(format!("store index {digest}")))?;
    let target = Descriptor { media_type: OCI_INDEX.to_owned(), digest, size, annotations: Labels::new() };
    let record = Image::new(rules.index.clone(), target, rules.labels.clone());
    store.put_image(&record).await.map_err(api(format!("record image {}", rules.index)))
}

/// An image of the archive, its blobs in the store and labelled.
struct Top {
    said: Vec<Said>,
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

fn tags(names: &[String]) -> Result<Vec<Said>, LoadError> {
    let parse = |name: &String| {
        let parsed = name.parse::<Reference>().map(|name| Said::Whole(name.or_latest().to_string()));
        parsed.map_err(|error| LoadError::Malformed {
            file: "manifest.json",
            why: format!("invalid tag {name:?}: {error}"),
        })
    };
    names.iter().map(parse).collect()
}

async fn docker_images<S: Store>(
    store: &S,
    found: &Archived,
    request: &LoadRequest,
    staging: &mut Staging<S>,
) -> Result<Vec<Top>, LoadError> {
    let data = found.manifest.as_ref().ok_or(LoadError::NotImages)?;
    let mut tops = Vec::new();
    for item in docker_items(data)? {
        let mut manifest = docker_manifest(&item, found)?;
        // Before anything is written: the configuration must be one, and must fit the layers.
        read_config(store, &manifest).await?;
        if let PlainLayers::Compressed(turns) = &request.layers {
            // What was unpacked on the way goes by the plain layers.
            unpack_with(store, &manifest, staging, &|_, _| {}).await?;
            compress(store, &mut manifest, turns).await?;
        }
        let target = write_manifest(store, &manifest).await?;
        tops.push(Top { said: tags(item.repo_tags.as_deref().unwrap_or_default())?, target });
    }
    Ok(tops)
}

/// Puts compressed layers in the place of plain ones.
async fn compress<S: Store>(store: &S, manifest: &mut Manifest, turns: &Compressions) -> Result<(), LoadError> {
    for layer in manifest.layers.iter_mut().filter(|layer| layer.media_type == docker_layer(Codec::Plain)) {
        let made = compressed(store, &layer.clone().into(), turns).await;
        let (digest, size) = made.map_err(api(format!("compress layer {}", layer.digest)))?;
        (layer.media_type, layer.digest, layer.size) = (docker_layer(Codec::Gzip).to_owned(), digest, size);
    }
    Ok(())
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
    request: &LoadRequest,
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
        let mut said: Vec<Said> = Said::by(pointer).into_iter().collect();
        keep(store, &target, &request.platforms).await?;
        // docker's list names what the index does not.
        if request.naming.names(&said, &target).is_empty() && is_manifest(&target.media_type) {
            let config = read_manifest(store, &target).await?.config.digest;
            let same = docker.iter().find(|item| item.config.ends_with(config.hex()));
            said.extend(tags(same.and_then(|item| item.repo_tags.as_deref()).unwrap_or_default())?);
        }
        // Names are in the record; containerd keeps no annotations of the archive either.
        target.annotations = Labels::new();
        match tops.iter_mut().find(|top| top.target.digest == target.digest) {
            Some(top) => top.said.extend(said),
            None => tops.push(Top { said, target }),
        }
    }
    Ok(tops)
}

/// Labels a manifest, or an index and all it lists that is there and wanted, so that they keep what they point to.
async fn keep<S: Store>(store: &S, top: &Descriptor, platforms: &[Platform]) -> Result<(), LoadError> {
    let is_wanted = |child: &Pointer| match &child.platform {
        Some(own) if !platforms.is_empty() => platforms.iter().any(|platform| platform.rank(&own.into()).is_some()),
        _ => true,
    };
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
            for child in index.manifests.into_iter().filter(is_wanted) {
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
