//! What happens when an exec's process ends.

use std::io;
use std::sync::Arc;

use tracing::warn;

use super::{Exec, Exit, KEPT_AFTER_END, files, record, task};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::events::Kind;

/// Records the end of the exec `exec_id` of a container, and forgets it in the shim.
pub async fn on_exit(engine: Arc<Engine>, container_id: String, exec_id: String, exit: Exit) {
    if let Some(exec) = engine.execs.get(&exec_id) {
        end(&engine, &exec, exit);
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

/// Records an end, tells who listens, and forgets the exec five minutes later.
pub(super) fn end(engine: &Arc<Engine>, exec: &Arc<Exec>, exit: Exit) {
    let exit_code = i64::from(exit.status);
    if !exec.set_ended(exit.pid, exit_code) {
        return;
    }
    if let Some(container) = engine.containers.get(&exec.container_id) {
        match record::ended(&container, &exec.id, exit.pid, exit_code, exit.at) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(id = container.id, exec_id = exec.id, %error, "the end of an exec is not written down");
            }
            _ => {}
        }
        if exit.pid != 0 {
            let mut attributes = container.view().record.event_attributes();
            attributes.insert("execID".to_owned(), exec.id.clone());
            attributes.insert("exitCode".to_owned(), exit_code.to_string());
            engine.events.publish(Kind::Container, "exec_die", &container.id, attributes);
        }
    }
    forget_later(engine, exec, exit.at);
}

/// Forgets an exec five minutes after its end.
pub(super) fn forget_later(engine: &Arc<Engine>, exec: &Arc<Exec>, ended_at: Moment) {
    let (engine, id, container_id) = (Arc::downgrade(engine), exec.id.clone(), exec.container_id.clone());
    let left = KEPT_AFTER_END.saturating_sub(ended_at.elapsed());
    tokio::spawn(async move {
        tokio::time::sleep(left).await;
        let Some(engine) = engine.upgrade() else { return };
        engine.execs.remove(&id);
        if let Some(container) = engine.containers.get(&container_id)
            && let Err(error) = record::remove(&container, &id)
        {
            warn!(id = container_id, exec_id = id, %error, "the record of an exec is left behind");
        }
    });
}

/// Ends every exec of a container whose init has ended: none outlives it.
pub fn forget(engine: &Arc<Engine>, container_id: &str) {
    for exec in engine.execs.of(container_id) {
        end(engine, &exec, Exit { pid: 0, status: KILLED, at: Moment::now() });
    }
}

/// 128 + SIGKILL: how the kernel ends what is left of a pid namespace.
const KILLED: u32 = 137;
