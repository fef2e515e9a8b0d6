//! Saving images: one tar that docker (old and new), containerd, podman and skopeo read.
//!
//! It is an OCI layout with docker's `manifest.json` and `repositories` in it, as docker writes since 25. The files
//! that explain stand first, so that a reader of a stream knows what is coming; blobs are the stored ones, byte for
//! byte, and go from the store to the reader piece by piece.

use std::collections::{BTreeMap, HashSet};
use std::io;

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Descriptor, Image, Ingest, Labels, Store};
use corten_layers::archive::{Entry, Kind};
use corten_layers::writer::{Writer, blank, padding};
use corten_types::{Digest, ErrorKind, Reference};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::catalog::{Catalog, Details, ResolveError, is_dangling, read_details};
use crate::lease::{Abandoned, Held, hold};
use crate::manifest::{Index, ManifestError, Pointer, read_index, read_manifest};
use crate::media_type::{OCI_INDEX, is_index, is_manifest};
use crate::platform::Platform;

/// What is read of a blob at once; with what waits in the channel, all that a save holds of one.
const PIECE: usize = 1 << 20;
/// Most images of one archive.
const IMAGES_MAX: usize = 1024;
/// Most blobs of one archive: as many files as loading one takes.
const BLOBS_MAX: usize = 65_000;

/// What to save.
#[derive(Debug, Clone)]
pub struct SaveRequest {
    /// Names, ids, or repositories with all their tags.
    pub names: Vec<String>,
    /// How much of images for several platforms.
    pub extent: Extent,
    /// What else is left out.
    pub left_out: LeftOut,
    /// Whose work this is; see [`settle`](crate::lease::settle).
    pub owner: String,
}

/// How much of an image for several platforms is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// What is here, and at least what runs here.
    Here,
    /// docker's `--platform`: what runs on this, without the index that lists it.
    Only(Platform),
    /// containerd's: the index, and of what it lists what runs on one of these, each of which there must be.
    Of(Vec<Platform>),
    /// Everything that is listed, which must be here.
    All,
}

/// What an archive does without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// docker's `manifest.json` and `repositories`.
    pub docker_manifest: bool,
    /// Layers that nobody may distribute; those that are here are in it otherwise.
    pub foreign_layers: bool,
}

impl SaveRequest {
    /// `docker save`.
    pub fn new(names: Vec<String>, platform: Option<Platform>, owner: &str) -> Self {
        let extent = platform.map_or(Extent::Here, Extent::Only);
        Self { names, extent, left_out: LeftOut::default(), owner: owner.to_owned() }
    }
}

/// Why images were not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// One of them is not there, or cannot be read.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Its description cannot be used.
    #[error("image {name}")]
    Manifest {
        /// The image.
        name: String,
        /// Why.
        source: ManifestError,
    },
    /// More than an archive may hold.
    #[error("{count} {what} at once: at most {max} are saved")]
    TooMany {
        /// How many.
        count: usize,
        /// Of what.
        what: &'static str,
        /// How many may be.
        max: usize,
    },
    /// containerd did not do it.
    #[error("{operation}")]
    Api {
        /// What was being done.
        operation: String,
        /// Why.
        source: ApiError,
    },
}

impl SaveError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Resolve(error) => error.kind(),
            Self::Manifest { source: ManifestError::NoPlatform { .. }, .. } => ErrorKind::NotFound,
            Self::Manifest { source, .. } => source.kind(),
            Self::TooMany { .. } => ErrorKind::InvalidArgument,
            Self::Api { source, .. } => source.kind(),
        }
    }
}

fn api(operation: impl Into<String>) -> impl FnOnce(ApiError) -> SaveError {
    let operation = operation.into();
    move |source| SaveError::Api { operation, source }
}

/// An archive about to be written; its blobs are kept until it was, or until it is dropped.
pub struct Saving<S: Store> {
    held: Abandoned<S>,
    head: Vec<u8>,
    blobs: Vec<Blob>,
    /// Ids of the images in it, in order.
    pub ids: Vec<Digest>,
}

#[derive(Debug, Clone)]
struct Blob {
    digest: Digest,
    size: u64,
}

/// One image of the archive under one name, or under none.
struct Wanted {
    name: Option<Reference>,
    target: Descriptor,
    details: std::sync::Arc<Details>,
}

