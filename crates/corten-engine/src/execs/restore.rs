//! Execs of the engine before this one: known again at the start, and settled with the link.

use std::sync::Arc;

use corten_types::ExitStatus;
use tracing::warn;

use super::task::Reality;
use super::{Exec, Exit, Phase, exit, record, task};
use crate::clock::Moment;
use crate::containers::Container;
use crate::engine::Engine;

/// The status of an exec that was prepared and never started.
const NEVER_STARTED: u32 = 126;

/// Reads what the engine before this one has written down of execs.
pub fn restore(engine: &Arc<Engine>) {
    for container in engine.containers.all() {
        if !container.view().state.is_alive() {
            // None outlives its container.
            if let Err(error) = record::clear(&container) {
                warn!(id = container.id, %error, "records of execs are left behind");
            }
            continue;
        }
        match record::find(&container) {
            Ok(found) => found.into_iter().for_each(|found| adopt(engine, &container, found)),
            Err(error) => warn!(id = container.id, %error, "execs of an earlier engine are unknown"),
        }
    }
}

fn adopt(engine: &Arc<Engine>, container: &Container, found: record::Found) {
    let exec = Arc::new(Exec::found(found.id, container.id.clone(), found.config, found.phase));
    if let Err(error) = engine.execs.add(Arc::clone(&exec)) {
        warn!(id = container.id, exec_id = exec.id, error = error.message(), "an exec of an earlier engine is dropped");
        return;
    }
    if let Some(at) = found.ended_at {
        exit::forget_later(engine, &exec, at);
    }
}

/// Brings the execs of a container that runs, or whose end is about to be recorded, to what its task
/// says of them: their ends may have passed while nobody listened.
pub async fn settle(engine: &Arc<Engine>, container_id: &str) {
    for exec in engine.execs.of(container_id) {
        if matches!(exec.phase(), Phase::Created) {
            continue;
        }
        let status = match task::look(engine, &exec).await {
            Ok(Reality::Running { pid }) => {
                exec.set_running(pid);
                continue;
            }
            Ok(Reality::Stopped(exit)) => {
                super::on_exit(Arc::clone(engine), container_id.to_owned(), exec.id.clone(), exit).await;
                continue;
            }
            Ok(Reality::Absent) if matches!(exec.phase(), Phase::Running { .. }) => ExitStatus::LOST.code(),
            // By an engine that died in between.
            Ok(Reality::Created | Reality::Absent) if exec.is_adopted => NEVER_STARTED,
            // It is just being started, by somebody who sees to it.
            Ok(Reality::Created | Reality::Absent) => continue,
            Err(error) => {
                warn!(id = container_id, exec_id = exec.id, error = error.message(), "look at an exec");
                continue;
            }
        };
        let exit = Exit { pid: 0, status, at: Moment::now() };
        super::on_exit(Arc::clone(engine), container_id.to_owned(), exec.id.clone(), exit).await;
    }
}
