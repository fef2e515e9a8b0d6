//! `docker stop`: a signal, some patience, SIGKILL.

use std::sync::Arc;
use std::time::Duration;

use corten_types::Signal;
use tokio::sync::watch;
use tracing::warn;

use super::{Container, Lifecycle, kill};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;

/// Seconds a container has to end when nobody says otherwise.
const DEFAULT_TIMEOUT_SECONDS: i64 = 10;

/// How a container is asked to end.
#[derive(Clone, Debug, Default)]
pub struct StopOptions {
    /// The first signal; else the container's own, else SIGTERM.
    pub signal: Option<Signal>,
    /// Seconds until SIGKILL; negative waits for ever; else the container's own, else ten.
    pub timeout_seconds: Option<i64>,
}

/// Whose decision an end is, which the restart policy wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody wants it stopped.
    ByUser,
    /// It is started again at once, or the engine ends.
    ForNow,
}

/// Stops a container and returns when it has ended.
///
/// # Errors
/// 304 when it does not run; 404; else what keeps it from ending.
pub async fn stop(engine: &Arc<Engine>, wanted: &str, options: &StopOptions) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    if !container.view().state.running {
        return Err(EngineError::not_modified("container is not running"));
    }
    end(engine, &container, options, Reason::ByUser).await?;
    engine.events.publish(Kind::Container, "stop", &container.id, container.view().record.event_attributes());
    Ok(())
}

/// Ends a container that runs or is about to.
///
/// # Errors
/// What containerd answers, or that it does not end.
pub(super) async fn end(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    options: &StopOptions,
    reason: Reason,
) -> Result<()> {
    engine.containerd.linked().await?;
    let config = container.view().record.config.clone();
    let signal = match options.signal {
        Some(signal) => signal,
        None => kill::stop_signal(&config),
    };
    let seconds = options.timeout_seconds.or(config.stop_timeout).unwrap_or(DEFAULT_TIMEOUT_SECONDS);
    let mut lifecycle = container.lifecycle();
    if !kill::signal_init(engine, container, signal, reason).await? {
        return Ok(());
    }
    let patience = u64::try_from(seconds).ok().map(Duration::from_secs);
    if ended_within(&mut lifecycle, patience).await {
        return Ok(());
    }
    kill::kill_for_sure(engine, container, reason).await
}

/// Whether the container stops running within `patience`; without a bound it is waited for.
pub(super) async fn ended_within(lifecycle: &mut watch::Receiver<Lifecycle>, patience: Option<Duration>) -> bool {
    let exits = lifecycle.borrow().exits;
    let ended = lifecycle.wait_for(|now| !now.running || now.exits > exits || now.removed.is_some());
    match patience {
        None => ended.await.is_ok(),
        Some(patience) => tokio::time::timeout(patience, ended).await.is_ok(),
    }
}

/// Stops every container that runs: the engine ends and keeps none.
pub async fn stop_all(engine: &Arc<Engine>) {
    let timeout_seconds = i64::try_from(engine.config.shutdown_timeout_seconds).ok();
    let running = engine.containers.all().into_iter().filter(|container| container.view().state.running);
    let stopping: Vec<_> = running
        .map(|container| {
            let engine = Arc::clone(engine);
            tokio::spawn(async move {
                let options = StopOptions { signal: None, timeout_seconds };
                if let Err(error) = end(&engine, &container, &options, Reason::ForNow).await {
                    warn!(id = container.id, error = error.message(), "stop a container at the end");
                }
            })
        })
        .collect();
    for stopped in stopping {
        if let Err(error) = stopped.await {
            warn!(%error, "stop a container at the end");
        }
    }
}
