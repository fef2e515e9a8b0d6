//! From layers to snapshots: one per layer, named by chain id, each on top of the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use corten_containerd_api::{ApiError, ContentStore, Descriptor, LAYER_LABEL, Labels, Snapshotter};
use corten_types::{Digest, ErrorKind};
use sha2::{Digest as _, Sha256};

use crate::lease::random_hex;
use crate::manifest::{Manifest, ManifestError, read_config};
use crate::staging::{self, Staged, Staging};

/// How often it is told how far a layer is.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Why an image was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The image's description cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A layer holds something else than its configuration says.
    #[error("layer {layer} has diff id {actual}, the config states {expected}")]
    WrongLayer {
        /// The layer as listed.
        layer: Digest,
        /// What it is.
        actual: Digest,
        /// What it should be.
        expected: Digest,
    },
    /// A layer could not be written.
    #[error("unpack layer {layer}: {}", answer.reason())]
    Apply {
        /// The layer.
        layer: Digest,
        /// Why: no `source`, so that the chain says it once and without containerd's phrase of its class.
        answer: ApiError,
    },
    /// A layer could not be written while its blob came.
    #[error("unpack the blob of ingest {reference}: {}", source.reason())]
    Arriving {
        /// The ingest.
        reference: String,
        /// Why.
        source: ApiError,
    },
    /// A snapshot could not be made.
    #[error("{operation} snapshot {key}")]
    Snapshot {
        /// What was being done.
        operation: &'static str,
        /// To which.
        key: String,
        /// Why.
        source: ApiError,
    },
    /// A label could not be set.
    #[error("label content {digest}")]
    Label {
        /// On which blob.
        digest: Digest,
        /// Why.
        source: ApiError,
    },
}

impl UnpackError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Manifest(error) => error.kind(),
            Self::WrongLayer { .. } => ErrorKind::InvalidArgument,
            // A containerd that cannot read a layer answers Unknown: by then its digest was checked, so the
            // layer itself is bad unless it says that the disk is full.
            Self::Apply { answer, .. } if answer.kind() == ErrorKind::Unknown => {
                if answer.message().contains("no space left") {
                    ErrorKind::ResourceExhausted
                } else {
                    ErrorKind::InvalidArgument
                }
            }
            Self::Apply { answer, .. } => answer.kind(),
            Self::Arriving { source, .. } | Self::Snapshot { source, .. } | Self::Label { source, .. } => source.kind(),
        }
    }
}

/// The chain ids of an image's layers, base first (image-spec config.md, "Layer ChainID").
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(below) => Digest::sha256(Sha256::digest(format!("{below} {diff_id}")).into()),
        };
        chain.push(next);
    }
    chain
}

/// Unpacks an image; layers that are there already are taken as they are. Returns the topmost chain id, none for an
/// image without layers.
///
/// Where the store can put layers on top of one another afterwards, those that are missing are written at once, each
/// on its own; one that needs something of a layer below is written again over it. The caller holds a lease, so that
/// on failure what was made goes with it; snapshots being written are removed here.
///
/// # Errors
/// [`UnpackError`].
pub async fn unpack<S: ContentStore + Snapshotter>(
    store: &S,
    manifest: &Manifest,
) -> Result<Option<Digest>, UnpackError> {
    let mut staging = Staging::new(store.clone());
    let unpacked = unpack_with(store, manifest, &mut staging, &|_, _| {}).await;
    staging.discard().await;
    unpacked
}

/// What happens to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is its turn.
    Begins,
    /// So many bytes of its blob were read.
    Going(u64),
    /// It is there.
    Done,
}

