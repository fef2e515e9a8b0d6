//! `POST /exec/{id}/resize`.

use std::sync::Arc;
use std::time::Duration;

use super::Phase;
use crate::containers::require;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::tasks;

/// Time the process has to come up: clients resize while it is being started.
const STARTED_WITHIN: Duration = Duration::from_secs(10);

/// Tells the exec's terminal its size.
///
/// # Errors
/// 404 for an unknown exec; 409 when it has ended or its container does not run.
pub async fn resize(engine: &Arc<Engine>, id: &str, height: u32, width: u32) -> Result<()> {
    let exec = engine.execs.find(id)?;
    let container = engine.containers.find(&exec.container_id)?;
    require::alive(&container.view())?;
    let mut phase = exec.watch();
    let has_begun = |phase: &Phase| !matches!(phase, Phase::Created | Phase::Starting);
    let begun = tokio::time::timeout(STARTED_WITHIN, phase.wait_for(has_begun)).await.map(|phase| phase.map(|it| *it));
    match begun {
        Ok(Ok(Phase::Running { .. })) => tasks::resize::resize(engine, &container.id, &exec.id, width, height).await,
        Ok(_) => Err(EngineError::conflict(format!("exec {id} is not running"))),
        Err(_) => Err(EngineError::internal("timeout waiting for exec session ready")),
    }
}
