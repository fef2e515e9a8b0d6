//! `docker kill`: a signal to the init.

use std::sync::Arc;
use std::time::Duration;

use corten_docker_api::containers::ContainerConfig;
use corten_types::{ErrorKind, Signal};
use tracing::debug;

use super::stop::{Reason, ended_within};
use super::{Container, exit};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::execs::Exit;
use crate::tasks;

/// Time a killed init has to end; longer only in uninterruptible sleep.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// Sends `signal`; after SIGKILL, returns when the container has ended.
///
/// # Errors
/// 409 when it does not run.
pub async fn kill(engine: &Arc<Engine>, wanted: &str, signal: Signal) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    let state = container.view().state.clone();
    let refused = |why: String| EngineError::conflict(format!("cannot kill container: {wanted}: {why}"));
    if state.restarting {
        return Err(refused(format!("Container {} is restarting, wait until the container is running", container.id)));
    }
    if !state.is_alive() {
        return Err(refused(format!("container {} is not running", container.id)));
    }
    engine.containerd.linked().await?;
    if signal == Signal::KILL {
        return kill_for_sure(engine, &container, Reason::ByUser).await;
    }
    let stops = signal == stop_signal(&container.view().record.config);
    let reason = if stops { Reason::ByUser } else { Reason::ForNow };
    match signal_init(engine, &container, signal, reason).await? {
        true => Ok(()),
        false => Err(refused(format!("container {} is not running", container.id))),
    }
}

/// The signal that stops a container.
pub(super) fn stop_signal(config: &ContainerConfig) -> Signal {
    config.stop_signal.parse().unwrap_or(Signal::TERM)
}

/// SIGKILL, and the wait for the end.
pub(super) async fn kill_for_sure(engine: &Arc<Engine>, container: &Arc<Container>, reason: Reason) -> Result<()> {
    let mut lifecycle = container.lifecycle();
    if !signal_init(engine, container, Signal::KILL, reason).await? {
        return Ok(());
    }
    if ended_within(&mut lifecycle, Some(END_DEADLINE)).await {
        return Ok(());
    }
    // The event may be lost: the task itself is asked before anybody is told it cannot be killed.
    settle_end(engine, container).await?;
    match container.view().state.is_alive() {
        false => Ok(()),
        true => Err(EngineError::internal(format!(
            "container {} has not ended {} s after it was killed",
            container.id,
            END_DEADLINE.as_secs()
        ))),
    }
}

/// Sends a signal to the init. A container that waits for its next start is stopped by that alone.
/// Answers whether there was an init to signal.
pub(super) async fn signal_init(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    signal: Signal,
    reason: Reason,
) -> Result<bool> {
    let turn = container.turn().await;
    let state = turn.view().state.clone();
    if !state.running {
        return Ok(false);
    }
    // Recorded before the kill, so that the end finds it.
    if reason == Reason::ByUser {
        turn.change(|state| state.stopped_by_user = true);
    }
    if state.restarting {
        turn.change(|state| (state.running, state.restarting) = (false, false));
        turn.announce_exit();
        return Ok(false);
    }
    let sent = tasks::kill::kill(engine, &turn.id, signal).await;
    if sent.is_ok() {
        let mut attributes = turn.view().record.event_attributes();
        attributes.insert("signal".to_owned(), signal.number().to_string());
        engine.events.publish(Kind::Container, "kill", &turn.id, attributes);
        if state.paused && (signal == Signal::KILL || reason == Reason::ByUser) {
            // A frozen process does not even die (cgroup v1). A runtime may thaw what it kills itself.
            match tasks::resume::resume(engine, &turn.id).await {
                Err(error) if signal != Signal::KILL => return Err(error),
                _ => turn.change(|state| state.paused = false),
            }
        }
    }
    drop(turn);
    match sent {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            debug!(id = container.id, "the init has ended before the signal");
            settle_end(engine, container).await?;
            Ok(false)
        }
        Err(error) => Err(error.while_doing(format!("Cannot kill container {}", container.id))),
    }
}

/// Records an end whose event has not come, if there was one.
async fn settle_end(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<()> {
    let pid = container.view().state.pid;
    let exit = match tasks::get::get(engine, &container.id).await? {
        None => Exit { pid, status: corten_types::ExitStatus::LOST.code(), at: Moment::now() },
        Some(task) if task.status == corten_types::TaskStatus::Stopped.wire() => Exit {
            pid,
            status: task.exit_status,
            at: task.exited_at.as_ref().map_or_else(Moment::now, Moment::from_proto),
        },
        Some(_) => return Ok(()),
    };
    exit::on_exit(engine, &container.id, exit).await;
    Ok(())
}
