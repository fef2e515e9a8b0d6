//! Pulling: from a registry to blobs, snapshots and a name.
//!
//! ```text
//! resolve ─> manifests, index first ─> configuration ─> layers, several at once ─> snapshots ─> name
//! ```

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Descriptor, Image, Labels, Store};
use corten_types::{Digest, ErrorKind, Reference};

use crate::catalog::name_image;
use crate::fetch::{Fetcher, may_be_continued};
use crate::lease::{Abandoned, hold};
use crate::manifest::{ManifestError, read_config};
use crate::media_type::{is_config, is_index, is_manifest};
use crate::platform::Platform;
use crate::progress::{Progress, Sink, key};
use crate::registry::{Registry, RegistryError};
use crate::unpack::{Step, UnpackError, chain_ids, first_missing, unpack_with};
use crate::walk::{Walk, Wanted};

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The image; `latest` when it has neither tag nor digest.
    pub reference: Reference,
    /// Which platforms of an image for several are fetched, each as well as it can be had; all when none is named.
    pub platforms: Vec<Platform>,
    /// For which of them layers become snapshots; for none, the image is only stored. The first is whose id is told.
    pub unpack: Vec<Platform>,
    /// Whether manifests and configurations of the other platforms come too, without their layers.
    pub all_metadata: bool,
    /// What the image is called here.
    pub naming: Naming,
    /// Whose work this is; see [`settle`](crate::lease::settle).
    pub owner: String,
}

/// What a pulled image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// As docker does it: by the reference, and what had this name before is kept without one.
    Reference,
    /// As containerd does it: by this name, with these labels, whatever had it before.
    Replace {
        /// The name.
        name: String,
        /// The record's labels.
        labels: Labels,
    },
}

impl PullRequest {
    /// `docker pull`: one platform, unpacked, named by its reference.
    pub fn new(reference: Reference, platform: Platform, owner: &str) -> Self {
        Self {
            reference,
            platforms: vec![platform.clone()],
            unpack: vec![platform],
            all_metadata: false,
            naming: Naming::Reference,
            owner: owner.to_owned(),
        }
    }
}

/// An image that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its name.
    pub name: String,
    /// What the name stands for: the digest that `docker pull` prints is its.
    pub target: Descriptor,
    /// The image's id, of the platform that was unpacked or the only one there is.
    pub id: Option<Digest>,
    /// The name stood for this already, and nothing had to be fetched.
    pub is_up_to_date: bool,
}

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry did not serve it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Its description cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A layer could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// What a host served is not what was asked for.
    #[error("blob {digest} from {host}: {}", source.reason())]
    Content {
        /// The last host that served it.
        host: String,
        /// What was asked for.
        digest: Digest,
        /// What the store found: both digests.
        source: ApiError,
    },
    /// The store did not do it.
    #[error("{operation}")]
    Api {
        /// What was being done.
        operation: String,
        /// Why.
        source: ApiError,
    },
    /// Another part of the same image could not be had.
    #[error("fetch {what}: given up with the rest of the image")]
    GivenUp {
        /// Of what.
        what: String,
        /// What was fetched of it is of use to another attempt.
        may_be_continued: bool,
    },
    /// A transfer ended early.
    #[error("fetch {what}: the task panicked")]
    Panicked {
        /// Of what.
        what: String,
    },
}

impl PullError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Manifest(error) => error.kind(),
            Self::Unpack(error) => error.kind(),
            Self::Content { .. } => ErrorKind::FailedPrecondition,
            Self::Api { source, .. } => source.kind(),
            Self::GivenUp { .. } => ErrorKind::Canceled,
            Self::Panicked { .. } => ErrorKind::Internal,
        }
    }

    /// What the registry answered, when that was the reason: host, status and code for the edge.
    pub fn registry(&self) -> Option<&RegistryError> {
        match self {
            Self::Registry(error) => Some(error),
            _ => None,
        }
    }
}

pub(crate) fn api(operation: impl Into<String>) -> impl FnOnce(ApiError) -> PullError {
    let operation = operation.into();
    move |source| PullError::Api { operation, source }
}

/// Pulls an image: blobs to the content store, layers to snapshots, the name last.
///
/// A blob that is on its way is an ingest named after its digest, and one that is whole is kept for a day, so what a
/// killed or broken-off pull fetched is not fetched again, and two pulls that want the same blob fetch it once. Of a pull
/// that cannot be continued nothing stays. No blob is held in memory. Dropped, it ends, and its lease is released.
///
/// # Errors
/// [`PullError`]; see [`PullError::registry`].
pub async fn pull<S: Store>(
    store: &S,
    request: &PullRequest,
    registry: &Registry,
    sink: &Sink,
) -> Result<Pulled, PullError> {
    let held = hold(store, "pull", &request.owner).await.map_err(api("take a lease"))?;
    let mut held = Abandoned::new(held);
    let reference = request.reference.clone().or_latest();
    sink(Progress::message(format!("Resolving from {reference}")));
    let pulled = pull_under(store, &held.store, request, reference, registry, sink).await;
    held.release(if pulled.is_ok() { Collect::Later } else { Collect::Now }).await;
    pulled
}

/// Pulls every tag of the request's repository; the tag or digest of its reference does not count.
///
/// # Errors
/// [`PullError`] of the first image that fails; those before it are there.
pub async fn pull_all<S: Store>(
    store: &S,
    request: &PullRequest,
    registry: &Registry,
    sink: &Sink,
) -> Result<Vec<Pulled>, PullError> {
    let mut pulled = Vec::new();
    for tag in registry.repository(&request.reference).await?.tags().await? {
        // What is no tag cannot be asked for either.
        let Ok(reference) = request.reference.with_tag(&tag) else { continue };
        pulled.push(pull(store, &PullRequest { reference, ..request.clone() }, registry, sink).await?);
    }
    Ok(pulled)
}

