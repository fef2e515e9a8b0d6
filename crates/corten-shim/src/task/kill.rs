//! Sending a signal.
//!
//! Through the pidfd, which costs nothing and cannot hit a stranger. The runtime is asked where more than
//! one process is meant, and where a frozen container must be thawed to die.

use corten_proto::containerd::task::v2::KillRequest;
use corten_runtime_api::arguments::Kill;
use corten_types::{Signal, TaskStatus};

use crate::{container::Container, error::TaskError, invoke, shim::Shim};

/// Sends the signal of `request`.
///
/// # Errors
/// [`TaskError::Finished`] when there is nothing to signal any more, which clients take as success.
pub async fn kill(shim: &Shim, request: &KillRequest) -> Result<(), TaskError> {
    let container = shim.container(&request.id)?;
    let process = container.process(&request.exec_id)?;
    let signal = Signal::from_number(request.signal)
        .ok_or_else(|| TaskError::Invalid(format!("signal {} does not exist", request.signal)))?;
    let is_init = request.exec_id.is_empty();
    if process.status() == TaskStatus::Stopped && !(is_init && request.all) {
        return Err(TaskError::Finished);
    }
    let kills_everyone = signal == Signal::KILL && !container.config.has_own_pid_namespace();
    if is_init && (request.all || container.is_paused() || kills_everyone) {
        return ask_runtime(shim, &container, signal, request.all).await;
    }
    let child = process.child().ok_or(TaskError::NotStarted)?;
    child.signal(signal).map_err(|error| match error.raw_os_error() {
        Some(ESRCH) => TaskError::Finished,
        _ => TaskError::io("signal a process of", &container.id)(error),
    })
}

const ESRCH: i32 = 3;

async fn ask_runtime(shim: &Shim, container: &Container, signal: Signal, all: bool) -> Result<(), TaskError> {
    let kill = Kill { id: container.id.clone(), signal: Some(signal.number().to_string()), all };
    let command = container.runtime.kill(kill);
    match invoke::run_quietly(&shim.reaper, "kill", command, b"", &container.runtime_log()).await {
        Err(TaskError::Runtime { message, .. }) if is_finished(&message) => Err(TaskError::Finished),
        other => other,
    }
}

/// The texts of runtimes that containerd's shim knows for it.
fn is_finished(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["os: process already finished", "container not running", "no such process"]
        .iter()
        .any(|text| message.contains(text))
}
