//! What happens when a container's init ends.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::record::State;
use super::restart_policy::{self, Verdict};
use super::{Container, Turn, delete, start};
use crate::engine::Engine;
use crate::events::Kind;
use crate::execs::Exit;
use crate::networks::sandbox;
use crate::tasks;

/// The pause before a task's deletion is tried again; it doubles.
const DELETE_AGAIN: Duration = Duration::from_millis(100);

/// How often that is done: the last pause is three seconds.
const DELETE_TRIES: u32 = 6;

/// Records the end of the init of the container `id`, and does what follows from it: the restart
/// policy's next start, or the removal of a container that asked for it.
///
/// An end that was recorded already, or of a task before the one that runs now, changes nothing; so
/// the event, a look at the tasks after a lost link, and a verb that finds the init gone may all
/// call this.
pub async fn on_exit(engine: &Arc<Engine>, id: &str, exit: Exit) {
    let Some(container) = engine.containers.get(id) else { return };
    let turn = container.turn().await;
    let state = turn.view().state.clone();
    if !state.is_alive() || state.pid != exit.pid {
        return;
    }
    // Written down before the task is deleted, which takes the only other record of the status with it.
    turn.write_down(|state| ended(state, exit, false));
    // The task goes first: whoever hears of the end may start or remove the container at once.
    match tasks::delete::delete(engine, id).await {
        Ok(_) => {}
        Err(error) => {
            warn!(id, error = error.message(), "delete the task of a container that has ended");
            delete_later(engine, &container);
        }
    }
    sandbox::release(engine, &turn).await;
    record(engine, &container, turn, exit);
}

/// Tries again to delete the task of a container that has ended: what kept it may pass. A start, a
/// removal and the next link do the same.
pub(super) fn delete_later(engine: &Arc<Engine>, container: &Arc<Container>) {
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    tokio::spawn(async move {
        let mut pause = DELETE_AGAIN;
        for _ in 0..DELETE_TRIES {
            tokio::time::sleep(pause).await;
            pause *= 2;
            let turn = container.turn().await;
            if turn.view().state.is_alive() || tasks::delete::force_if_there(&engine, &turn.id).await.is_ok() {
                return;
            }
        }
        warn!(id = container.id, "the task of a container that has ended is left to its next start or removal");
    });
}

/// Notes that the kernel killed a process of the container for memory.
pub async fn on_oom(engine: &Arc<Engine>, id: &str) {
    let Some(container) = engine.containers.get(id) else { return };
    let turn = container.turn().await;
    turn.change(|state| state.oom_killed = true);
    engine.events.publish(Kind::Container, "oom", id, turn.view().record.event_attributes());
}

/// Records the end of a task that is gone.
pub(super) fn record(engine: &Arc<Engine>, container: &Arc<Container>, turn: Turn<'_>, exit: Exit) {
    let view = turn.view();
    let policy = &view.record.host_config.restart_policy;
    let ran_for = view.state.started_at.map(|started| started.until(exit.at)).unwrap_or_default();
    let last = State { exit_code: i64::from(exit.status), ..view.state.clone() };
    let verdict = restart_policy::judge(policy, &last, ran_for, turn.back_off());
    let restarting = matches!(verdict, Verdict::StartAgain { .. });
    turn.change(|state| ended(state, exit, restarting));
    info!(id = turn.id, status = exit.status, restarting, "container ended");
    let mut attributes = view.record.event_attributes();
    attributes.insert("execDuration".to_owned(), ran_for.as_secs().to_string());
    attributes.insert("exitCode".to_owned(), exit.status.to_string());
    engine.events.publish(Kind::Container, "die", &turn.id, attributes);
    start::publish_network(engine, &view, "disconnect");
    crate::execs::forget(engine, &turn.id);
    turn.announce_exit();
    match verdict {
        Verdict::StartAgain { after } => {
            turn.set_back_off(after);
            drop(turn);
            restart_policy::start_later(engine, container, after);
        }
        Verdict::Rest => {
            let remove = view.record.host_config.auto_remove && !turn.is_removal_held();
            drop(turn);
            if remove {
                delete::soon(engine, container);
            }
        }
    }
}

/// The state after an end.
fn ended(state: &mut State, exit: Exit, restarting: bool) {
    state.running = restarting;
    state.restarting = restarting;
    state.paused = false;
    state.pid = 0;
    state.exit_code = i64::from(exit.status);
    state.finished_at = Some(exit.at);
    state.restart_count += u32::from(restarting);
}
