//! Snapshots, and layers onto them.

use std::sync::{Arc, atomic::AtomicU64};

use corten_containerd_api::{
    ApiError, Descriptor, Labels, Snapshot, Snapshotter,
    containerd::services::snapshots::v1::snapshots_server::Snapshots as _,
};
use corten_proto::containerd::{
    services::{
        diff::v1::ApplyRequest,
        snapshots::v1::{
            CommitSnapshotRequest, MountsRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
            UsageRequest, ViewSnapshotRequest,
        },
    },
    types::Mount,
};
use corten_types::{Digest, ErrorKind};
use tonic::Code;

use super::{LocalStore, refused};
use crate::{content::Follower, diff, snapshots::SnapshotsService};

impl LocalStore {
    fn snapshots(&self) -> SnapshotsService {
        SnapshotsService(self.supervisor.clone())
    }
}

impl Snapshotter for LocalStore {
    type Arriving = Follower;

    fn snapshotter(&self) -> &str {
        &self.snapshotter
    }

    async fn prepare(&self, key: &str, parent: &str, labels: &Labels) -> Result<Vec<Mount>, ApiError> {
        let request = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: labels.clone().into_iter().collect(),
        };
        Ok(self.snapshots().prepare(self.caller.asks(request)).await?.into_inner().mounts)
    }

    async fn view(&self, key: &str, parent: &str, labels: &Labels) -> Result<Vec<Mount>, ApiError> {
        let request = ViewSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: labels.clone().into_iter().collect(),
        };
        Ok(self.snapshots().view(self.caller.asks(request)).await?.into_inner().mounts)
    }

    async fn mounts(&self, key: &str) -> Result<Vec<Mount>, ApiError> {
        let request = MountsRequest { snapshotter: self.snapshotter.clone(), key: key.to_owned() };
        Ok(self.snapshots().mounts(self.caller.asks(request)).await?.into_inner().mounts)
    }

    async fn commit(&self, name: &str, key: &str, labels: &Labels) -> Result<(), ApiError> {
        let request = CommitSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: labels.clone().into_iter().collect(),
            ..Default::default()
        };
        self.snapshots().commit(self.caller.asks(request)).await?;
        Ok(())
    }

    fn rebases(&self) -> bool {
        true
    }

    async fn commit_onto(&self, name: &str, key: &str, parent: &str, labels: &Labels) -> Result<(), ApiError> {
        let request = CommitSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: labels.clone().into_iter().collect(),
            parent: parent.to_owned(),
        };
        self.snapshots().commit(self.caller.asks(request)).await?;
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), ApiError> {
        let request = RemoveSnapshotRequest { snapshotter: self.snapshotter.clone(), key: key.to_owned() };
        match self.snapshots().remove(self.caller.asks(request)).await {
            Err(status) if status.code() == Code::NotFound => Ok(()),
            result => result.map(drop).map_err(ApiError::from),
        }
    }

    async fn stat(&self, key: &str) -> Result<Snapshot, ApiError> {
        let request = StatSnapshotRequest { snapshotter: self.snapshotter.clone(), key: key.to_owned() };
        Ok(self.snapshots().stat(self.caller.asks(request)).await?.into_inner().info.unwrap_or_default().into())
    }

    async fn usage(&self, key: &str) -> Result<(u64, u64), ApiError> {
        let request = UsageRequest { snapshotter: self.snapshotter.clone(), key: key.to_owned() };
        let usage = self.snapshots().usage(self.caller.asks(request)).await?.into_inner();
        Ok((u64::try_from(usage.size).unwrap_or(0), u64::try_from(usage.inodes).unwrap_or(0)))
    }

    async fn apply(&self, layer: &Descriptor, mounts: &[Mount], read: &Arc<AtomicU64>) -> Result<Digest, ApiError> {
        let request =
            ApplyRequest { diff: Some(layer.clone().into()), mounts: mounts.to_vec(), ..ApplyRequest::default() };
        let (supervisor, caller, read) = (self.supervisor.clone(), self.caller.clone(), read.clone());
        let applied = crate::blocking(move || diff::apply(&supervisor, &caller, &request, read)).await;
        let applied = applied.map_err(refused)?.digest;
        applied.parse().map_err(|error| ApiError::new(ErrorKind::Internal, format!("applied as {applied:?}: {error}")))
    }

    fn follow(&self, reference: &str) -> Option<Follower> {
        Follower::open(&self.supervisor.content, &self.caller.namespace, reference).ok()
    }

    async fn apply_arriving(
        &self,
        arriving: Follower,
        mounts: &[Mount],
        read: &Arc<AtomicU64>,
    ) -> Result<Digest, ApiError> {
        let (supervisor, mounts, read) = (self.supervisor.clone(), mounts.to_vec(), read.clone());
        crate::blocking(move || diff::apply_arriving(&supervisor, arriving, &mounts, read)).await.map_err(refused)
    }
}
