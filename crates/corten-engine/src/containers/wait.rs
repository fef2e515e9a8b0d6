//! `docker wait`: tells how a container ends.

use std::sync::Arc;

use corten_docker_api::containers::{WaitError, WaitResponse};
use tokio::sync::watch;

use super::Lifecycle;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// That it does not run, which may be so already.
    NotRunning,
    /// That it ends once more.
    NextExit,
    /// That it is gone.
    Removed,
}

impl Condition {
    /// Reads the parameter; empty is [`Condition::NotRunning`].
    ///
    /// # Errors
    /// 400 in docker's words.
    pub fn decode(text: &str) -> Result<Self> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            other => Err(EngineError::invalid(format!("invalid condition: \"{other}\""))),
        }
    }
}

/// A wait that has been registered: nothing that happens from now on is missed.
pub struct Waiter {
    lifecycle: watch::Receiver<Lifecycle>,
    exits_before: u64,
    condition: Condition,
}

/// Registers a wait; the CLI starts the container once this is answered.
///
/// # Errors
/// 404.
pub fn wait(engine: &Arc<Engine>, wanted: &str, condition: Condition) -> Result<Waiter> {
    let lifecycle = match (engine.containers.find(wanted), engine.containers.remembered_end(wanted)) {
        (Ok(container), _) => container.lifecycle(),
        (Err(_), Some(exit_code)) => {
            let gone = Lifecycle { exit_code, removed: Some(Ok(())), ..Lifecycle::default() };
            watch::Sender::new(gone).subscribe()
        }
        (Err(error), None) => return Err(error),
    };
    let exits_before = lifecycle.borrow().exits;
    Ok(Waiter { lifecycle, exits_before, condition })
}

impl Waiter {
    /// Waits until it is so.
    pub async fn outcome(mut self) -> WaitResponse {
        let (condition, before) = (self.condition, self.exits_before);
        let reached = self.lifecycle.wait_for(|now| match condition {
            _ if now.removed.is_some() => true,
            Condition::NotRunning => !now.running || now.exits > before,
            Condition::NextExit => now.exits > before,
            Condition::Removed => false,
        });
        // The sender lives as long as the container; without it, it is gone.
        let now = reached.await.map(|now| now.clone()).unwrap_or_default();
        let failed = now.removed.and_then(std::result::Result::err).filter(|_| condition == Condition::Removed);
        WaitResponse { error: failed.map(|message| WaitError { message }), status_code: now.exit_code }
    }
}