async fn pull_under<S: Store>(
    store: &S,
    leased: &S,
    request: &PullRequest,
    reference: Reference,
    registry: &Registry,
    sink: &Sink,
) -> Result<Pulled, PullError> {
    let repository = registry.repository(&reference).await?;
    let resolved = repository.resolve().await?;
    let target = resolved.descriptor;
    if !is_index(&target.media_type) && !is_manifest(&target.media_type) {
        let why = format!("unsupported media type {:?}", target.media_type);
        return Err(ManifestError::Malformed { what: "manifest", digest: target.digest, why }.into());
    }
    let name = match &request.naming {
        Naming::Replace { name, .. } => name.clone(),
        Naming::Reference => recorded_name(&reference),
    };
    sink(Progress::message(format!("Pulling from {reference}")));
    sink(Progress::of_image("fetching image content", &name, Some(target.clone())));

    let downloads = (registry.limits().downloads.clone(), registry.settings().downloads);
    let fetcher = Arc::new(Fetcher::new(store.clone(), leased.clone(), repository, sink.clone(), downloads));
    let fetched = fetch_and_unpack(&fetcher, request, &target, resolved.data, &name, sink).await;
    fetcher.take_staging().discard().await;
    let id = match fetched {
        Ok(id) => id,
        Err(error) => {
            if !may_be_continued(&error) {
                fetcher.kept().forget(Collect::Now).await;
            }
            return Err(error);
        }
    };

    let stood = leased.get_image(&name).await.is_ok_and(|record| record.target.digest == target.digest);
    match &request.naming {
        Naming::Reference => name_image(leased, &name, &target).await,
        Naming::Replace { name, labels } => leased.put_image(&Image::new(name, target.clone(), labels.clone())).await,
    }
    .map_err(api(format!("record image {name}")))?;
    fetcher.kept().forget(Collect::Later).await;
    sink(Progress::of_image("saved", &name, Some(target.clone())));
    sink(Progress::message(format!("Completed pull from {reference}")));
    Ok(Pulled { name, target, id, is_up_to_date: stood && !fetcher.has_fetched() })
}

/// From the top to snapshots; the image's id where there is one to tell.
async fn fetch_and_unpack<S: Store>(
    fetcher: &Arc<Fetcher<S>>,
    request: &PullRequest,
    target: &Descriptor,
    data: Option<Bytes>,
    name: &str,
    sink: &Sink,
) -> Result<Option<Digest>, PullError> {
    let images = Walk::new(fetcher.clone(), request).images(target, data, name).await?;
    // Of several, those that are not to run may be anything.
    let is_to_run = !request.unpack.is_empty() && images.len() == 1;
    for image in &images {
        fetch_image(fetcher, image, is_to_run).await?;
    }
    let store = fetcher.leased();
    let mut staging = fetcher.take_staging();
    let told = |layer: &Descriptor, step| {
        let (event, done) = match step {
            Step::Begins => ("extracting", 0),
            Step::Going(read) => ("extracting", read),
            Step::Done => ("extracted", layer.size),
        };
        sink(Progress::of_blob(event, layer, &[], done));
    };
    let mut ids = Vec::new();
    let mut unpacked = Ok(());
    for platform in &request.unpack {
        let (_, manifest) = crate::manifest::choose(store, target, platform).await?;
        unpacked = unpack_with(store, &manifest, &mut staging, &told).await.map(drop);
        ids.push(manifest.config.digest);
        if unpacked.is_err() {
            break;
        }
    }
    staging.discard().await;
    unpacked?;
    if let ([], [only]) = (&ids[..], &images[..]) {
        ids.push(only.manifest.config.digest.clone());
    }
    Ok(ids.into_iter().next())
}

/// A digest says all that a tag beside it could.
fn recorded_name(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => reference.with_digest(digest.clone()).to_string(),
        None => reference.to_string(),
    }
}

/// Fetches configuration and layers; what is to be unpacked is looked at before its layers are fetched.
async fn fetch_image<S: Store>(fetcher: &Arc<Fetcher<S>>, image: &Wanted, is_to_run: bool) -> Result<(), PullError> {
    let parents = [key(&image.descriptor)];
    let config = Descriptor::from(image.manifest.config.clone());
    let malformed = |why: String| ManifestError::Malformed { what: "config", digest: config.digest.clone(), why };
    if is_to_run && !is_config(&config.media_type) {
        return Err(malformed(format!("unsupported media type {:?}", config.media_type)).into());
    }
    if config.size > crate::manifest::CONFIG_MAX {
        let max = crate::manifest::CONFIG_MAX;
        return Err(malformed(format!("{} bytes, at most {max} are taken", config.size)).into());
    }
    fetcher.blob(&config, &parents).await?;
    if is_to_run {
        let (parsed, _) = read_config(fetcher.leased(), &image.manifest).await?;
        let there = first_missing(fetcher.leased(), &chain_ids(&parsed.rootfs.diff_ids)).await?;
        fetcher.unpack_on_the_way(image.manifest.layers.iter().skip(there).map(|layer| layer.digest.clone()));
    }
    let mut seen = HashSet::new();
    let layers: Vec<Descriptor> = image.manifest.layers.iter().cloned().map(Descriptor::from).collect();
    let layers = layers.into_iter().filter(|layer| seen.insert(layer.digest.clone())).collect();
    Fetcher::blobs(fetcher, layers, &parents).await
}
