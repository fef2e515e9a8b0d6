//! Removing a stopped container, or a stopped exec, and telling its exit.
//!
//! Idempotent: a delete that is asked again while the first one runs waits for it, and one that is asked
//! again afterwards, because the answer came too late, gets the same answer.

use std::{fs, sync::Arc, time::Duration};

use corten_proto::containerd::{events::TaskDelete, task::v2::DeleteResponse};
use corten_runtime_api::arguments::Delete;
use corten_types::TaskStatus;

use crate::{
    container::Container,
    error::TaskError,
    exit_file::{self, Exit},
    invoke,
    process::Process,
    rootfs,
    shim::Shim,
    task::exits,
};

/// How long a created container's init may take to die after it was deleted by force.
const DIES_WITHIN: Duration = Duration::from_secs(10);

/// Deletes the process `exec_id` of the container `id`, the container for the empty one.
///
/// # Errors
/// [`TaskError`]; what was not removed is removed by the next try.
pub async fn delete(shim: &Arc<Shim>, id: &str, exec_id: &str) -> Result<DeleteResponse, TaskError> {
    let container = match shim.container(id) {
        Ok(container) => container,
        Err(error) => {
            return match shim.deleted(id).filter(|_| exec_id.is_empty()) {
                Some(exit) => Ok(response(exit)),
                None => Err(error),
            };
        }
    };
    let exit = if exec_id.is_empty() {
        delete_container(shim, &container).await?
    } else {
        delete_exec(&container, exec_id).await?
    };
    Ok(response(exit))
}

fn response(exit: Exit) -> DeleteResponse {
    DeleteResponse { pid: exit.pid, exit_status: exit.status.code(), exited_at: Some(exit.at_proto()) }
}

async fn delete_exec(container: &Container, exec_id: &str) -> Result<Exit, TaskError> {
    let process = container.process(exec_id)?;
    let _deleting = process.deleting.lock().await;
    let exit = match process.status() {
        TaskStatus::Stopped => process.exit().unwrap_or_else(exits::never_ran),
        TaskStatus::Created => exits::never_ran(),
        status => return Err(TaskError::State { verb: "delete", state: status.as_str(), noun: "process" }),
    };
    close(&process).await;
    container.remove_exec(exec_id);
    for file in [format!("{exec_id}.pid"), format!("{exec_id}.exit")] {
        // Not there when it never ran.
        let _ = fs::remove_file(container.bundle.join(file));
    }
    Ok(exit)
}

async fn delete_container(shim: &Shim, container: &Arc<Container>) -> Result<Exit, TaskError> {
    let init = &container.init;
    let _deleting = init.deleting.lock().await;
    if let Some(exit) = shim.deleted(&container.id) {
        return Ok(exit);
    }
    let created = match container.status() {
        TaskStatus::Stopped => false,
        TaskStatus::Created => true,
        status => return Err(TaskError::State { verb: "delete", state: status.as_str(), noun: "process" }),
    };
    if !created {
        close(init).await;
    }
    remove_from_runtime(shim, container, created).await?;
    // The init of a created container is killed by that; its exit is announced before the delete.
    let exit = tokio::time::timeout(DIES_WITHIN, init.wait()).await.ok().flatten().ok_or(TaskError::State {
        verb: "delete",
        state: "dying",
        noun: "container",
    })?;
    close(init).await;
    for exec in container.all_execs() {
        close(&exec).await;
    }
    rootfs::unmount(&rootfs::path(&container.bundle)).await?;
    shim.forget(&container.id, exit);
    shim.events.publish(
        "/tasks/delete",
        &TaskDelete {
            container_id: container.id.clone(),
            pid: exit.pid,
            exit_status: exit.status.code(),
            exited_at: Some(exit.at_proto()),
            id: String::new(),
        },
    );
    let _ = fs::remove_file(exit_file::path(&container.bundle, "init")); // the bundle goes as well
    Ok(exit)
}

/// Has the runtime delete the container. A try that was killed half way is made again by force, which also takes what
/// the first one left after it had given the id back.
async fn remove_from_runtime(shim: &Shim, container: &Container, force: bool) -> Result<(), TaskError> {
    let log = container.runtime_log();
    let delete = |force| container.runtime.delete(Delete { id: container.id.clone(), force });
    match invoke::run_quietly(&shim.reaper, "delete", delete(force), b"", &log).await {
        Err(error) if !force => {
            tracing::warn!(id = container.id, %error, "the runtime's delete is tried again by force");
            invoke::run_quietly(&shim.reaper, "delete", delete(true), b"", &log).await
        }
        // An earlier try got as far as this.
        Err(TaskError::Runtime { message, .. }) if message.contains("does not exist") => Ok(()),
        other => other,
    }
}

/// Waits until what the process wrote is in its sinks, which the hub bounds, and closes them.
async fn close(process: &Process) {
    if let Some(streams) = process.streams() {
        streams.ended();
        streams.drained().await;
    }
    process.close_streams();
}
