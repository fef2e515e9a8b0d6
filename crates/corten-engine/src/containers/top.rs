//! `GET /containers/{id}/top`.

use std::process::{Command, Stdio};
use std::sync::Arc;

use corten_docker_api::containers::Top;
use corten_proto::containerd::services::tasks::v1::ListPidsRequest;

use super::require;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::ps;

/// The container's processes as the host's `ps` shows them.
///
/// # Errors
/// 409 when it does not run; 400 for arguments that disguise a column; 500 with the first line `ps` complains with.
pub async fn top(engine: &Arc<Engine>, wanted: &str, arguments: &str) -> Result<Top> {
    ps::check_arguments(arguments).map_err(|error| EngineError::invalid(error.to_string()))?;
    let container = engine.containers.find(wanted)?;
    require::alive(&container.view())?;
    let request = ListPidsRequest { container_id: container.id.clone() };
    let listed = engine
        .containerd
        .step(&format!("list the processes of container {wanted}"), engine.containerd.tasks().list_pids(request))
        .await?;
    let pids: Vec<u32> = listed.processes.iter().map(|process| process.pid).collect();
    let arguments = arguments.to_owned();
    let shown = tokio::task::spawn_blocking(move || show(&arguments, &pids)).await;
    let top = shown.map_err(|defect| EngineError::internal("ps").caused_by(defect))??;
    engine.events.publish(Kind::Container, "top", &container.id, container.view().record.event_attributes());
    Ok(top)
}

fn show(arguments: &str, pids: &[u32]) -> Result<Top> {
    // Some options cannot stand beside a list of processes: then all are listed, and filtered here.
    let output = run(&ps::command_line(arguments, Some(pids))).or_else(|_| run(&ps::command_line(arguments, None)))?;
    ps::parse(&output, pids).map_err(|error| EngineError::internal(error.to_string()))
}

fn run(arguments: &[String]) -> Result<String> {
    let output = Command::new("ps")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| EngineError::internal("start ps on the host").caused_by(error))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
        let reason = if complaint.is_empty() { output.status.to_string() } else { complaint };
        return Err(EngineError::internal(format!("ps: {reason}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