/// As [`unpack`], with the layers that `staging` has written already or is writing; `told` hears of each layer, base
/// first.
pub(crate) async fn unpack_with<S: ContentStore + Snapshotter>(
    store: &S,
    manifest: &Manifest,
    staging: &mut Staging<S>,
    told: &(dyn Fn(&Descriptor, Step) + Sync),
) -> Result<Option<Digest>, UnpackError> {
    let (config, _) = read_config(store, manifest).await?;
    let diff_ids = &config.rootfs.diff_ids;
    let chain = chain_ids(diff_ids);
    let there = first_missing(store, &chain).await?;
    if store.rebases() {
        // The first one that is missing has its parent and is written over it.
        for layer in manifest.layers.iter().skip(there + 1) {
            staging.begin(layer.clone().into());
        }
    }
    for (position, chain_id) in chain.iter().enumerate() {
        let layer = Descriptor::from(manifest.layers[position].clone());
        told(&layer, Step::Begins);
        let place = Place {
            store,
            layer: &layer,
            diff_id: &diff_ids[position],
            parent: position.checked_sub(1).map_or("", |below| chain[below].as_str()),
            name: chain_id.as_str(),
        };
        // Somebody else may have been faster, since the first look too.
        if position >= there && !is_there(store, chain_id).await? {
            let read = staging.read(&layer.digest).unwrap_or_default();
            let is_done = match telling(staging.take(&layer.digest), &layer, &read, told).await {
                Some(staged) => place.put(staged).await?,
                None => false,
            };
            if !is_done {
                let read = Arc::default();
                telling(place.unpack(&read), &layer, &read, told).await?;
            }
        }
        label(store, &layer.digest, "containerd.io/uncompressed", diff_ids[position].as_str()).await?;
        told(&layer, Step::Done);
    }
    if let Some(top) = chain.last() {
        let key = format!("containerd.io/gc.ref.snapshot.{}", store.snapshotter());
        label(store, &manifest.config.digest, &key, top.as_str()).await?;
    }
    Ok(chain.last().cloned())
}

/// Waits for `work` on `layer`, and tells how far it is.
async fn telling<T>(
    work: impl Future<Output = T>,
    layer: &Descriptor,
    read: &Arc<AtomicU64>,
    told: &(dyn Fn(&Descriptor, Step) + Sync),
) -> T {
    let mut work = std::pin::pin!(work);
    let mut before = 0;
    loop {
        if let Ok(done) = tokio::time::timeout(TELL_EVERY, work.as_mut()).await {
            return done;
        }
        let now = read.load(Ordering::Relaxed);
        if now != std::mem::replace(&mut before, now) {
            told(layer, Step::Going(now));
        }
    }
}

/// How many of the layers, base first, are there.
pub(crate) async fn first_missing<S: Snapshotter>(store: &S, chain: &[Digest]) -> Result<usize, UnpackError> {
    let mut there = 0;
    while there < chain.len() && is_there(store, &chain[there]).await? {
        there += 1;
    }
    Ok(there)
}

async fn is_there<S: Snapshotter>(store: &S, chain_id: &Digest) -> Result<bool, UnpackError> {
    match store.stat(chain_id.as_str()).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(source) => Err(UnpackError::Snapshot { operation: "look up", key: chain_id.to_string(), source }),
    }
}

/// Where a layer goes.
struct Place<'a, S> {
    store: &'a S,
    layer: &'a Descriptor,
    diff_id: &'a Digest,
    /// The snapshot below it, empty for the base.
    parent: &'a str,
    name: &'a str,
}

