//! Settling: what a dead shim, or a create that failed, left is removed and its end announced.
//!
//! The shim's own program does the removing (`delete`: kill what runs, unmount, forget the container);
//! it is called also when nothing is left, and succeeds.

use std::{fs, sync::Arc, time::Duration};

use corten_proto::{
    any,
    containerd::{
        events::{TaskDelete, TaskExit},
        task::v2::DeleteResponse,
        types::Envelope,
    },
};
use corten_shim_api::start::parse_delete_answer;
use tracing::{info, warn};

use super::{Bundle, Shim, spawn::call_delete};
use crate::{
    Supervisor,
    error::{Error, Result},
    events::forward::{DELETE, EXIT},
    moment,
};

/// How long the shim's program may take to clean up (containerd: shim.cleanup).
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(5);
/// What a process killed by SIGKILL exits with.
const KILLED: u32 = 137;

/// Watches a live shim and settles its task should it die.
pub fn watch(supervisor: Arc<Supervisor>, shim: Arc<Shim>) {
    tokio::spawn(async move {
        shim.client.closed().await;
        if !shim.end_is_expected() {
            settle(&supervisor, &shim).await;
        }
    });
}

/// Cleans up after a shim that is gone, and announces the exit (unless the shim still did) and the
/// end of its task. Asked twice, it is done once.
pub async fn settle(supervisor: &Arc<Supervisor>, shim: &Arc<Shim>) {
    let mut deleted = shim.deleted.lock().await;
    if deleted.is_none() {
        warn!(ns = shim.namespace(), id = shim.id(), "shim is gone, cleaning up");
        let exit = clean_up(supervisor, shim.bundle(), shim.binary()).await;
        let exit = shim.exit_seen().map_or(exit, |seen| DeleteResponse {
            pid: seen.pid,
            exit_status: seen.exit_status,
            exited_at: seen.exited_at,
        });
        *deleted = Some(exit);
        announce(supervisor, shim.bundle(), &exit, shim.exit_seen().is_some());
        remove_bundle(shim.bundle()).await;
        supervisor.tasks.forget(shim.namespace(), shim.id());
    }
    shim.mark_settled();
}

/// Cleans up after a shim of an earlier life that nobody can reach.
pub async fn settle_unreachable(supervisor: &Arc<Supervisor>, bundle: &Bundle, binary: Option<&std::path::Path>) {
    let was_created = init_pid(bundle).is_some();
    info!(ns = bundle.namespace, id = bundle.id, was_created, "shim did not live through our absence, cleaning up");
    if let Some(binary) = binary {
        let exit = clean_up(supervisor, bundle, binary).await;
        if was_created {
            announce(supervisor, bundle, &exit, false);
        }
    }
    remove_bundle(bundle).await;
}

/// Removes what a create that failed left. Nothing was announced, so nothing is now.
pub async fn remove_after_failed_create(supervisor: &Arc<Supervisor>, bundle: &Bundle, binary: &std::path::Path) {
    clean_up(supervisor, bundle, binary).await;
    remove_bundle(bundle).await;
}

/// Removes the bundle; what cannot be removed is reported and found again at the next start.
pub async fn remove_bundle(bundle: &Bundle) {
    let removed = bundle.clone();
    let result = crate::blocking(move || {
        removed.remove().map_err(|error| Error::io(format!("remove bundle {}", removed.path.display()), &error))
    });
    if let Err(error) = result.await {
        warn!(ns = bundle.namespace, id = bundle.id, %error, "bundle is left");
    }
}

/// Has the shim's program clean up, and answers how the init process ended: as the program says, or,
/// when it does not, killed now.
async fn clean_up(supervisor: &Arc<Supervisor>, bundle: &Bundle, binary: &std::path::Path) -> DeleteResponse {
    let (owner, place, program) = (supervisor.clone(), bundle.clone(), binary.to_owned());
    let asked = crate::blocking(move || answer(&owner, &place, &program));
    let mut exit = asked.await.unwrap_or_else(|error| {
        warn!(ns = bundle.namespace, id = bundle.id, %error, "clean up after a shim");
        DeleteResponse { exit_status: KILLED, ..DeleteResponse::default() }
    });
    if exit.pid == 0 {
        // Clients match exits by pid: dockerd keeps a container whose exit has none running.
        exit.pid = init_pid(bundle).unwrap_or(0);
    }
    if exit.exited_at.is_none_or(|at| at.seconds <= 0) {
        exit.exited_at = Some(moment::now());
    }
    exit
}

fn answer(supervisor: &Supervisor, bundle: &Bundle, binary: &std::path::Path) -> Result<DeleteResponse> {
    let output = call_delete(supervisor, bundle, binary, CLEANUP_TIMEOUT)?;
    let refused = || {
        let text = String::from_utf8_lossy(&output.bytes);
        Error::internal(format!("{} delete: {}", binary.display(), text.trim()))
    };
    if !output.success {
        return Err(refused());
    }
    // Go's programs log to standard error, which is joined with the answer: those lines come first.
    let mut bytes = output.bytes.as_slice();
    while let Some(end) = bytes.iter().position(|&byte| byte == b'\n').filter(|_| bytes.starts_with(b"time=")) {
        bytes = &bytes[end + 1..];
    }
    parse_delete_answer(bytes).map_err(|_| refused())
}

fn init_pid(bundle: &Bundle) -> Option<u32> {
    fs::read_to_string(bundle.path.join("init.pid")).ok()?.trim().parse().ok()
}

fn announce(supervisor: &Supervisor, bundle: &Bundle, exit: &DeleteResponse, exit_was_announced: bool) {
    let id = bundle.id.clone();
    let DeleteResponse { pid, exit_status, exited_at } = *exit;
    if !exit_was_announced {
        let event = TaskExit { container_id: id.clone(), id: id.clone(), pid, exit_status, exited_at };
        publish_exit(supervisor, &bundle.namespace, &event);
    }
    let event = TaskDelete { container_id: id, pid, exit_status, exited_at, id: String::new() };
    supervisor.events.publish(&bundle.namespace, DELETE, &event);
}

/// Announces an exit that its shim did not, or may not have.
pub(super) fn publish_exit(supervisor: &Supervisor, namespace: &str, exit: &TaskExit) {
    let envelope = Envelope {
        timestamp: Some(moment::now()),
        namespace: namespace.to_owned(),
        topic: EXIT.to_owned(),
        event: Some(any::pack(exit)),
    };
    supervisor.tasks.exits.publish_once(&supervisor.events, &envelope, exit);
}
