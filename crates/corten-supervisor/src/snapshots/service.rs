//! gRPC edge of the snapshots.

use std::sync::Arc;

use corten_containerd_api::containerd::services::snapshots::v1::snapshots_server::Snapshots;
use corten_proto::containerd::{
    events::{SnapshotCommit, SnapshotPrepare, SnapshotRemove},
    services::snapshots::v1::{
        CleanupRequest, CommitSnapshotRequest, ListSnapshotsRequest, ListSnapshotsResponse, MountsRequest,
        MountsResponse, PrepareSnapshotRequest, PrepareSnapshotResponse, RemoveSnapshotRequest, StatSnapshotRequest,
        StatSnapshotResponse, UpdateSnapshotRequest, UpdateSnapshotResponse, UsageRequest, UsageResponse,
        ViewSnapshotRequest, ViewSnapshotResponse,
    },
};
use tonic::{Request, Response, Status, async_trait};

use super::{
    Kind,
    commit::{Finished, commit},
    list,
    prepare::{Wanted, prepare},
    remove::remove,
};
use crate::{Supervisor, caller::Caller, error::Result as Done, in_its_own_task, metadata::Durability};

/// Records in one message of a list.
const PAGE: usize = 100;

/// The handlers.
#[derive(Debug)]
pub struct SnapshotsService(pub Arc<Supervisor>);

type Pages = tokio_stream::Iter<std::vec::IntoIter<Result<ListSnapshotsResponse, Status>>>;

#[async_trait]
impl Snapshots for SnapshotsService {
    type ListStream = Pages;

    async fn prepare(
        &self,
        request: Request<PrepareSnapshotRequest>,
    ) -> Result<Response<PrepareSnapshotResponse>, Status> {
        let (caller, supervisor) = (Caller::of(&request)?, self.0.clone());
        let PrepareSnapshotRequest { snapshotter, key, parent, labels } = request.into_inner();
        let event = SnapshotPrepare { key: key.clone(), parent: parent.clone(), snapshotter: snapshotter.clone() };
        let wanted = Wanted { snapshotter, key, parent, labels, kind: Kind::Active };
        let namespace = caller.namespace.clone();
        let mounts = in_its_own_task(async move { prepare(&supervisor, caller, wanted).await }).await?;
        self.0.events.publish(&namespace, "/snapshot/prepare", &event);
        Ok(Response::new(PrepareSnapshotResponse { mounts }))
    }

    async fn view(&self, request: Request<ViewSnapshotRequest>) -> Result<Response<ViewSnapshotResponse>, Status> {
        let (caller, supervisor) = (Caller::of(&request)?, self.0.clone());
        let ViewSnapshotRequest { snapshotter, key, parent, labels } = request.into_inner();
        let wanted = Wanted { snapshotter, key, parent, labels, kind: Kind::View };
        let mounts = in_its_own_task(async move { prepare(&supervisor, caller, wanted).await }).await?;
        Ok(Response::new(ViewSnapshotResponse { mounts }))
    }

    async fn mounts(&self, request: Request<MountsRequest>) -> Result<Response<MountsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let MountsRequest { snapshotter, key } = request.into_inner();
        let mounts =
            self.0.metadata.read(|c| super::mounts(&self.0.snapshots, c, &caller.namespace, &snapshotter, &key))?;
        Ok(Response::new(MountsResponse { mounts }))
    }

    async fn commit(&self, request: Request<CommitSnapshotRequest>) -> Result<Response<()>, Status> {
        let (caller, supervisor) = (Caller::of(&request)?, self.0.clone());
        let CommitSnapshotRequest { snapshotter, name, key, labels, parent } = request.into_inner();
        let event = SnapshotCommit { key: key.clone(), name: name.clone(), snapshotter: snapshotter.clone() };
        let namespace = caller.namespace.clone();
        in_its_own_task(async move {
            commit(&supervisor, caller, Finished { snapshotter, key, name, parent, labels }).await
        })
        .await?;
        self.0.events.publish(&namespace, "/snapshot/commit", &event);
        Ok(Response::new(()))
    }

    async fn remove(&self, request: Request<RemoveSnapshotRequest>) -> Result<Response<()>, Status> {
        let (caller, supervisor) = (Caller::of(&request)?, self.0.clone());
        let RemoveSnapshotRequest { snapshotter, key } = request.into_inner();
        let event = SnapshotRemove { key: key.clone(), snapshotter: snapshotter.clone() };
        let namespace = caller.namespace.clone();
        let remove = async move {
            remove(&supervisor, caller, snapshotter, key).await?;
            supervisor.gc.deleted();
            supervisor.events.publish(&namespace, "/snapshot/remove", &event);
            Ok(())
        };
        Ok(Response::new(in_its_own_task(remove).await?))
    }

    async fn stat(&self, request: Request<StatSnapshotRequest>) -> Result<Response<StatSnapshotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let StatSnapshotRequest { snapshotter, key } = request.into_inner();
        let info = self.0.metadata.read(|c| list::stat(&self.0.snapshots, c, &caller, &snapshotter, &key))?;
        Ok(Response::new(StatSnapshotResponse { info: Some(info) }))
    }

    async fn update(
        &self,
        request: Request<UpdateSnapshotRequest>,
    ) -> Result<Response<UpdateSnapshotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateSnapshotRequest { snapshotter, info, update_mask } = request.into_inner();
        self.0.snapshots.check(&snapshotter)?;
        let (wanted, paths) = (info.unwrap_or_default(), update_mask.unwrap_or_default().paths);
        let change = move |c: &rusqlite::Connection| list::update(c, &caller, &snapshotter, &wanted, &paths);
        let info = self.0.metadata.write(Durability::Relaxed, change).await?;
        Ok(Response::new(UpdateSnapshotResponse { info: Some(info) }))
    }

    async fn list(&self, request: Request<ListSnapshotsRequest>) -> Result<Response<Pages>, Status> {
        let caller = Caller::of(&request)?;
        let ListSnapshotsRequest { snapshotter, filters } = request.into_inner();
        let found = self.0.metadata.read(|c| list::list(&self.0.snapshots, c, &caller, &snapshotter, &filters))?;
        let pages: Vec<_> = found.chunks(PAGE).map(|page| Ok(ListSnapshotsResponse { info: page.to_vec() })).collect();
        Ok(Response::new(tokio_stream::iter(pages)))
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let UsageRequest { snapshotter, key } = request.into_inner();
        let (size, inodes) = list::usage(&self.0, &caller, &snapshotter, &key).await?;
        Ok(Response::new(UsageResponse { size, inodes }))
    }

    async fn cleanup(&self, request: Request<CleanupRequest>) -> Result<Response<()>, Status> {
        self.0.snapshots.check(&request.into_inner().snapshotter)?;
        Ok(Response::new(cleanup(&self.0).await?))
    }
}

async fn cleanup(supervisor: &Arc<Supervisor>) -> Done<()> {
    supervisor.gc.collect_now(supervisor).await
}