/// Finds all that is to be saved, checks that it is there and keeps it; [`Saving::write`] then writes it.
///
/// # Errors
/// [`SaveError`], before anything is written.
pub async fn save<S: Store>(catalog: &Catalog<S>, request: &SaveRequest) -> Result<Saving<S>, SaveError> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for name in &request.names {
        for found in find(catalog, name, &request.extent).await? {
            let is_there = |other: &Wanted| {
                other.target.digest == found.target.digest
                    && other.name.as_ref().map(ToString::to_string) == found.name.as_ref().map(ToString::to_string)
            };
            if !wanted.iter().any(is_there) {
                wanted.push(found);
            }
        }
    }
    if wanted.len() > IMAGES_MAX {
        return Err(SaveError::TooMany { count: wanted.len(), what: "images", max: IMAGES_MAX });
    }
    let held = hold(catalog.store(), "save", &request.owner).await.map_err(api("take a lease"))?;
    let mut held = Abandoned::new(held);
    match gather(&held, &wanted, request).await {
        Ok(blobs) => {
            let mut ids: Vec<Digest> = Vec::new();
            for image in &wanted {
                if !ids.contains(image.details.id()) {
                    ids.push(image.details.id().clone());
                }
            }
            Ok(Saving { held, head: head(&wanted, &blobs, request.left_out), blobs, ids })
        }
        Err(error) => {
            held.release(Collect::Later).await;
            Err(error)
        }
    }
}

/// What `text` names, as docker reads it: an id stands for the image without a name, a repository for all its tags.
async fn find<S: Store>(catalog: &Catalog<S>, text: &str, extent: &Extent) -> Result<Vec<Wanted>, SaveError> {
    let found = catalog.resolve(text).await;
    let reference = text.parse::<Reference>().ok();
    let id = text.strip_prefix("sha256:").unwrap_or(text);
    let is_id = found.as_ref().is_ok_and(|image| {
        image.details.id().hex().starts_with(id)
            || image.records.iter().any(|record| record.target.digest.hex().starts_with(id))
    });
    let is_name_only = reference.as_ref().is_some_and(|name| name.tag().is_none() && name.digest().is_none());
    if is_name_only && !is_id {
        let repository = reference.map(|name| name.name()).unwrap_or_default();
        let records = catalog.store().list_images().await.map_err(api("list images"))?;
        let mut all = Vec::new();
        for record in records.iter().filter(|record| !is_dangling(&record.name)) {
            let Ok(name) = record.name.parse::<Reference>() else { continue };
            if name.name() == repository && name.tag().is_some() {
                all.push(choose(catalog, Some(name), record, extent).await?);
            }
        }
        if all.is_empty() {
            return Err(found.err().unwrap_or_else(|| ResolveError::NotFound(text.to_owned())).into());
        }
        return Ok(all);
    }
    let image = found?;
    let name = reference.filter(|name| !is_id && name.digest().is_none()).map(Reference::or_latest);
    let Some(record) = image.records.first() else { return Err(ResolveError::NotFound(text.to_owned()).into()) };
    Ok(vec![choose(catalog, name, record, extent).await?])
}

async fn choose<S: Store>(
    catalog: &Catalog<S>,
    name: Option<Reference>,
    record: &Image,
    extent: &Extent,
) -> Result<Wanted, SaveError> {
    let failed = |source| SaveError::Manifest { name: record.name.clone(), source };
    let of = async |platform: &Platform| {
        let details = read_details(catalog.store(), &record.target, platform).await.map_err(failed)?;
        let own = Platform::new(&details.parsed.os, &details.parsed.architecture, &details.parsed.variant);
        if platform.rank(&own).is_none() {
            let digest = record.target.digest.clone();
            return Err(failed(ManifestError::NoPlatform { platform: platform.clone(), digest }));
        }
        Ok(details)
    };
    let target = record.target.clone();
    match extent {
        Extent::Only(platform) => {
            let details = of(platform).await?;
            Ok(Wanted { name, target: details.manifest.clone(), details: details.into() })
        }
        Extent::Of(platforms) => {
            let mut first = None;
            for platform in platforms {
                let details = of(platform).await?;
                first.get_or_insert(details);
            }
            match first {
                Some(details) => Ok(Wanted { name, target, details: details.into() }),
                None => Ok(Wanted { name, details: catalog.details(&target).await.map_err(failed)?, target }),
            }
        }
        Extent::Here | Extent::All => {
            Ok(Wanted { name, details: catalog.details(&target).await.map_err(failed)?, target })
        }
    }
}

