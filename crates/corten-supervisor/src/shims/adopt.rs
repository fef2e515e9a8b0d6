//! Adoption: the shims of an earlier life are found by their bundles and asked what became of their
//! tasks. Each has its own deadlines, so that a mute one holds up nobody.
//!
//! A shim is given up only when it cannot be reached, or answers that it has no such task; one that
//! does not answer is kept.

use std::{path::PathBuf, sync::Arc, time::Duration};

use corten_proto::containerd::{
    events::TaskExit,
    task::v2::{StateRequest, StateResponse},
    v1::types::Status,
};
use corten_shim_api::{CallError, Client, start::read_address};
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use super::{
    Bundle, Shim,
    settle::{publish_exit, settle_unreachable, watch as watch_shim},
    spawn,
};
use crate::{Supervisor, containers};

/// How long a shim may take to be reached, and to answer (containerd: shim.load).
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A bundle found, and what calls for its task wait for.
pub type Found = (Bundle, watch::Sender<()>);

/// Finds the bundles of an earlier life, and has calls for their tasks wait. Runs before anybody can
/// call.
pub fn find(supervisor: &Supervisor) -> Vec<Found> {
    let bundles = Bundle::all(&supervisor.config).unwrap_or_else(|error| {
        tracing::error!(%error, "bundles cannot be listed: no shim is adopted");
        Vec::new()
    });
    let claim = |bundle: Bundle| {
        let decided = supervisor.tasks.claim_for_adoption(&bundle.namespace, &bundle.id);
        (bundle, decided)
    };
    bundles.into_iter().map(claim).collect()
}

/// Adopts or settles everything that was found.
pub async fn adopt_all(supervisor: Arc<Supervisor>, found: Vec<Found>) {
    let count = found.len();
    let each = found.into_iter().map(|(bundle, decided)| {
        let supervisor = supervisor.clone();
        tokio::spawn(async move {
            adopt(&supervisor, bundle).await;
            drop(decided);
        })
    });
    for done in each.collect::<Vec<_>>() {
        if let Err(error) = done.await {
            warn!(%error, "adopting a shim");
        }
    }
    if count > 0 {
        info!(count, "shims of an earlier life adopted or settled");
    }
}

async fn adopt(supervisor: &Arc<Supervisor>, bundle: Bundle) {
    let (namespace, id) = (bundle.namespace.clone(), bundle.id.clone());
    let binary = shim_binary(supervisor, &bundle);
    let client = match reach(&bundle).await {
        Ok(client) => client.with_namespace(&namespace),
        Err(error) => {
            info!(ns = namespace, id, error, "shim cannot be reached");
            settle_unreachable(supervisor, &bundle, binary.as_deref()).await;
            supervisor.tasks.forget(&namespace, &id);
            return;
        }
    };
    let shim = Arc::new(Shim::new(bundle, binary.unwrap_or_default(), client));
    // First, because Go's shims wait for a reader before they serve.
    if let Err(error) = spawn::pass_on_log(shim.bundle()).map(|log| shim.keep_log(log)) {
        warn!(ns = namespace, id, %error, "the shim's log is not read");
    }
    match state(&shim).await {
        Ok(state) => {
            live(supervisor, &shim);
            announce_missed_exit(supervisor, &shim, state);
        }
        Err(error) if has_no_task(&error) => give_up(supervisor, &shim, &error).await,
        Err(error) => {
            warn!(ns = namespace, id, %error, "shim is kept, though it does not tell its state");
            live(supervisor, &shim);
            tokio::spawn(ask_again(supervisor.clone(), shim));
        }
    }
}

async fn state(shim: &Shim) -> Result<StateResponse, CallError> {
    let asked = StateRequest { id: shim.id().to_owned(), exec_id: String::new() };
    shim.client.state(&asked, Some(LOAD_TIMEOUT)).await
}

fn live(supervisor: &Arc<Supervisor>, shim: &Arc<Shim>) {
    supervisor.tasks.live(shim.clone());
    watch_shim(supervisor.clone(), shim.clone());
}

/// A shim that was reached and has no task: what it was started for never came to be, or is over.
async fn give_up(supervisor: &Arc<Supervisor>, shim: &Arc<Shim>, error: &CallError) {
    info!(ns = shim.namespace(), id = shim.id(), %error, "shim has no task");
    if let Err(error) = shim.shut_down().await {
        warn!(ns = shim.namespace(), id = shim.id(), %error, "shim without a task is left");
    }
    settle_unreachable(supervisor, shim.bundle(), Some(shim.binary())).await;
    supervisor.tasks.forget(shim.namespace(), shim.id());
}

/// Goes on asking a mute shim, for as long as it is connected; its answer decides.
async fn ask_again(supervisor: Arc<Supervisor>, shim: Arc<Shim>) {
    while !shim.client.is_closed() {
        tokio::time::sleep(LOAD_TIMEOUT).await;
        match state(&shim).await {
            Ok(state) => return announce_missed_exit(&supervisor, &shim, state),
            Err(error) if error.is_not_found() => return give_up(&supervisor, &shim, &error).await,
            // Closed: whoever watches the connection settles it.
            Err(_) => {}
        }
    }
}

/// The exit of the time nobody listened; the shim itself may still announce it.
fn announce_missed_exit(supervisor: &Supervisor, shim: &Shim, state: StateResponse) {
    if state.status != i32::from(Status::Stopped) {
        return;
    }
    let exit = TaskExit {
        container_id: shim.id().to_owned(),
        id: shim.id().to_owned(),
        pid: state.pid,
        exit_status: state.exit_status,
        exited_at: state.exited_at,
    };
    shim.note_exit(&exit);
    publish_exit(supervisor, shim.namespace(), &exit);
}

fn has_no_task(error: &CallError) -> bool {
    error.is_not_found() || error.is_closed()
}

async fn reach(bundle: &Bundle) -> Result<Client, String> {
    let address = read_address(&bundle.path).map_err(|error| format!("its address: {error}"))?;
    match timeout(LOAD_TIMEOUT, Client::connect(address.path())).await {
        Ok(connected) => connected.map_err(|error| corten_types::error::chain(&error)),
        Err(_) => Err(format!("not connected within {LOAD_TIMEOUT:?}")),
    }
}

/// The program to clean up with: as the bundle says, else as the container says.
fn shim_binary(supervisor: &Supervisor, bundle: &Bundle) -> Option<PathBuf> {
    let of_container = || {
        let container = supervisor.metadata.read(|c| containers::get(c, &bundle.namespace, &bundle.id)).ok()?;
        spawn::resolve(&container.runtime?.name).ok()
    };
    bundle.shim_binary().or_else(of_container)
}
