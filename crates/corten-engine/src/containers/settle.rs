//! Makes records and reality agree: at the start, after a lost link, after a kill at any point.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use corten_proto::containerd::services::containers::v1::ListContainersRequest;
use corten_proto::containerd::services::snapshots::v1::ListSnapshotsRequest;
use corten_proto::containerd::v1::types::Process;
use corten_types::{ExitStatus, TaskStatus};
use tracing::{info, warn};

use super::record::State;
use super::restart_policy::{self, BACK_OFF_FIRST};
use super::{Container, Turn, delete, exit, freeze};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::Result;
use crate::execs::{self, Exit};
use crate::networks::{finish, restore, sandbox};
use crate::snapshots::{self, ENGINE_LABEL};
use crate::{store, tasks};

/// Why it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The engine has just come up.
    EngineStarted,
    /// The link was lost and is there again.
    LinkedAgain,
    /// The container's task has changed without us.
    TaskChanged,
}

/// Time the link waits for all containers; one that takes longer is settled beside it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pauses between looks at a task that cannot be looked at: three seconds in all.
const LOOK_AGAIN: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];

/// Settles every container, and removes what belongs to none.
///
/// # Errors
/// When containerd does not answer.
pub async fn settle_all(engine: &Arc<Engine>, tasks: Vec<Process>, occasion: Occasion) -> Result<()> {
    let mut tasks: HashMap<String, Process> = tasks.into_iter().map(|task| (task.id.clone(), task)).collect();
    let settling: Vec<_> = engine
        .containers
        .all()
        .into_iter()
        .map(|container| {
            let (engine, task) = (Arc::clone(engine), tasks.remove(&container.id));
            tokio::spawn(async move { settle_surely(&engine, &container, task, occasion).await })
        })
        .collect();
    let all = async {
        for settled in settling {
            if let Err(error) = settled.await {
                warn!(%error, "settle a container");
            }
        }
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        warn!("some containers are still being settled");
    }
    if occasion == Occasion::EngineStarted {
        restore::settle_containers(engine).await;
        finish::finish(engine).await;
        // Loads and imports that a kill interrupted: nothing keeps what they had made.
        if let Err(error) = corten_images::lease::settle(engine.catalog.store(), &engine.id).await {
            warn!(%error, "end the leases of an earlier life");
        }
    }
    remove_orphans(engine).await
}

/// Settles one container whose task was created or started at `at`, perhaps without us: a start that
/// an engine before us asked for can be carried out after it died, and after we looked at all tasks.
///
/// Nothing is asked while somebody has the turn, or when the last start was ours: then the change is
/// theirs. The event can come before the task can be asked for.
pub async fn settle_changed(engine: &Arc<Engine>, id: &str, at: Moment) {
    let Some(container) = engine.containers.get(id) else { return };
    for pause in LOOK_AGAIN {
        let Some(turn) = container.try_turn() else { return };
        let state = turn.view().state.clone();
        drop(turn);
        if state.is_alive() || state.started_at.is_some_and(|started| started > at) {
            return;
        }
        match tasks::get::get(engine, id).await {
            Ok(Some(_)) => return settle_surely(engine, &container, None, Occasion::TaskChanged).await,
            Ok(None) => {}
            Err(error) => warn!(id, error = error.message(), "look at a task that has changed"),
        }
        tokio::time::sleep(pause).await;
    }
}

/// Settles a container, again when its task could not be looked at: its shim may be about to go.
async fn settle_surely(engine: &Arc<Engine>, container: &Arc<Container>, task: Option<Process>, occasion: Occasion) {
    if settle(engine, container, task, occasion, Look::WhenNeeded).await {
        return;
    }
    for pause in LOOK_AGAIN {
        tokio::time::sleep(pause).await;
        if settle(engine, container, None, occasion, Look::Again).await {
            return;
        }
    }
    warn!(id = container.id, "a container stays as it was written down: its task cannot be looked at");
}

/// Whether the task that was listed is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// When it agrees with the state.
    WhenNeeded,
    /// Never.
    Again,
}