/// All blobs, those that explain before layers, each once and each kept by the lease.
async fn gather<S: Store>(held: &Held<S>, wanted: &[Wanted], request: &SaveRequest) -> Result<Vec<Blob>, SaveError> {
    let is_listed = |child: &Pointer| match (&request.extent, &child.platform) {
        (Extent::Of(platforms), Some(own)) => platforms.iter().any(|platform| platform.rank(&own.into()).is_some()),
        _ => true,
    };
    let mut found = Found { seen: HashSet::new(), small: Vec::new(), layers: Vec::new() };
    for image in wanted {
        let name = image.name.as_ref().map_or_else(|| image.details.id().to_string(), Reference::familiar);
        let mut todo = vec![image.target.clone()];
        while let Some(descriptor) = todo.pop() {
            let is_chosen = matches!(request.extent, Extent::Of(_) | Extent::All)
                || [&image.target.digest, &image.details.manifest.digest].contains(&&descriptor.digest);
            if !found.add(held, &descriptor, IsLayer::No, is_chosen).await? {
                continue;
            }
            let failed = |source| SaveError::Manifest { name: name.clone(), source };
            if is_index(&descriptor.media_type) {
                let index = read_index(&held.store, &descriptor).await.map_err(failed)?;
                todo.extend(index.manifests.into_iter().filter(is_listed).rev().map(Descriptor::from));
            } else if is_manifest(&descriptor.media_type) {
                let manifest = read_manifest(&held.store, &descriptor).await.map_err(failed)?;
                found.add(held, &manifest.config.into(), IsLayer::No, is_chosen).await?;
                for layer in manifest.layers {
                    if request.left_out.foreign_layers && is_foreign(&layer.media_type) {
                        continue;
                    }
                    let is_needed = is_chosen && !is_foreign(&layer.media_type);
                    found.add(held, &layer.into(), IsLayer::Yes, is_needed).await?;
                }
            }
            if found.seen.len() > BLOBS_MAX {
                return Err(SaveError::TooMany { count: found.seen.len(), what: "blobs", max: BLOBS_MAX });
            }
        }
    }
    found.small.append(&mut found.layers);
    Ok(found.small)
}

/// Layers that stay where their vendor keeps them; an archive may go without.
fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".foreign.") || media_type.contains(".nondistributable.")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsLayer {
    Yes,
    No,
}

struct Found {
    seen: HashSet<Digest>,
    small: Vec<Blob>,
    layers: Vec<Blob>,
}

impl Found {
    /// Takes a blob into the archive; false when it is in already, or not there and not needed.
    async fn add<S: Store>(
        &mut self,
        held: &Held<S>,
        descriptor: &Descriptor,
        is_layer: IsLayer,
        is_needed: bool,
    ) -> Result<bool, SaveError> {
        let digest = &descriptor.digest;
        if self.seen.contains(digest) {
            return Ok(false);
        }
        let size = match held.store.content_info(digest).await {
            Ok(info) => info.size,
            // Other platforms of an image were never fetched.
            Err(error) if error.is_not_found() && !is_needed => return Ok(false),
            Err(error) => return Err(api(format!("look up content {digest}"))(error)),
        };
        // Asking to write what is there puts it under the lease.
        let reference = format!("{}-{digest}", held.id);
        let kept = held.store.ingest(&reference, Some(digest), Some(size)).await;
        if let Ingest::Open(writer) = kept.map_err(api(format!("keep content {digest}")))? {
            drop(writer);
            held.store.abort_ingest(&reference).await.map_err(api(format!("keep content {digest}")))?;
            let gone = ApiError::new(ErrorKind::NotFound, format!("content {digest} was removed meanwhile"));
            return Err(api("save the image")(gone));
        }
        self.seen.insert(digest.clone());
        let blob = Blob { digest: digest.clone(), size };
        match is_layer {
            IsLayer::Yes => self.layers.push(blob),
            IsLayer::No => self.small.push(blob),
        }
        Ok(true)
    }
}

