//! From layers to snapshots: one per layer, named by chain id, each on top of the one before.

use std::collections::HashMap;
use std::sync::Arc;

use corten_containerd_api::{ApiError, ContentStore, Descriptor, LAYER_LABEL, Labels, STAGED, Snapshotter};
use corten_types::{Digest, ErrorKind};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::lease::random_hex;
use crate::manifest::{Manifest, ManifestError, read_config};

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
            Self::Snapshot { source, .. } | Self::Label { source, .. } => source.kind(),
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

/// Layers that are unpacked at once where they can be: more would share two or four processors' worth of work.
const AT_ONCE: usize = 4;

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
    let (config, _) = read_config(store, manifest).await?;
    let diff_ids = &config.rootfs.diff_ids;
    let chain = chain_ids(diff_ids);
    let mut there = 0;
    while there < chain.len() && is_there(store, &chain[there]).await? {
        there += 1;
    }
    // The first one that is missing has its parent and is written over it.
    let mut staged = match store.rebases() {
        true => stage_all(store, manifest, there + 1),
        false => JoinSet::new(),
    };
    let done = unpack_in_order(store, manifest, diff_ids, &chain, there, &mut staged).await;
    // What was staged and is of no use any more, after a failure or because somebody else was faster.
    while let Some(left) = staged.join_next().await {
        if let Ok(Staged { key, .. }) = left {
            discard(store, &key).await;
        }
    }
    done?;
    if let Some(top) = chain.last() {
        let key = format!("containerd.io/gc.ref.snapshot.{}", store.snapshotter());
        label(store, &manifest.config.digest, &key, top.as_str()).await?;
    }
    Ok(chain.last().cloned())
}

async fn is_there<S: Snapshotter>(store: &S, chain_id: &Digest) -> Result<bool, UnpackError> {
    match store.stat(chain_id.as_str()).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(source) => Err(UnpackError::Snapshot { operation: "look up", key: chain_id.to_string(), source }),
    }
}

/// Commits the layers base first, each as it was staged or, where it was not or could not be, written now.
async fn unpack_in_order<S: ContentStore + Snapshotter>(
    store: &S,
    manifest: &Manifest,
    diff_ids: &[Digest],
    chain: &[Digest],
    there: usize,
    staged: &mut JoinSet<Staged>,
) -> Result<(), UnpackError> {
    let mut ready: HashMap<usize, Staged> = HashMap::new();
    for (position, chain_id) in chain.iter().enumerate() {
        let layer = Descriptor::from(manifest.layers[position].clone());
        let name = chain_id.to_string();
        let parent = position.checked_sub(1).map_or("", |below| chain[below].as_str());
        let own = if position > there { take_staged(staged, &mut ready, position).await } else { None };
        let is_missing = position >= there && !is_there(store, chain_id).await?;
        let is_done = match own {
            Some(own) => put_on(store, own, &layer, &diff_ids[position], parent, &name, is_missing).await?,
            None => false,
        };
        if is_missing && !is_done {
            unpack_layer(store, &layer, &diff_ids[position], parent, &name).await?;
        }
        label(store, &layer.digest, "containerd.io/uncompressed", diff_ids[position].as_str()).await?;
    }
    // Nothing is left of those that were staged too early.
    for own in ready.into_values() {
        discard(store, &own.key).await;
    }
    Ok(())
}

/// A layer that was written without what lies below it.
struct Staged {
    position: usize,
    key: String,
    written: Result<Digest, UnpackError>,
}

/// Begins to write every layer from `first` on, a few at once.
fn stage_all<S: Snapshotter>(store: &S, manifest: &Manifest, first: usize) -> JoinSet<Staged> {
    let mut tasks = JoinSet::new();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    for (position, layer) in manifest.layers.iter().enumerate().skip(first) {
        let (store, layer, turns) = (store.clone(), Descriptor::from(layer.clone()), turns.clone());
        tasks.spawn(async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            let key = format!("extract-{} staged-{}", random_hex(8), layer.digest);
            let written = stage(&store, &layer, &key).await;
            Staged { position, key, written }
        });
    }
    tasks
}

async fn stage<S: Snapshotter>(store: &S, layer: &Descriptor, key: &str) -> Result<Digest, UnpackError> {
    let prepared = store.prepare(key, "", &Labels::new()).await;
    let mut mounts =
        prepared.map_err(|source| UnpackError::Snapshot { operation: "prepare", key: key.to_owned(), source })?;
    for mount in &mut mounts {
        mount.options.push(STAGED.to_owned());
    }
    let applied = store.apply(layer, &mounts).await;
    applied.map_err(|answer| UnpackError::Apply { layer: layer.digest.clone(), answer })
}

