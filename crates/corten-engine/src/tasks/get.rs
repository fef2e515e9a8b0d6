//! Asks for a task's state.

use std::time::Duration;

use corten_proto::containerd::services::tasks::v1::{GetRequest, WaitRequest};
use corten_proto::containerd::v1::types::Process;
use corten_types::ErrorKind;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Time a killed init has to end; one in uninterruptible sleep can take for ever.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The task's state; `None` when there is no task.
///
/// # Errors
/// What containerd answers.
pub async fn get(engine: &Engine, id: &str) -> Result<Option<Process>> {
    let mut tasks = engine.containerd.tasks();
    let request = GetRequest { container_id: id.to_owned(), exec_id: String::new() };
    match engine.containerd.step("look up task", tasks.get(request)).await {
        Ok(answer) => Ok(answer.process),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the task's init has ended; a task that is not there counts.
///
/// # Errors
/// What containerd answers, or that it does not end.
pub async fn wait_until_stopped(engine: &Engine, id: &str) -> Result<()> {
    let mut tasks = engine.containerd.tasks();
    let request = WaitRequest { container_id: id.to_owned(), exec_id: String::new() };
    match tokio::time::timeout(END_DEADLINE, tasks.wait(request)).await {
        Ok(Err(status)) if status.code() != tonic::Code::NotFound => Err(status.into()),
        Ok(_) => Ok(()),
        Err(_) => Err(EngineError::internal(format!("its init has not ended for {} s", END_DEADLINE.as_secs()))),
    }
}
