//! From layers to snapshots: one per layer, named by chain id, each on top of the one before.

use corten_containerd_api::{ApiError, ContentStore, Descriptor, Labels, Snapshotter};
use corten_types::{Digest, ErrorKind};
use sha2::{Digest as _, Sha256};

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
    #[error("unpack layer {layer}: {}", source.reason())]
    Apply {
        /// The layer.
        layer: Digest,
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
            Self::Apply { source, .. } if source.kind() == ErrorKind::Unknown => {
                if source.message().contains("no space left") {
                    ErrorKind::ResourceExhausted
                } else {
                    ErrorKind::InvalidArgument
                }
            }
            Self::Apply { source, .. } | Self::Snapshot { source, .. } | Self::Label { source, .. } => source.kind(),
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
/// The caller holds a lease, so that on failure what was made goes with it; the snapshot being written is removed
/// here.
///
/// # Errors
/// [`UnpackError`].
pub async fn unpack<S: ContentStore + Snapshotter>(
    store: &S,
    manifest: &Manifest,
) -> Result<Option<Digest>, UnpackError> {
    let (config, _) = read_config(store, manifest).await?;
    let chain = chain_ids(&config.rootfs.diff_ids);
    let mut parent = String::new();
    for ((layer, diff_id), chain_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids).zip(&chain) {
        let name = chain_id.to_string();
        let missing = match store.stat(&name).await {
            Ok(_) => false,
            Err(error) if error.is_not_found() => true,
            Err(source) => return Err(UnpackError::Snapshot { operation: "look up", key: name, source }),
        };
        if missing {
            unpack_layer(store, &layer.clone().into(), diff_id, &parent, &name).await?;
        }
        label(store, &layer.digest, "containerd.io/uncompressed", diff_id.as_str()).await?;
        parent = name;
    }
    if let Some(top) = chain.last() {
        let key = format!("containerd.io/gc.ref.snapshot.{}", store.snapshotter());
        label(store, &manifest.config.digest, &key, top.as_str()).await?;
    }
    Ok(chain.last().cloned())
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
        .map_err(|source| UnpackError::Apply { layer: layer.digest.clone(), source })?;
    if actual != *diff_id {
        return Err(UnpackError::WrongLayer { layer: layer.digest.clone(), actual, expected: diff_id.clone() });
    }
    match store.commit(name, key, &Labels::new()).await {
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