/// An item of docker's `manifest.json`.
#[derive(Serialize)]
struct DockerItem {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

fn place(digest: &Digest) -> String {
    format!("blobs/{}", digest.as_str().replacen(':', "/", 1))
}

/// The start of the archive: everything but the blobs.
fn head(wanted: &[Wanted], blobs: &[Blob], left_out: LeftOut) -> Vec<u8> {
    let mut items: Vec<(Digest, DockerItem)> = Vec::new();
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut manifests = Vec::new();
    let is_in = |digest: &Digest| blobs.iter().any(|blob| blob.digest == *digest);
    for Wanted { name, target, details } in wanted {
        let mut pointer = Pointer::from(target);
        // The archive says the name by annotation; what the record had there is not the image's.
        pointer.annotations = Labels::new();
        if let Some(name) = name {
            pointer.annotations.insert("io.containerd.image.name".to_owned(), name.to_string());
            let tag = name.tag().unwrap_or_default();
            pointer.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.to_owned());
            if let Some(top) = details.layers.last() {
                let tags = repositories.entry(name.familiar_name()).or_default();
                tags.insert(tag.to_owned(), top.digest.hex().to_owned());
            }
        }
        manifests.push(pointer);
        let position = items.iter().position(|(manifest, _)| *manifest == details.manifest.digest);
        let position = position.unwrap_or_else(|| {
            let layers = details.layers.iter().map(|layer| &layer.digest).filter(|digest| is_in(digest));
            let layers = layers.map(place).collect();
            let item = DockerItem { config: place(details.id()), repo_tags: None, layers };
            items.push((details.manifest.digest.clone(), item));
            items.len() - 1
        });
        if let Some(name) = name {
            items[position].1.repo_tags.get_or_insert_default().push(name.familiar());
        }
    }
    let index = Index { schema_version: 2, media_type: OCI_INDEX.to_owned(), manifests };
    let items: Vec<&DockerItem> = items.iter().map(|(_, item)| item).collect();

    let mut tar = Writer::new(Vec::new());
    let json = |value: Result<Vec<u8>, serde_json::Error>| value.expect("these structures are all text and numbers");
    let mut file = |name: &str, data: &[u8]| tar.append_bytes(name, 0o644, data).expect("memory takes any archive");
    file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    file("index.json", &json(serde_json::to_vec(&index)));
    if !left_out.docker_manifest {
        file("manifest.json", &json(serde_json::to_vec(&items)));
        if !repositories.is_empty() {
            file("repositories", &json(serde_json::to_vec(&repositories)));
        }
    }
    for name in ["blobs/", "blobs/sha256/"] {
        let directory = Entry { path: name.into(), mode: 0o755, ..blank(Kind::Directory, 0) };
        tar.append_header(&directory).expect("memory takes any archive");
    }
    std::mem::take(tar.get_mut())
}

impl<S: Store> Saving<S> {
    /// Sends the archive piece by piece; an error is the last thing sent, and breaks the archive off.
    pub async fn write(mut self, out: mpsc::Sender<io::Result<Bytes>>) {
        let sent = self.send(&out).await;
        if let Err(Stopped::Failed(error)) = sent {
            // Whoever reads may have left meanwhile.
            let _ = out.send(Err(io::Error::other(error))).await;
        }
        self.held.release(Collect::Later).await;
    }

    async fn send(&self, out: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), Stopped> {
        let gone = |_| Stopped::Gone;
        out.send(Ok(Bytes::from(self.head.clone()))).await.map_err(gone)?;
        for blob in &self.blobs {
            let mut tar = Writer::new(Vec::new());
            let entry = Entry { path: place(&blob.digest).into_bytes(), mode: 0o444, ..blank(Kind::File, blob.size) };
            tar.append_header(&entry).map_err(|error| Stopped::Failed(error.to_string()))?;
            out.send(Ok(Bytes::from(std::mem::take(tar.get_mut())))).await.map_err(gone)?;
            let mut offset = 0;
            while offset < blob.size {
                let size = usize::try_from(blob.size - offset).unwrap_or(PIECE).min(PIECE);
                let piece = self.held.store.read_content(&blob.digest, offset, size).await;
                let piece = piece.map_err(|error| Stopped::Failed(format!("read blob {}: {error}", blob.digest)))?;
                if piece.is_empty() {
                    let text = format!("blob {} ends at {offset} of {} bytes", blob.digest, blob.size);
                    return Err(Stopped::Failed(text));
                }
                offset += piece.len() as u64;
                out.send(Ok(piece)).await.map_err(gone)?;
            }
            out.send(Ok(Bytes::from(vec![0; padding(blob.size)]))).await.map_err(gone)?;
        }
        out.send(Ok(Bytes::from_static(&[0; 1024]))).await.map_err(gone)
    }
}

/// Why an archive was broken off.
enum Stopped {
    /// Nobody reads it any more.
    Gone,
    /// The store does not give what is in it.
    Failed(String),
}
