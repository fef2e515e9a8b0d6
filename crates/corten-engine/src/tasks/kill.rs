//! Sends a signal to a task's init.

use corten_proto::containerd::services::tasks::v1::KillRequest;
use corten_types::Signal;

use crate::engine::Engine;
use crate::errors::Result;

/// Sends `signal` to the init.
///
/// # Errors
/// `NotFound` when it has ended; else what containerd answers.
pub async fn kill(engine: &Engine, id: &str, signal: Signal) -> Result<()> {
    let request =
        KillRequest { container_id: id.to_owned(), signal: u32::from(signal.number()), ..KillRequest::default() };
    let mut tasks = engine.containerd.tasks();
    engine.containerd.step("kill task", tasks.kill(request)).await.map(drop)
}