/// Brings one container's state to what its task says; answers whether that could be found out.
async fn settle(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    task: Option<Process>,
    occasion: Occasion,
    look: Look,
) -> bool {
    let turn = container.turn().await;
    let state = turn.view().state.clone();
    if state.removing {
        if let Err(error) = delete::finish(engine, &turn).await {
            warn!(id = turn.id, error = error.message(), "finish an interrupted removal");
        }
        return true;
    }
    let task = match agrees(&state, task.as_ref()) && occasion != Occasion::TaskChanged && look == Look::WhenNeeded {
        true => task,
        // A start or an end may have passed between the list and our turn: only what is true now counts.
        false => match tasks::get::get(engine, &turn.id).await {
            Ok(task) => task,
            Err(error) => {
                warn!(id = turn.id, error = error.message(), "look at a container's task");
                return false;
            }
        },
    };
    if task.is_some() {
        // Before the task goes, and what it knows of them with it.
        execs::restore::settle(engine, &turn.id).await;
    }
    let end = match Finding::of(task) {
        Finding::Lives { pid, is_paused } => {
            live_on(&turn, pid, is_paused);
            thaw_left(engine, &turn).await;
            None
        }
        Finding::Ended(exit) => {
            if let Err(error) = tasks::delete::delete(engine, &turn.id).await {
                warn!(id = turn.id, error = error.message(), "delete the task of a container that has ended");
                exit::delete_later(engine, container);
            }
            Some(exit)
        }
        Finding::NeverStarted => {
            // The start was interrupted, and nobody was told of it.
            if let Err(error) = tasks::delete::force(engine, &turn.id).await {
                warn!(id = turn.id, error = error.message(), "remove what an interrupted start left");
            }
            Some(lost(&state))
        }
        // Shim and task are gone, and with them the true status.
        Finding::Gone => Some(lost(&state)),
    };
    match end.filter(|_| state.is_alive()) {
        Some(exit) => {
            sandbox::release(engine, &turn).await;
            remember_for_waiters(engine, &turn, i64::from(exit.status), occasion);
            exit::record(engine, container, turn, exit);
        }
        None => {
            if !turn.view().state.is_alive() {
                // A start that was killed before anything ran, or an end that was written down and nothing more.
                sandbox::release(engine, &turn).await;
            }
            go_on(engine, container, turn, occasion);
        }
    }
    true
}

/// What a look at a container's task says.
enum Finding {
    Lives { pid: u32, is_paused: bool },
    Ended(Exit),
    NeverStarted,
    Gone,
}

impl Finding {
    fn of(task: Option<Process>) -> Self {
        let Some(task) = task else { return Self::Gone };
        match TaskStatus::from_wire(task.status) {
            TaskStatus::Running => Self::Lives { pid: task.pid, is_paused: false },
            TaskStatus::Paused | TaskStatus::Pausing => Self::Lives { pid: task.pid, is_paused: true },
            TaskStatus::Stopped => {
                let at = task.exited_at.as_ref().map_or_else(Moment::now, Moment::from_proto);
                Self::Ended(Exit { pid: task.pid, status: task.exit_status, at })
            }
            TaskStatus::Created | TaskStatus::Unknown => Self::NeverStarted,
        }
    }
}

/// An end of which nobody knows more.
fn lost(state: &State) -> Exit {
    Exit { pid: state.pid, status: ExitStatus::LOST.code(), at: Moment::now() }
}

/// Notes that the container runs, when its start or its pause was not written down.
fn live_on(turn: &Turn<'_>, pid: u32, is_paused: bool) {
    let state = &turn.view().state;
    if !state.is_alive() || state.pid != pid || state.paused != is_paused {
        turn.change(|state| {
            state.started_at = state.started_at.filter(|_| state.is_alive()).or(Some(Moment::now()));
            (state.running, state.restarting, state.paused) = (true, false, is_paused);
            state.pid = pid;
        });
    }
    info!(id = turn.id, pid, "container found running");
}

