//! Directory trees by key: the trait, and its implementation on a containerd's snapshot and diff services.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use corten_proto::containerd::services::diff::v1 as diff_wire;
use corten_proto::containerd::services::snapshots::v1 as wire;
use corten_proto::containerd::types::Mount;
use corten_types::{Digest, ErrorKind};

use crate::{ApiError, Client, Descriptor, Labels};

/// What a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotKind {
    /// Read-only.
    View,
    /// Writable.
    Active,
    /// A finished parent of others.
    Committed,
}

/// A snapshot's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its key; of an image's layers the chain id.
    pub name: String,
    /// The key below it, empty at the bottom.
    pub parent: String,
    /// What it is.
    pub kind: SnapshotKind,
    /// Its labels.
    pub labels: Labels,
}

impl From<wire::Info> for Snapshot {
    fn from(info: wire::Info) -> Self {
        let kind = match info.kind() {
            wire::Kind::View => SnapshotKind::View,
            wire::Kind::Active => SnapshotKind::Active,
            wire::Kind::Committed | wire::Kind::Unknown => SnapshotKind::Committed,
        };
        Self { name: info.name, parent: info.parent, kind, labels: info.labels.into_iter().collect() }
    }
}

/// The option of a mount that shows a layer on its own: what it hides of layers below is kept, although none is there.
pub const STAGED: &str = "x-corten.staged";

/// The label of a snapshot that names the blob it was unpacked from: what a power cut takes is made again from it, so
/// that an image is acknowledged as soon as its blobs are on the disk.
pub const LAYER_LABEL: &str = "containerd.io/snapshot/corten.layer";

/// A place for directory trees, one on top of the other.
pub trait Snapshotter: Clone + Send + Sync + 'static {
    /// A blob on its way into the store, as [`follow`](Snapshotter::follow) gives it.
    type Arriving: Send + 'static;

    /// Its name, part of GC labels: `overlayfs`.
    fn snapshotter(&self) -> &str;

    /// Makes a writable snapshot `key` over `parent` (empty for none) and answers what to mount.
    fn prepare(
        &self,
        key: &str,
        parent: &str,
        labels: &Labels,
    ) -> impl Future<Output = Result<Vec<Mount>, ApiError>> + Send;

    /// Makes a read-only snapshot `key` that shows `parent`.
    fn view(
        &self,
        key: &str,
        parent: &str,
        labels: &Labels,
    ) -> impl Future<Output = Result<Vec<Mount>, ApiError>> + Send;

    /// What to mount to see `key`.
    fn mounts(&self, key: &str) -> impl Future<Output = Result<Vec<Mount>, ApiError>> + Send;

    /// Finishes the writable snapshot `key` under the name `name`.
    fn commit(&self, name: &str, key: &str, labels: &Labels) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Whether layers can be written each on its own, all at once: prepared without a parent, applied through mounts
    /// with the option [`STAGED`], and put on their parent by [`commit_onto`](Snapshotter::commit_onto).
    fn rebases(&self) -> bool {
        false
    }

    /// Finishes `key`, which was prepared without a parent, on top of `parent` under the name `name`.
    ///
    /// Errors with `Unimplemented` where [`rebases`](Snapshotter::rebases) says no.
    fn commit_onto(
        &self,
        name: &str,
        key: &str,
        parent: &str,
        labels: &Labels,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        let _ = (key, parent, labels);
        let error = ApiError::new(ErrorKind::Unimplemented, format!("commit snapshot {name} onto a parent"));
        async { Err(error) }
    }

    /// Removes a snapshot that nothing stands on; one that is not there is no error.
    fn remove(&self, key: &str) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// The record of `key`.
    fn stat(&self, key: &str) -> impl Future<Output = Result<Snapshot, ApiError>> + Send;

    /// Disk use of `key` itself: bytes and files.
    fn usage(&self, key: &str) -> impl Future<Output = Result<(u64, u64), ApiError>> + Send;

    /// Writes the layer `layer` into the snapshot shown by `mounts`; answers its diff id. `read` grows by the bytes of the
    /// blob that were read so far, where the store can tell.
    fn apply(
        &self,
        layer: &Descriptor,
        mounts: &[Mount],
        read: &Arc<AtomicU64>,
    ) -> impl Future<Output = Result<Digest, ApiError>> + Send;

    /// Reads along with the writer of the ingest `reference`; none where the store cannot, or nobody writes it. One that
    /// can also [`rebases`](Snapshotter::rebases).
    fn follow(&self, reference: &str) -> Option<Self::Arriving>;

    /// Writes the layer that `arriving` brings into the snapshot shown by `mounts`, side by side with its arrival; answers
    /// its diff id when all of it came and was found to be what it should. `read` grows as with [`apply`](Snapshotter::apply).
    ///
    /// Fails when its writer leaves it unfinished.
    fn apply_arriving(
        &self,
        arriving: Self::Arriving,
        mounts: &[Mount],
        read: &Arc<AtomicU64>,
    ) -> impl Future<Output = Result<Digest, ApiError>> + Send;
}

