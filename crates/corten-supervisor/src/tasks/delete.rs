//! Deleting a stopped task: the container, then its shim, then its bundle.

use std::sync::Arc;

use corten_proto::containerd::task::v2::{DeleteRequest, DeleteResponse};
use tracing::warn;

use super::refused;
use crate::{
    Supervisor, containers,
    error::{Error, Result},
    shims::{Shim, settle},
};

/// Deletes the task and answers how its init process ended. Asked twice at once, both get the answer.
///
/// # Errors
/// `NotFound` without the task, `FailedPrecondition` while it runs, else what the shim says.
pub(super) async fn delete(supervisor: &Arc<Supervisor>, namespace: &str, id: &str) -> Result<DeleteResponse> {
    let shim = match supervisor.tasks.get(namespace, id).await {
        Ok(shim) => shim,
        Err(error) => {
            // Without the container containerd names that instead.
            supervisor.metadata.read(|c| containers::get(c, namespace, id))?;
            return Err(error);
        }
    };
    let mut deleted = shim.deleted.lock().await;
    if let Some(exit) = &*deleted {
        return Ok(*exit);
    }
    let asked = DeleteRequest { id: id.to_owned(), ..DeleteRequest::default() };
    match shim.client.delete(&asked, None).await {
        Ok(exit) => {
            *deleted = Some(exit);
            finish(supervisor, &shim).await;
            Ok(exit)
        }
        // The container is gone: what is left is the shim.
        Err(error) if error.is_not_found() => {
            finish(supervisor, &shim).await;
            Err(refused(error))
        }
        Err(error) if error.is_closed() => {
            drop(deleted);
            settle::settle(supervisor, &shim).await;
            let exit = *shim.deleted.lock().await;
            exit.ok_or_else(|| Error::not_found(format!("task {id} not found")))
        }
        Err(error) => Err(refused(error)),
    }
}

/// Deletes an exec that ended, and answers how.
///
/// # Errors
/// `NotFound` without task or exec, else what the shim says.
pub(super) async fn delete_process(
    supervisor: &Supervisor,
    namespace: &str,
    id: String,
    exec_id: String,
) -> Result<DeleteResponse> {
    let shim = supervisor.tasks.get(namespace, &id).await?;
    if exec_id.is_empty() {
        return Err(Error::invalid("exec id cannot be empty"));
    }
    shim.client.delete(&DeleteRequest { id, exec_id }, None).await.map_err(refused)
}

/// The record goes last: while it stands nobody creates the id again, whose shim would find the old
/// one's socket.
async fn finish(supervisor: &Arc<Supervisor>, shim: &Arc<Shim>) {
    shim.expect_end();
    if let Err(error) = shim.shut_down().await {
        // The container is gone, which is what was asked; the next start finds what is left.
        warn!(ns = shim.namespace(), id = shim.id(), %error, "shim is left");
    }
    settle::remove_bundle(shim.bundle()).await;
    supervisor.tasks.forget(shim.namespace(), shim.id());
    shim.mark_settled();
}
