//! Pushing: what a registry lacks of an image, blobs first, its tag last.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Descriptor, Image, Labels, Store};
use corten_layers::codec::Codec;
use corten_types::{Digest, ErrorKind, Reference};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::compress::compressed;
use crate::lease::{Abandoned, hold};
use crate::manifest::{
    DEPTH_MAX, MANIFEST_MAX, Manifest, ManifestError, choose, manifest_labels, parse_index, parse_manifest,
};
use crate::media_type::{docker_layer, is_index, is_manifest, oci_layer};
use crate::platform::Platform;
use crate::progress::{Progress, Sink, key};
use crate::registry::{Pieces, Registry, RegistryError, Repository, Sent, Turns, bare_host};

/// What is read of the store at once.
const CHUNK: usize = 256 << 10;
/// Most manifests of one image.
const MANIFESTS_MAX: usize = 1024;
/// How often the sink hears of one blob.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// What to push.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// Where to: repository, and tag or digest.
    pub reference: Reference,
    /// The record that is pushed.
    pub name: String,
    /// Of an image for several platforms only this one.
    pub platform: Option<Platform>,
    /// What happens to layers that are stored plain.
    pub layers: Layers,
    /// Whose work this is; see [`settle`](crate::lease::settle).
    pub owner: String,
}

/// What happens to layers that are stored plain, because they were committed, imported or loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// They are compressed, once, and the record stands for the manifest that was pushed then.
    Compressed,
    /// They are sent as they are.
    AsStored,
}

impl PushRequest {
    /// `docker push`.
    pub fn new(reference: Reference, owner: &str) -> Self {
        let reference = reference.or_latest();
        let name = reference.to_string();
        Self { reference, name, platform: None, layers: Layers::Compressed, owner: owner.to_owned() }
    }
}

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the tag stands for at the registry now.
    pub target: Descriptor,
}

/// Why an image was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Nothing has this name; docker's text.
    #[error("An image does not exist locally with the tag: {0}")]
    NoImage(String),
    /// The registry did not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Its description cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store did not do it.
    #[error("{operation}")]
    Api {
        /// What was being done.
        operation: String,
        /// Why.
        source: ApiError,
    },
    /// A transfer ended early.
    #[error("push a layer: the task panicked")]
    Panicked,
}

impl PushError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoImage(_) => ErrorKind::NotFound,
            Self::Registry(error) => error.kind(),
            Self::Manifest(error) => error.kind(),
            Self::Api { source, .. } => source.kind(),
            Self::Panicked => ErrorKind::Internal,
        }
    }

    /// What the registry answered, when that was the reason.
    pub fn registry(&self) -> Option<&RegistryError> {
        match self {
            Self::Registry(error) => Some(error),
            _ => None,
        }
    }
}

fn api(operation: impl Into<String>) -> impl FnOnce(ApiError) -> PushError {
    let operation = operation.into();
    move |source| PushError::Api { operation, source }
}

/// Pushes an image. Of one for several platforms all is pushed when all is here, and otherwise what runs best here.
///
/// The tag is written last, so a push that fails leaves none. Dropped, it ends, and its lease is released.
///
/// # Errors
/// [`PushError`]; see [`PushError::registry`].
pub async fn push<S: Store>(
    store: &S,
    request: &PushRequest,
    registry: &Registry,
    sink: &Sink,
) -> Result<Pushed, PushError> {
    let mut held = Abandoned::new(hold(store, "push", &request.owner).await.map_err(api("take a lease"))?);
    let pushed = push_under(&held.store, request, registry, sink).await;
    held.release(Collect::Later).await;
    pushed
}

