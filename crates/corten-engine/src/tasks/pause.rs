//! Freezes every process of a task.

use corten_proto::containerd::services::tasks::v1::PauseTaskRequest;

use crate::engine::Engine;
use crate::errors::Result;

/// Freezes the task.
///
/// # Errors
/// What containerd, the shim or the runtime answers.
pub async fn pause(engine: &Engine, id: &str) -> Result<()> {
    let mut tasks = engine.containerd.tasks();
    let request = PauseTaskRequest { container_id: id.to_owned() };
    engine.containerd.step("pause task", tasks.pause(request)).await.map(drop)
}
