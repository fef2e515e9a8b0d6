//! What happens when an exec's process ends.

use std::sync::Arc;

use tracing::warn;

use super::{Exec, Exit, KEPT_AFTER_END, files, task};
use crate::engine::Engine;
use crate::events::Kind;

/// Records the end of the exec `exec_id` of a container, and forgets it in the shim.
pub async fn on_exit(engine: Arc<Engine>, container_id: String, exec_id: String, exit: Exit) {
    if let Some(exec) = engine.execs.get(&exec_id) {
        end(&engine, &exec, exit.pid, i64::from(exit.status));
    }
    // One that an engine before this one has started is tidied up as well.
    if let Err(error) = task::delete(&engine, &container_id, &exec_id).await {
        warn!(id = container_id, exec_id, error = error.message(), "an exec that ended is left in its shim");
    }
    let Some(container) = engine.containers.get(&container_id) else { return };
    let directory = files::directory(&container, &exec_id);
    if let Err(error) = files::remove(&directory) {
        warn!(id = container_id, exec_id, %error, path = %directory.display(), "a directory was left behind");
    }
}

/// Records an end, tells who listens, and drops the record five minutes later.
pub(super) fn end(engine: &Arc<Engine>, exec: &Arc<Exec>, pid: u32, exit_code: i64) {
    if !exec.set_ended(pid, exit_code) {
        return;
    }
    if pid != 0
        && let Some(container) = engine.containers.get(&exec.container_id)
    {
        let mut attributes = container.view().record.event_attributes();
        attributes.insert("execID".to_owned(), exec.id.clone());
        attributes.insert("exitCode".to_owned(), exit_code.to_string());
        engine.events.publish(Kind::Container, "exec_die", &container.id, attributes);
    }
    let (engine, id) = (Arc::downgrade(engine), exec.id.clone());
    tokio::spawn(async move {
        tokio::time::sleep(KEPT_AFTER_END).await;
        if let Some(engine) = engine.upgrade() {
            engine.execs.remove(&id);
        }
    });
}

/// Ends every exec of a container whose init has ended: none outlives it.
pub fn forget(engine: &Arc<Engine>, container_id: &str) {
    for exec in engine.execs.of(container_id) {
        end(engine, &exec, 0, KILLED);
    }
}

/// 128 + SIGKILL: how the kernel ends what is left of a pid namespace.
const KILLED: i64 = 137;
