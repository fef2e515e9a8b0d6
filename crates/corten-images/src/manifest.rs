//! Indexes, manifests and configurations as they are stored, read with bounds (image-spec; distribution schema 2).

use corten_containerd_api::{ApiError, ContentStore, Descriptor, Labels};
use corten_types::{Digest, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::media_type::{is_config, is_index, is_manifest};
use crate::platform::Platform;

/// Largest index or manifest that is read; registries refuse larger ones too.
pub const MANIFEST_MAX: u64 = 4 << 20;
/// Largest configuration that is read.
pub const CONFIG_MAX: u64 = 8 << 20;
/// Most layers of an image: more than any mount can stack.
pub const LAYERS_MAX: usize = 1024;
/// How deep an index may list indexes.
pub(crate) const DEPTH_MAX: usize = 4;

/// A descriptor as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pointer {
    /// What the blob is.
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "Labels::is_empty", deserialize_with = "null_is_default")]
    pub annotations: Labels,
    /// Of a manifest in an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformJson>,
}

/// A platform as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PlatformJson {
    /// `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `v7`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl From<&PlatformJson> for Platform {
    fn from(json: &PlatformJson) -> Self {
        Self::new(&json.os, &json.architecture, &json.variant)
    }
}

impl From<Pointer> for Descriptor {
    fn from(pointer: Pointer) -> Self {
        Self {
            media_type: pointer.media_type,
            digest: pointer.digest,
            size: pointer.size,
            annotations: pointer.annotations,
        }
    }
}

impl From<&Descriptor> for Pointer {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            annotations: descriptor.annotations.clone(),
            platform: None,
        }
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A manifest: configuration and layers, base first. Field order is docker's, since the bytes are the digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Always 2.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    /// Its own type.
    #[serde(rename = "mediaType", default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The configuration.
    pub config: Pointer,
    /// The layers, base first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Pointer>,
}

/// An index: manifests for several platforms, or of several images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Index {
    /// Always 2.
    #[serde(rename = "schemaVersion", default)]
    pub schema_version: u32,
    /// Its own type.
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    /// What it lists.
    #[serde(default, deserialize_with = "null_is_default")]
    pub manifests: Vec<Pointer>,
}

/// The part of a configuration that every layer of this workspace needs; the bytes as stored are kept beside it.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `v7`.
    #[serde(default)]
    pub variant: String,
    /// When it was made, RFC 3339.
    #[serde(default, deserialize_with = "null_is_default")]
    pub created: String,
    /// The layers' digests uncompressed.
    #[serde(default)]
    pub rootfs: Rootfs,
    /// What containers run by default.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: Defaults,
}

/// The part of a configuration's `config` that lists need.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Defaults {
    /// The image's labels.
    #[serde(rename = "Labels", default, deserialize_with = "null_is_default")]
    pub labels: Labels,
}

/// `rootfs` of a configuration.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Rootfs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Base first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

impl Config {
    /// What the image runs on.
    pub fn platform(&self) -> Platform {
        let os = if self.os.is_empty() { "linux" } else { &self.os };
        Platform::new(os, &self.architecture, &self.variant)
    }
}

/// Why an image's description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A blob it is made of is not there.
    #[error("{what} {digest} is missing")]
    Missing {
        /// `manifest`, `config`, `layer`.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// It breaks its format.
    #[error("{what} {digest}: {why}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// How.
        why: String,
    },
    /// None of the listed manifests runs here.
    #[error("no match for platform {platform} in index {digest}")]
    NoPlatform {
        /// What was looked for.
        platform: Platform,
        /// The index.
        digest: Digest,
    },
    /// containerd did not answer.
    #[error("read {what} {digest}")]
    Api {
        /// What was read.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Why.
        source: ApiError,
    },
}

impl ManifestError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } | Self::NoPlatform { .. } => ErrorKind::NotFound,
            Self::Malformed { .. } => ErrorKind::InvalidArgument,
            Self::Api { source, .. } => source.kind(),
        }
    }
}

