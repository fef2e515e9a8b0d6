//! Pushing: what a registry lacks of an image, blobs first, its tag last.

mod extent;
mod sender;
mod tree;

use corten_containerd_api::{ApiError, Collect, Descriptor, Image, Store};
use corten_types::{Digest, ErrorKind, Reference};

use crate::lease::{Abandoned, hold};
use crate::manifest::{ManifestError, manifest_labels};
use crate::progress::{Progress, Sink};
use crate::registry::{Registry, RegistryError};
pub use extent::Extent;
use sender::Sender;
use tree::Tree;

/// What to push.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// Where to: repository, and tag or digest.
    pub reference: Reference,
    /// The record that is pushed.
    pub name: String,
    /// How much of an image for several platforms.
    pub extent: Extent,
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
        Self { reference, name, extent: Extent::WholeOrOne, layers: Layers::Compressed, owner: owner.to_owned() }
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
    Manifest(ManifestError),
    /// Something that is to go is not here; containerd's text.
    #[error("content digest {0}: not found")]
    Absent(Digest),
    /// Nothing of it that is here is for this platform; docker's text.
    #[error("image with reference {name} was found but does not provide {wanted}")]
    NoPlatform {
        /// The image.
        name: String,
        /// `the specified platform (…)` or `any platform`.
        wanted: String,
    },
    /// More than one of it could be meant; docker's text.
    #[error("{0}")]
    Ambiguous(String),
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
            Self::NoImage(_) | Self::Absent(_) | Self::NoPlatform { .. } => ErrorKind::NotFound,
            Self::Ambiguous(_) => ErrorKind::Conflict,
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

impl From<ManifestError> for PushError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Missing { digest, .. } => Self::Absent(digest),
            other => Self::Manifest(other),
        }
    }
}

fn api(operation: impl Into<String>) -> impl FnOnce(ApiError) -> PushError {
    let operation = operation.into();
    move |source| PushError::Api { operation, source }
}

/// Pushes an image, of one for several platforms what its [`Extent`] says.
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
    let mut tree = extent::tree(store, &record.target, &shown(&request.name), &request.extent).await?;
    // What an index lists has the digest that the index says: only what stands alone may become something else.
    let is_alone = tree.top().digest == record.target.digest;
    let layers = if is_alone { request.layers } else { Layers::AsStored };
    let sender = Sender { store: store.clone(), repository: repository.clone(), sink: sink.clone() };
    let cargo = tree.cargo(store, layers).await?;
    tree.replace(&sender.blobs(cargo, registry.limits(), registry.settings().uploads).await?)?;
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
    if is_alone && target.digest != record.target.digest {
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
