//! `GET /containers/{id}/logs`.

use std::path::PathBuf;
use std::sync::Arc;

use corten_stdio::logs::{Options, Stop};
use futures_util::stream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Container, Lifecycle, logging};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::answer::Chunks;
use crate::logs::text::Printer;
use crate::logs::{self, LogsQuery};

/// A container's log.
pub struct Log {
    /// Its bytes, framed when the container has no terminal.
    pub chunks: Chunks,
    /// Whether the container has a terminal.
    pub has_terminal: bool,
}

/// Where the log of `container` is written.
pub fn path(container: &Container) -> PathBuf {
    logging::path(container.directory(), &container.id)
}

/// Reads the log of the container `wanted`; follows it as long as the container runs.
///
/// # Errors
/// 404 for an unknown container, 409 for one being removed, 501 for a log driver that keeps nothing.
pub fn logs(engine: &Arc<Engine>, wanted: &str, query: &LogsQuery) -> Result<Log> {
    let container = engine.containers.find(wanted)?;
    // Before the state is looked at, so that an exit in between is seen.
    let lifecycle = container.lifecycle();
    let view = container.view();
    if view.state.removing || view.state.dead {
        return Err(EngineError::conflict("can not get logs from container which is dead or marked for removal"));
    }
    if view.record.host_config.log_config.kind == "none" {
        return Err(EngineError::unimplemented("configured logging driver does not support reading"));
    }
    let has_terminal = view.record.config.tty;
    let follow = query.follow && view.state.is_alive();
    let options = Options { tail: query.tail, since: query.since, until: query.until, follow };
    let read = logs::read(path(&container), options, Printer::new(query, !has_terminal))
        .map_err(|error| EngineError::internal(format!("read the log of container {wanted}")).caused_by(error))?;
    let watching = follow.then(|| Watching::new(read.stopper(), lifecycle));
    let chunks = stream::unfold((read, watching), |(mut read, watching)| async move {
        read.receiver.recv().await.map(|chunk| (chunk, (read, watching)))
    });
    Ok(Log { chunks: Box::pin(chunks), has_terminal })
}

/// Tells the reader that nothing more will come once the container has ended; ends with the client.
struct Watching(JoinHandle<()>);

impl Watching {
    fn new(stop: Arc<Stop>, mut lifecycle: watch::Receiver<Lifecycle>) -> Self {
        let exits = lifecycle.borrow().exits;
        Self(tokio::spawn(async move {
            // An error says that the container is gone, which is an end as well.
            let _ = lifecycle.wait_for(|now| now.exits > exits || !now.running || now.removed.is_some()).await;
            stop.finish();
        }))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}