impl Snapshotter for Client {
    type Arriving = Infallible;

    fn snapshotter(&self) -> &str {
        self.snapshotter_name()
    }

    async fn prepare(&self, key: &str, parent: &str, labels: &Labels) -> Result<Vec<Mount>, ApiError> {
        let request = wire::PrepareSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: labels.clone().into_iter().collect(),
        };
        Ok(self.snapshots().prepare(request).await?.into_inner().mounts)
    }

    async fn view(&self, key: &str, parent: &str, labels: &Labels) -> Result<Vec<Mount>, ApiError> {
        let request = wire::ViewSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: labels.clone().into_iter().collect(),
        };
        Ok(self.snapshots().view(request).await?.into_inner().mounts)
    }

    async fn mounts(&self, key: &str) -> Result<Vec<Mount>, ApiError> {
        let request = wire::MountsRequest { snapshotter: self.snapshotter().to_owned(), key: key.to_owned() };
        Ok(self.snapshots().mounts(request).await?.into_inner().mounts)
    }

    async fn commit(&self, name: &str, key: &str, labels: &Labels) -> Result<(), ApiError> {
        let request = wire::CommitSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: labels.clone().into_iter().collect(),
            ..Default::default()
        };
        self.snapshots().commit(request).await?;
        Ok(())
    }

    fn rebases(&self) -> bool {
        self.rebases
    }

    async fn commit_onto(&self, name: &str, key: &str, parent: &str, labels: &Labels) -> Result<(), ApiError> {
        let request = wire::CommitSnapshotRequest {
            snapshotter: self.snapshotter().to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: labels.clone().into_iter().collect(),
            parent: parent.to_owned(),
        };
        self.snapshots().commit(request).await?;
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), ApiError> {
        let request = wire::RemoveSnapshotRequest { snapshotter: self.snapshotter().to_owned(), key: key.to_owned() };
        match self.snapshots().remove(request).await {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            result => result.map(drop).map_err(ApiError::from),
        }
    }

    async fn stat(&self, key: &str) -> Result<Snapshot, ApiError> {
        let request = wire::StatSnapshotRequest { snapshotter: self.snapshotter().to_owned(), key: key.to_owned() };
        Ok(self.snapshots().stat(request).await?.into_inner().info.unwrap_or_default().into())
    }

    async fn usage(&self, key: &str) -> Result<(u64, u64), ApiError> {
        let request = wire::UsageRequest { snapshotter: self.snapshotter().to_owned(), key: key.to_owned() };
        let usage = self.snapshots().usage(request).await?.into_inner();
        Ok((u64::try_from(usage.size).unwrap_or(0), u64::try_from(usage.inodes).unwrap_or(0)))
    }

    async fn apply(&self, layer: &Descriptor, mounts: &[Mount], _read: &Arc<AtomicU64>) -> Result<Digest, ApiError> {
        let request =
            diff_wire::ApplyRequest { diff: Some(layer.clone().into()), mounts: mounts.to_vec(), ..Default::default() };
        let applied = self.diff().apply(request).await?.into_inner().applied.unwrap_or_default();
        applied.digest.parse().map_err(|error| {
            let text = format!("containerd applied a layer as {:?}: {error}", applied.digest);
            ApiError::new(ErrorKind::Internal, text)
        })
    }

    fn follow(&self, _reference: &str) -> Option<Infallible> {
        None
    }

    async fn apply_arriving(
        &self,
        arriving: Infallible,
        _mounts: &[Mount],
        _read: &Arc<AtomicU64>,
    ) -> Result<Digest, ApiError> {
        match arriving {}
    }
}