async fn push_under<S: Store>(
    store: &S,
    request: &PushRequest,
    registry: &Registry,
    sink: &Sink,
) -> Result<Pushed, PushError> {
    let record = match store.get_image(&request.name).await {
        Ok(record) => record,
        Err(error) if error.is_not_found() => return Err(PushError::NoImage(shown(&request.name))),
        Err(source) => return Err(PushError::Api { operation: format!("look up image {}", request.name), source }),
    };
    sink(Progress::message(format!("Pushing to {}", request.reference)));
    sink(Progress::of_image("pushing content", &request.name, Some(record.target.clone())));
    let repository = registry.repository(&request.reference).await?;
    let whole = match &request.platform {
        None => Tree::of(store, &record.target).await?,
        Some(_) => None,
    };
    let mut tree = match whole {
        Some(tree) => tree,
        None => {
            let platform = request.platform.clone().unwrap_or_else(Platform::host);
            let (descriptor, manifest) = choose(store, &record.target, &platform).await?;
            let missing = || ManifestError::Missing { what: "content of manifest", digest: descriptor.digest.clone() };
            let _ = manifest;
            Tree::of(store, &descriptor).await?.ok_or_else(missing)?
        }
    };
    let was = tree.top().clone();
    if request.layers == Layers::Compressed {
        tree.compress(store, sink).await?;
    }
    let sender = Sender { store: store.clone(), repository: repository.clone(), sink: sink.clone() };
    sender.blobs(&tree, &registry.limits().uploads, registry.settings().uploads).await?;
    for (descriptor, data) in &tree.manifests {
        let digest = descriptor.digest.to_string();
        let is_top = descriptor.digest == tree.top().digest;
        // What has a tag is stored by it, which stores it by its digest as well.
        let reference = match request.reference.tag().filter(|_| is_top && request.reference.digest().is_none()) {
            Some(tag) => tag.to_owned(),
            None => digest,
        };
        repository.push_manifest(descriptor, &reference, data.clone()).await?;
        sink(Progress::of_blob("complete", descriptor, &[], descriptor.size));
    }
    let target = tree.top().clone();
    if target.digest != was.digest {
        keep(store, &record, &tree).await.map_err(api(format!("record image {}", request.name)))?;
    }
    sink(Progress::of_image("pushed content", &request.name, Some(target.clone())));
    sink(Progress::message(format!("Completed push to {}", request.reference)));
    Ok(Pushed { target })
}

fn shown(name: &str) -> String {
    name.parse::<Reference>().map_or_else(|_| name.to_owned(), |reference| reference.familiar())
}

/// Points the record at what was pushed, so that its digest here is the one the registry knows.
async fn keep<S: Store>(store: &S, record: &Image, tree: &Tree) -> Result<(), ApiError> {
    let Some((target, data)) = tree.manifests.last() else { return Ok(()) };
    let labels = tree.images.last().map(|(_, manifest)| manifest_labels(manifest)).unwrap_or_default();
    store.write_whole(&target.digest, data.clone(), &labels).await?;
    store.put_image(&Image { target: target.clone(), ..record.clone() }).await
}

/// All that is pushed.
struct Tree {
    /// What lists others behind what it lists: the order they are written in.
    manifests: Vec<(Descriptor, Bytes)>,
    images: Vec<(Descriptor, Manifest)>,
    /// Blobs that no manifest describes: entries of an index.
    others: Vec<Descriptor>,
}

