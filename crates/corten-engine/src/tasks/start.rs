//! Lets a created task's init go on to the container's program.

use corten_proto::containerd::services::tasks::v1::StartRequest;

use crate::engine::Engine;
use crate::errors::Result;

/// Starts the task.
///
/// # Errors
/// What containerd, the shim or the runtime answers; the task stays and is to be deleted.
pub async fn start(engine: &Engine, id: &str) -> Result<u32> {
    let request = StartRequest { container_id: id.to_owned(), exec_id: String::new() };
    let mut tasks = engine.containerd.tasks();
    Ok(engine.containerd.step("failed to start task for container", tasks.start(request)).await?.pid)
}
