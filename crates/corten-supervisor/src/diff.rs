//! Layers applied to mounts, and made from the difference of two; the work is `corten-layers`'.

use std::{io, sync::Arc};

use corten_containerd_api::containerd::services::diff::v1::diff_server::Diff;
use corten_layers::{Target, apply};
use corten_proto::containerd::{
    services::diff::v1::{ApplyRequest, ApplyResponse, DiffRequest, DiffResponse},
    types::{Descriptor, Mount},
};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    Supervisor,
    caller::Caller,
    content,
    error::{Error, Result as Done},
};

/// Media type of what a layer is once it is decompressed.
const UNCOMPRESSED: &str = "application/vnd.oci.image.layer.v1.tar";

/// The handlers.
#[derive(Debug)]
pub struct DiffService(pub Arc<Supervisor>);

#[async_trait]
impl Diff for DiffService {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let (caller, supervisor) = (Caller::of(&request)?, self.0.clone());
        let request = request.into_inner();
        let applied = crate::blocking(move || apply_layer(&supervisor, &caller, &request)).await?;
        Ok(Response::new(ApplyResponse { applied: Some(applied) }))
    }

    async fn diff(&self, _: Request<DiffRequest>) -> Result<Response<DiffResponse>, Status> {
        Err(Error::unimplemented("diff: making a layer from two mounts is not supported yet").into())
    }
}

/// Writes the layer `request.diff` into the mounts and answers what it is uncompressed. Blocks.
fn apply_layer(supervisor: &Supervisor, caller: &Caller, request: &ApplyRequest) -> Done<Descriptor> {
    if let Some(kind) = request.payloads.keys().next() {
        return Err(Error::unimplemented(format!("diff payload for {kind}: not supported yet")));
    }
    let layer = request.diff.as_ref().ok_or_else(|| Error::invalid("diff must be set"))?;
    let target = target(&request.mounts)?;
    let blob = content::open(supervisor, &caller.namespace, &layer.digest)?;
    let applied = apply(io::BufReader::new(blob), &target).map_err(|error| {
        let text = format!("failed to extract layer {}: {}", layer.digest, corten_types::error::chain(&error));
        Error::new(error.kind(), text)
    })?;
    if applied.compressed.as_str() != layer.digest {
        let found = applied.compressed;
        return Err(Error::precondition(format!("blob {} on disk has digest {found}: it is damaged", layer.digest)));
    }
    Ok(Descriptor {
        media_type: UNCOMPRESSED.to_owned(),
        digest: applied.diff_id.to_string(),
        size: i64::try_from(applied.size)?,
        ..Descriptor::default()
    })
}

fn target(mounts: &[Mount]) -> Done<Target> {
    match mounts {
        [mount] => Target::from_mount(&mount.r#type, &mount.source, &mount.options)
            .map_err(|error| Error::invalid(format!("apply a layer through the given mount: {error}"))),
        _ => Err(Error::unimplemented(format!("apply a layer through {} mounts: not supported yet", mounts.len()))),
    }
}