impl Tree {
    /// All below `top`; none when not all of it is here.
    async fn of<S: Store>(store: &S, top: &Descriptor) -> Result<Option<Self>, PushError> {
        let mut tree = Self { manifests: Vec::new(), images: Vec::new(), others: Vec::new() };
        match tree.add(store, top, 0).await {
            Ok(()) => Ok(Some(tree)),
            Err(PushError::Manifest(ManifestError::Missing { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn top(&self) -> &Descriptor {
        &self.manifests.last().expect("a tree has a top").0
    }

    async fn add<S: Store>(&mut self, store: &S, descriptor: &Descriptor, depth: usize) -> Result<(), PushError> {
        let malformed =
            |why: String| ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why };
        if self.manifests.iter().any(|(known, _)| known.digest == descriptor.digest) {
            return Ok(());
        }
        if depth > DEPTH_MAX || self.manifests.len() >= MANIFESTS_MAX {
            return Err(malformed("it lists too much".to_owned()).into());
        }
        let (is_index, is_manifest) = (is_index(&descriptor.media_type), is_manifest(&descriptor.media_type));
        if !is_index && !is_manifest {
            if depth == 0 {
                return Err(malformed(format!("unsupported media type {:?}", descriptor.media_type)).into());
            }
            expect_content(store, "blob", descriptor).await?;
            self.others.push(descriptor.clone());
            return Ok(());
        }
        expect_content(store, "manifest", descriptor).await?;
        let data = store.read_whole(&descriptor.digest, MANIFEST_MAX).await;
        let data = data.map_err(api(format!("read content {}", descriptor.digest)))?;
        if is_index {
            for child in parse_index(descriptor, &data)?.manifests {
                Box::pin(self.add(store, &child.into(), depth + 1)).await?;
            }
        } else {
            let manifest = parse_manifest(descriptor, &data)?;
            for blob in blobs_of(&manifest) {
                expect_content(store, "blob", &blob).await?;
            }
            self.images.push((descriptor.clone(), manifest));
        }
        self.manifests.push((descriptor.clone(), data));
        Ok(())
    }

    /// Compresses the plain layers of an image that no registry has seen; its manifest becomes another one.
    async fn compress<S: Store>(&mut self, store: &S, sink: &Sink) -> Result<(), PushError> {
        let [(descriptor, data)] = &mut self.manifests[..] else { return Ok(()) };
        let Some((described, manifest)) = self.images.first_mut() else { return Ok(()) };
        let info = store.content_info(&descriptor.digest).await;
        let info = info.map_err(api(format!("look up content {}", descriptor.digest)))?;
        let is_pulled = info.labels.keys().any(|key| key.starts_with("containerd.io/distribution.source."));
        if is_pulled || !manifest.layers.iter().any(|layer| gzip_type(&layer.media_type).is_some()) {
            return Ok(());
        }
        let unusable =
            |why: String| ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why };
        // As a document, so that what is not known here stays.
        let mut document: serde_json::Value =
            serde_json::from_slice(data).map_err(|error| unusable(error.to_string()))?;
        let parents = [key(descriptor)];
        for (number, layer) in manifest.layers.iter_mut().enumerate() {
            let Some(media_type) = gzip_type(&layer.media_type) else { continue };
            let plain = Descriptor::from(layer.clone());
            sink(Progress::of_blob("compressing", &plain, &parents, 0));
            let (digest, size) =
                compressed(store, &plain).await.map_err(api(format!("compress layer {}", layer.digest)))?;
            (layer.media_type, layer.digest, layer.size) = (media_type.to_owned(), digest, size);
            let entry = &mut document["layers"][number];
            entry["mediaType"] = media_type.into();
            entry["digest"] = layer.digest.as_str().into();
            entry["size"] = layer.size.into();
        }
        *data = Bytes::from(serde_json::to_vec(&document).map_err(|error| unusable(error.to_string()))?);
        descriptor.digest = Digest::sha256(Sha256::digest(&data[..]).into());
        descriptor.size = data.len() as u64;
        *described = descriptor.clone();
        Ok(())
    }
}

/// The type that a plain layer has when it is compressed.
fn gzip_type(media_type: &str) -> Option<&'static str> {
    if media_type == docker_layer(Codec::Plain) {
        Some(docker_layer(Codec::Gzip))
    } else if media_type == oci_layer(Codec::Plain) {
        Some(oci_layer(Codec::Gzip))
    } else {
        None
    }
}

/// Configuration and layers, but for those that nobody may distribute.
fn blobs_of(manifest: &Manifest) -> Vec<Descriptor> {
    let is_foreign = |media_type: &str| media_type.contains("nondistributable") || media_type.contains(".foreign.");
    let layers = manifest.layers.iter().filter(|layer| !is_foreign(&layer.media_type));
    layers.chain([&manifest.config]).cloned().map(Descriptor::from).collect()
}

async fn expect_content<S: Store>(store: &S, what: &'static str, descriptor: &Descriptor) -> Result<(), PushError> {
    let digest = &descriptor.digest;
    match store.content_info(digest).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Err(ManifestError::Missing { what, digest: digest.clone() }.into()),
        Err(source) => Err(PushError::Api { operation: format!("look up content {digest}"), source }),
    }
}

/// Sends blobs.
#[derive(Clone)]
struct Sender<S> {
    store: S,
    repository: Repository,
    sink: Sink,
}

impl<S: Store> Sender<S> {
    async fn blobs(&self, tree: &Tree, turns: &Turns, uploads: usize) -> Result<(), PushError> {
        let mut tasks = JoinSet::new();
        let mut seen = HashSet::new();
        let of_images = tree.images.iter().flat_map(|(descriptor, manifest)| {
            let parent = key(descriptor);
            blobs_of(manifest).into_iter().map(move |blob| (blob, vec![parent.clone()]))
        });
        let others = tree.others.iter().map(|blob| (blob.clone(), Vec::new()));
        for (blob, parents) in of_images.chain(others).filter(|(blob, _)| seen.insert(blob.digest.clone())) {
            (self.sink)(Progress::of_blob("waiting", &blob, &parents, 0));
            let (own, turns) = (self.clone(), turns.clone());
            tasks.spawn(async move {
                let _turn = turns.take(uploads).await;
                own.blob(&blob, &parents).await
            });
        }
        // The first error ends the others: what they sent without a manifest is nothing to a registry.
        while let Some(done) = tasks.join_next().await {
            done.map_err(|_| PushError::Panicked)??;
        }
        Ok(())
    }