/// Waits for the layer at `position` to be staged; none when that task is lost.
async fn take_staged(
    staged: &mut JoinSet<Staged>,
    ready: &mut HashMap<usize, Staged>,
    position: usize,
) -> Option<Staged> {
    loop {
        if let Some(found) = ready.remove(&position) {
            return Some(found);
        }
        if let Ok(next) = staged.join_next().await? {
            ready.insert(next.position, next);
        }
    }
}

/// Puts a staged layer on its parent; false when it has to be written again, over it.
async fn put_on<S: Snapshotter>(
    store: &S,
    own: Staged,
    layer: &Descriptor,
    diff_id: &Digest,
    parent: &str,
    name: &str,
    is_missing: bool,
) -> Result<bool, UnpackError> {
    let Staged { key, written, .. } = own;
    let actual = match written {
        Ok(actual) if is_missing => actual,
        Ok(_) => {
            discard(store, &key).await;
            return Ok(true);
        }
        Err(error) => {
            // Whatever it was: over its parent the layer says so itself, or needs it and is written.
            tracing::debug!(key, error = %error, "a layer is written again over the one below");
            discard(store, &key).await;
            return Ok(false);
        }
    };
    if actual != *diff_id {
        discard(store, &key).await;
        return Err(UnpackError::WrongLayer { layer: layer.digest.clone(), actual, expected: diff_id.clone() });
    }
    match store.commit_onto(name, &key, parent, &made_from(store, layer)).await {
        Ok(()) => Ok(true),
        Err(error) if error.is_already_exists() => {
            discard(store, &key).await;
            Ok(true)
        }
        Err(source) => {
            discard(store, &key).await;
            Err(UnpackError::Snapshot { operation: "commit", key, source })
        }
    }
}

/// Labels of a layer's snapshot: where the store makes it again after a power cut, the blob it is made from.
fn made_from<S: Snapshotter>(store: &S, layer: &Descriptor) -> Labels {
    let label = (LAYER_LABEL.to_owned(), layer.digest.to_string());
    store.rebases().then_some(label).into_iter().collect()
}

async fn discard<S: Snapshotter>(store: &S, key: &str) {
    // The lease takes what cannot be removed now.
    if let Err(error) = store.remove(key).await {
        tracing::warn!(key, error = %error, "snapshot of a staged layer left to its lease");
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

async fn unpack_layer<S: Snapshotter>(
    store: &S,
    layer: &Descriptor,
    diff_id: &Digest,
    parent: &str,
    name: &str,
) -> Result<(), UnpackError> {
    // The key of a snapshot being written, as containerd names it: unique, so that two unpacks of one image meet only
    // when they commit.
    let key = format!("extract-{} {name}", random_hex(8));
    let written = write_layer(store, layer, diff_id, parent, &key, name).await;
    if written.is_err() {
        // The lease takes what cannot be removed now; the first error is the one that tells.
        if let Err(error) = store.remove(&key).await {
            tracing::warn!(key, error = %error, "snapshot of a failed unpack left to its lease");
        }
    }
    written
}

async fn write_layer<S: Snapshotter>(
    store: &S,
    layer: &Descriptor,
    diff_id: &Digest,
    parent: &str,
    key: &str,
    name: &str,
) -> Result<(), UnpackError> {
    let failed = |operation, source| UnpackError::Snapshot { operation, key: key.to_owned(), source };
    let mounts = store.prepare(key, parent, &Labels::new()).await.map_err(|source| failed("prepare", source))?;
    let actual = store
        .apply(layer, &mounts)
        .await
        .map_err(|answer| UnpackError::Apply { layer: layer.digest.clone(), answer })?;
    if actual != *diff_id {
        return Err(UnpackError::WrongLayer { layer: layer.digest.clone(), actual, expected: diff_id.clone() });
    }
    match store.commit(name, key, &made_from(store, layer)).await {
        Ok(()) => Ok(()),
        // Somebody else unpacked the same layer meanwhile.
        Err(error) if error.is_already_exists() => store.remove(key).await.map_err(|source| failed("remove", source)),
        Err(source) => Err(failed("commit", source)),
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
