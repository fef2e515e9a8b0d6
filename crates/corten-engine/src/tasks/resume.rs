//! Thaws every process of a task.

use corten_proto::containerd::services::tasks::v1::ResumeTaskRequest;

use crate::engine::Engine;
use crate::errors::Result;

/// Thaws the task.
///
/// # Errors
/// What containerd, the shim or the runtime answers.
pub async fn resume(engine: &Engine, id: &str) -> Result<()> {
    let mut tasks = engine.containerd.tasks();
    let request = ResumeTaskRequest { container_id: id.to_owned() };
    engine.containerd.step("resume task", tasks.resume(request)).await.map(drop)
}