    async fn blob(&self, blob: &Descriptor, parents: &[String]) -> Result<(), PushError> {
        let reference = self.repository.reference();
        let source = format!("containerd.io/distribution.source.{}", bare_host(reference.domain()));
        let digest = &blob.digest;
        let info = self.store.content_info(digest).await.map_err(api(format!("look up content {digest}")))?;
        let known = info.labels.get(&source).map_or("", String::as_str);
        let repositories: Vec<String> = known.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let sent = self.repository.push_blob(blob, &repositories, &self.pieces(blob, parents)).await?;
        let report = |event: &str| (self.sink)(Progress::of_blob(event, blob, parents, blob.size));
        match &sent {
            Sent::Existed => report("already exists"),
            Sent::Mounted(from) => report(&format!("mounted from {from}")),
            Sent::Uploaded => report("complete"),
        }
        if repositories.iter().any(|name| name == reference.path()) {
            return Ok(());
        }
        let value =
            if known.is_empty() { reference.path().to_owned() } else { format!("{known},{}", reference.path()) };
        let labels = BTreeMap::from([(source, value)]);
        if labels.iter().all(|(name, value)| name.len() + value.len() <= crate::fetch::LABEL_MAX) {
            let labels: Labels = labels;
            self.store.label_content(digest, &labels).await.map_err(api(format!("label content {digest}")))?;
        }
        Ok(())
    }

    /// Reads the blob from the store while it is sent.
    fn pieces(&self, blob: &Descriptor, parents: &[String]) -> Pieces {
        let (own, blob, parents) = (self.clone(), blob.clone(), parents.to_vec());
        Arc::new(move |offset, length| {
            let state = (own.clone(), blob.clone(), parents.clone(), offset, offset + length, None::<Instant>);
            Box::pin(futures_util::stream::try_unfold(state, |state| async move {
                let (own, blob, parents, offset, end, mut reported) = state;
                if offset >= end {
                    return Ok(None);
                }
                if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                    reported = Some(Instant::now());
                    (own.sink)(Progress::of_blob("uploading", &blob, &parents, offset));
                }
                let size = CHUNK.min(usize::try_from(end - offset).unwrap_or(CHUNK));
                let data = own.store.read_content(&blob.digest, offset, size).await?;
                if data.is_empty() {
                    return Err(format!("content {} ends at byte {offset}", blob.digest).into());
                }
                let next = offset + data.len() as u64;
                Ok(Some((data, (own, blob, parents, next, end, reported))))
            }))
        })
    }
}
