//! Changes the limits of a task that runs.

use std::collections::HashMap;

use corten_proto::any;
use corten_proto::containerd::services::tasks::v1::UpdateTaskRequest;
use oci_spec::runtime::LinuxResources;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Applies `resources`.
///
/// # Errors
/// What containerd, the shim or the runtime answers.
pub async fn update(engine: &Engine, id: &str, resources: &LinuxResources) -> Result<()> {
    let json =
        serde_json::to_vec(resources).map_err(|error| EngineError::internal("write the resources").caused_by(error))?;
    let request = UpdateTaskRequest {
        container_id: id.to_owned(),
        resources: Some(any::pack_json(any::LINUX_RESOURCES, json)),
        annotations: HashMap::new(),
    };
    let mut tasks = engine.containerd.tasks();
    engine.containerd.step("update task", tasks.update(request)).await.map(drop)
}