/// Reads a blob of JSON, checking that it is as large as its descriptor says.
///
/// # Errors
/// [`ManifestError`].
pub async fn read_json<T: serde::de::DeserializeOwned>(
    store: &impl ContentStore,
    what: &'static str,
    descriptor: &Descriptor,
    max: u64,
) -> Result<(T, bytes::Bytes), ManifestError> {
    let digest = &descriptor.digest;
    let malformed = |why: String| ManifestError::Malformed { what, digest: digest.clone(), why };
    let data = match store.read_whole(digest, max).await {
        Ok(data) => data,
        Err(error) if error.is_not_found() => {
            return Err(ManifestError::Missing { what, digest: digest.clone() });
        }
        Err(source) => return Err(ManifestError::Api { what, digest: digest.clone(), source }),
    };
    if data.len() as u64 != descriptor.size {
        let why = format!("has {} bytes, its descriptor says {}", data.len(), descriptor.size);
        return Err(malformed(why));
    }
    let parsed = serde_json::from_slice(&data).map_err(|error| malformed(format!("not as expected: {error}")))?;
    Ok((parsed, data))
}

/// Reads an index.
///
/// # Errors
/// [`ManifestError`], also when it is a manifest by its fields.
pub async fn read_index(store: &impl ContentStore, descriptor: &Descriptor) -> Result<Index, ManifestError> {
    let (_, data) = read_json::<serde::de::IgnoredAny>(store, "index", descriptor, MANIFEST_MAX).await?;
    parse_index(descriptor, &data)
}

/// Reads a manifest.
///
/// # Errors
/// [`ManifestError`], also when it is an index by its fields.
pub async fn read_manifest(store: &impl ContentStore, descriptor: &Descriptor) -> Result<Manifest, ManifestError> {
    let (_, data) = read_json::<serde::de::IgnoredAny>(store, "manifest", descriptor, MANIFEST_MAX).await?;
    parse_manifest(descriptor, &data)
}

/// The members that tell a manifest from an index.
#[derive(Deserialize)]
struct Members {
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// An index from its bytes.
///
/// # Errors
/// [`ManifestError::Malformed`].
pub fn parse_index(descriptor: &Descriptor, data: &[u8]) -> Result<Index, ManifestError> {
    let malformed = |why: String| ManifestError::Malformed { what: "index", digest: descriptor.digest.clone(), why };
    let unexpected = |error: serde_json::Error| malformed(format!("not as expected: {error}"));
    // A document that can be read both ways means two images to two programs (CVE-2021-41190).
    let members: Members = serde_json::from_slice(data).map_err(unexpected)?;
    if members.config.is_some() || members.layers.is_some() {
        return Err(malformed("it has the fields of a manifest".to_owned()));
    }
    serde_json::from_slice(data).map_err(unexpected)
}

/// A manifest from its bytes.
///
/// # Errors
/// [`ManifestError::Malformed`].
pub fn parse_manifest(descriptor: &Descriptor, data: &[u8]) -> Result<Manifest, ManifestError> {
    let malformed = |why: String| ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why };
    let unexpected = |error: serde_json::Error| malformed(format!("not as expected: {error}"));
    let members: Members = serde_json::from_slice(data).map_err(unexpected)?;
    if members.manifests.is_some() {
        return Err(malformed("it has the fields of an index".to_owned()));
    }
    let manifest: Manifest = serde_json::from_slice(data).map_err(unexpected)?;
    if !manifest.media_type.is_empty() && manifest.media_type != descriptor.media_type {
        return Err(malformed("its mediaType is not the one of its descriptor".to_owned()));
    }
    if manifest.layers.len() > LAYERS_MAX {
        return Err(malformed(format!("{} layers, at most {LAYERS_MAX} are taken", manifest.layers.len())));
    }
    Ok(manifest)
}