impl<S: Snapshotter> Place<'_, S> {
    /// Puts a staged layer on its parent; false when it has to be written again, over it.
    async fn put(&self, staged: Staged) -> Result<bool, UnpackError> {
        let Staged { key, written } = staged;
        let put = match written {
            Ok(actual) => self.put_written(&key, actual).await,
            Err(error) => {
                // Whatever it was: over its parent the layer says so itself, or needs it and is written.
                tracing::debug!(key, error = %error, "a layer is written again over the one below");
                Ok(false)
            }
        };
        if !matches!(put, Ok(true)) {
            staging::remove(self.store, &key).await;
        }
        put
    }

    async fn put_written(&self, key: &str, actual: Digest) -> Result<bool, UnpackError> {
        self.check(actual)?;
        let committed = match self.parent {
            "" => self.store.commit(self.name, key, &self.made_from()).await,
            parent => self.store.commit_onto(self.name, key, parent, &self.made_from()).await,
        };
        match committed {
            // Somebody else unpacked the same layer meanwhile.
            Err(error) if error.is_already_exists() => {
                staging::remove(self.store, key).await;
                Ok(true)
            }
            done => done.map(|()| true).map_err(|source| UnpackError::Snapshot {
                operation: "commit",
                key: key.to_owned(),
                source,
            }),
        }
    }

    fn check(&self, actual: Digest) -> Result<(), UnpackError> {
        if actual == *self.diff_id {
            return Ok(());
        }
        let (layer, expected) = (self.layer.digest.clone(), self.diff_id.clone());
        Err(UnpackError::WrongLayer { layer, actual, expected })
    }

    /// Labels of a layer's snapshot: where the store makes it again after a power cut, the blob it is made from.
    fn made_from(&self) -> Labels {
        let label = (LAYER_LABEL.to_owned(), self.layer.digest.to_string());
        self.store.rebases().then_some(label).into_iter().collect()
    }

    /// Writes the layer over its parent.
    async fn unpack(&self, read: &Arc<AtomicU64>) -> Result<(), UnpackError> {
        // The key of a snapshot being written, as containerd names it: unique, so that two unpacks of one image meet
        // only when they commit.
        let key = format!("extract-{} {}", random_hex(8), self.name);
        let written = self.write(&key, read).await;
        if written.is_err() {
            // The first error is the one that tells.
            staging::remove(self.store, &key).await;
        }
        written
    }

    async fn write(&self, key: &str, read: &Arc<AtomicU64>) -> Result<(), UnpackError> {
        let failed = |operation, source| UnpackError::Snapshot { operation, key: key.to_owned(), source };
        let mounts = self.store.prepare(key, self.parent, &Labels::new()).await;
        let mounts = mounts.map_err(|source| failed("prepare", source))?;
        let applied = self.store.apply(self.layer, &mounts, read).await;
        self.check(applied.map_err(|answer| UnpackError::Apply { layer: self.layer.digest.clone(), answer })?)?;
        match self.store.commit(self.name, key, &self.made_from()).await {
            Ok(()) => Ok(()),
            // Somebody else unpacked the same layer meanwhile.
            Err(error) if error.is_already_exists() => {
                self.store.remove(key).await.map_err(|source| failed("remove", source))
            }
            Err(source) => Err(failed("commit", source)),
        }
    }
}

async fn label(store: &impl ContentStore, digest: &Digest, key: &str, value: &str) -> Result<(), UnpackError> {
    let labels = Labels::from([(key.to_owned(), value.to_owned())]);
    match store.label_content(digest, &labels).await {
        Ok(()) => Ok(()),
        // A layer whose snapshot was there need not be there itself.
        Err(error) if error.is_not_found() => {
            Err(ManifestError::Missing { what: "layer", digest: digest.clone() }.into())
        }
        Err(source) => Err(UnpackError::Label { digest: digest.clone(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_follow_from_diff_ids() {
        // The two layers and their chain as containerd 1.6 named them.
        let diff_ids = [
            "sha256:b935a795cb1b47d0b7bb91412d5e5bd859d2e710249cefb1456d6aeb37f0f788",
            "sha256:22807eb4f27e14e5da374ab25f2c983d5d3e32c92ad9d341a58b4275c31bb7e4",
        ]
        .map(|text| text.parse().unwrap());
        let chain = chain_ids(&diff_ids);
        assert_eq!(chain[0], diff_ids[0]);
        assert_eq!(chain[1].as_str(), "sha256:8b1b6035fe57529b0da56c7039cdb67b97cd5b8819bc07711f4eaa5d729581a2");
    }
}
