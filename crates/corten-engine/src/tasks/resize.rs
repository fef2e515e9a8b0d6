//! Tells a terminal its size.

use corten_proto::containerd::services::tasks::v1::ResizePtyRequest;

use crate::engine::Engine;
use crate::errors::Result;

/// Resizes the terminal of the init, or of the exec `exec_id` when it is not empty.
///
/// # Errors
/// What containerd or the shim answers.
pub async fn resize(engine: &Engine, id: &str, exec_id: &str, width: u32, height: u32) -> Result<()> {
    let request = ResizePtyRequest { container_id: id.to_owned(), exec_id: exec_id.to_owned(), width, height };
    let mut tasks = engine.containerd.tasks();
    engine.containerd.step("resize the terminal", tasks.resize_pty(request)).await.map(drop)
}