/// Reads a configuration and checks it against the manifest's layers.
///
/// # Errors
/// [`ManifestError`].
pub async fn read_config(
    store: &impl ContentStore,
    manifest: &Manifest,
) -> Result<(Config, bytes::Bytes), ManifestError> {
    let descriptor = Descriptor::from(manifest.config.clone());
    let malformed = |why: String| ManifestError::Malformed { what: "config", digest: descriptor.digest.clone(), why };
    if !is_config(&descriptor.media_type) {
        return Err(malformed(format!("unsupported media type {:?}", descriptor.media_type)));
    }
    let (config, data) = read_json::<Config>(store, "config", &descriptor, CONFIG_MAX).await?;
    if !matches!(config.rootfs.kind.as_str(), "layers" | "") {
        return Err(malformed(format!("unsupported rootfs type {:?}", config.rootfs.kind)));
    }
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(malformed(format!(
            "it names {} layers, the manifest {}",
            config.rootfs.diff_ids.len(),
            manifest.layers.len()
        )));
    }
    Ok((config, data))
}

/// True of provenance and other attestations, which are listed in an index but are no images.
pub fn is_attestation(pointer: &Pointer) -> bool {
    let is_unknown = pointer.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    is_unknown
        || pointer.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest")
}

/// The manifest behind `target` that runs best on `platform`, and is there.
///
/// # Errors
/// [`ManifestError::NoPlatform`] when an index has none.
pub async fn choose(
    store: &impl ContentStore,
    target: &Descriptor,
    platform: &Platform,
) -> Result<(Descriptor, Manifest), ManifestError> {
    let mut todo = vec![(target.clone(), 0)];
    let mut best: Option<(usize, Descriptor, Manifest)> = None;
    while let Some((descriptor, depth)) = todo.pop() {
        let malformed =
            |why: String| ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why };
        if is_index(&descriptor.media_type) {
            if depth == DEPTH_MAX {
                return Err(malformed(format!("indexes are nested more than {DEPTH_MAX} deep")));
            }
            let index = read_index(store, &descriptor).await?;
            // Last in, first out: reversed, so that the first listed wins among equals.
            for pointer in index.manifests.into_iter().rev().filter(|pointer| !is_attestation(pointer)) {
                let fits = pointer.platform.as_ref().is_none_or(|own| platform.rank(&own.into()).is_some());
                if fits {
                    todo.push((pointer.into(), depth + 1));
                }
            }
            continue;
        }
        if !is_manifest(&descriptor.media_type) {
            if depth > 0 {
                continue;
            }
            return Err(malformed(format!("unsupported media type {:?}", descriptor.media_type)));
        }
        let manifest = match read_manifest(store, &descriptor).await {
            Ok(manifest) => manifest,
            // An index may list more than an archive or a pull for one platform brought.
            Err(ManifestError::Missing { .. }) if depth > 0 => continue,
            Err(error) => return Err(error),
        };
        if depth == 0 {
            return Ok((descriptor, manifest));
        }
        let config = match read_config(store, &manifest).await {
            Ok((config, _)) => config,
            Err(ManifestError::Missing { .. }) => continue,
            Err(error) => return Err(error),
        };
        let Some(rank) = platform.rank(&config.platform()) else { continue };
        if best.as_ref().is_none_or(|(known, ..)| rank < *known) {
            best = Some((rank, descriptor, manifest));
        }
    }
    match best {
        Some((_, descriptor, manifest)) => Ok((descriptor, manifest)),
        None => Err(ManifestError::NoPlatform { platform: platform.clone(), digest: target.digest.clone() }),
    }
}

/// Labels that keep what a manifest points to while the manifest is kept (containerd, gc.md).
pub fn manifest_labels(manifest: &Manifest) -> Labels {
    let mut labels = Labels::new();
    labels.insert("containerd.io/gc.ref.content.config".to_owned(), manifest.config.digest.to_string());
    for (position, layer) in manifest.layers.iter().enumerate() {
        labels.insert(format!("containerd.io/gc.ref.content.l.{position}"), layer.digest.to_string());
    }
    labels
}
