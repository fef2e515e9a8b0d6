//! Layers applied to mounts, and made from the difference of two; the work is `corten-layers`'.

mod apply;
mod make;

use std::sync::Arc;

use corten_containerd_api::containerd::services::diff::v1::diff_server::Diff;
use corten_proto::containerd::services::diff::v1::{ApplyRequest, ApplyResponse, DiffRequest, DiffResponse};
use tonic::{Request, Response, Status, async_trait};

pub(crate) use apply::{apply, apply_arriving};

use crate::{Supervisor, caller::Caller, in_its_own_task};

/// The handlers.
#[derive(Debug)]
pub struct DiffService(pub Arc<Supervisor>);

#[async_trait]
impl Diff for DiffService {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let (caller, supervisor) = (Caller::of(&request)?, self.0.clone());
        let request = request.into_inner();
        let applied = crate::blocking(move || apply::apply(&supervisor, &caller, &request, Arc::default())).await?;
        Ok(Response::new(ApplyResponse { applied: Some(applied) }))
    }

    async fn diff(&self, request: Request<DiffRequest>) -> Result<Response<DiffResponse>, Status> {
        let (caller, supervisor) = (Caller::of(&request)?, self.0.clone());
        let request = request.into_inner();
        let diff = in_its_own_task(async move { make::make(&supervisor, caller, request).await }).await?;
        Ok(Response::new(DiffResponse { diff: Some(diff) }))
    }
}