/// Thaws a container whose files an engine was reading when it died.
async fn thaw_left(engine: &Engine, turn: &Turn<'_>) {
    if !freeze::is_left_frozen(turn) {
        return;
    }
    if turn.view().state.paused {
        freeze::thaw(engine, turn).await;
    } else {
        freeze::forget(turn);
    }
}

/// Who waited for a container that ended while no engine was there asks now, when it may be removed
/// already by its own wish.
fn remember_for_waiters(engine: &Engine, turn: &Turn<'_>, exit_code: i64, occasion: Occasion) {
    if occasion == Occasion::EngineStarted && turn.view().record.host_config.auto_remove {
        engine.containers.remember_end(&turn.id, exit_code);
    }
}

/// What a container that does not run is due: the policy's next start, or its removal.
fn go_on(engine: &Arc<Engine>, container: &Arc<Container>, turn: Turn<'_>, occasion: Occasion) {
    let view = turn.view();
    if view.state.restarting {
        drop(turn);
        restart_policy::start_later(engine, container, BACK_OFF_FIRST);
    } else if occasion == Occasion::EngineStarted && !view.state.running {
        let policy = &view.record.host_config.restart_policy;
        if view.record.host_config.auto_remove && view.state.started_at.is_some() {
            remember_for_waiters(engine, &turn, view.state.exit_code, occasion);
            drop(turn);
            delete::soon(engine, container);
        } else if restart_policy::starts_with_engine(policy, &view.state) {
            turn.change(|state| (state.running, state.restarting, state.stopped_by_user) = (true, true, false));
            drop(turn);
            restart_policy::start_later(engine, container, Duration::ZERO);
        }
    }
}

/// Whether state and task say the same.
fn agrees(state: &State, task: Option<&Process>) -> bool {
    match task {
        None => !state.is_alive(),
        Some(task) => {
            let status = if state.paused { TaskStatus::Paused } else { TaskStatus::Running };
            state.is_alive() && state.pid == task.pid && TaskStatus::from_wire(task.status) == status
        }
    }
}

/// Whether no record, no create under way and no record set aside has this id.
fn is_orphan(engine: &Engine, id: &str) -> bool {
    !engine.containers.knows(id) && !store::is_set_aside(&engine.config.data_root, id)
}

/// Removes containers and snapshots that carry this engine's label and belong to no record: what a
/// create or a removal that was killed half way has left.
async fn remove_orphans(engine: &Arc<Engine>) -> Result<()> {
    let filters = vec![format!("labels.\"{ENGINE_LABEL}\"==\"{}\"", engine.id)];
    let mut containers = engine.containerd.containers();
    let request = ListContainersRequest { filters: filters.clone() };
    let listed = engine.containerd.step("list containers", containers.list(request)).await?.containers;
    for orphan in listed.iter().filter(|listed| is_orphan(engine, &listed.id)) {
        info!(id = orphan.id, "removing a container without a record");
        let removed = async {
            tasks::delete::force_if_there(engine, &orphan.id).await?;
            tasks::delete::delete_record(engine, &orphan.id).await?;
            snapshots::remove(engine, &orphan.snapshotter, &orphan.snapshot_key).await
        };
        if let Err(error) = removed.await {
            warn!(id = orphan.id, error = error.message(), "remove a container without a record");
        }
    }
    let mut list = engine.containerd.snapshots();
    let request = ListSnapshotsRequest { snapshotter: "overlayfs".to_owned(), filters };
    let mut messages = engine.containerd.step("list snapshots", list.list(request)).await?;
    while let Some(message) = messages.message().await? {
        for orphan in message.info.iter().filter(|info| is_orphan(engine, &info.name)) {
            info!(key = orphan.name, "removing a root filesystem without a record");
            if let Err(error) = snapshots::remove(engine, "overlayfs", &orphan.name).await {
                warn!(key = orphan.name, error = error.message(), "remove a root filesystem without a record");
            }
        }
    }
    Ok(())
}
