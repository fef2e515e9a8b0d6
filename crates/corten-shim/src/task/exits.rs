//! What happens when a process ends, in the order clients rely on.
//!
//! ```text
//! create < start < exit        exec-added < exec-started < exec exit < init's exit        oom < exit
//! ```
//! The exit file is written, the state changes, waiters wake and the event is queued in one step, after
//! the start under way has been announced. Init's waits until every exec's is out.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use corten_proto::containerd::events::TaskExit;
use corten_runtime_api::arguments::Kill;
use corten_stdio::Timestamp;
use corten_types::ExitStatus;

use crate::{
    container::Container,
    error::TaskError,
    exit_file::{self, Exit},
    hub::Streams,
    invoke,
    oom::Watching,
    process::Process,
    reaper::Child,
    shim::Shim,
};

/// Waits for the end of a container's init process, and announces it last.
pub async fn on_init_exit(shim: Arc<Shim>, container: Arc<Container>, child: Arc<Child>, oom: Option<Watching>) {
    let status = shim.reaper.wait(&child).await;
    let exit = Exit { pid: child.pid, status, at: Timestamp::now() };
    container.set_init_gone();
    container.set_paused(false);
    if !container.config.has_own_pid_namespace() {
        kill_the_rest(&shim, &container).await;
    }
    drop(container.init.starting.lock().await);
    let mut live_execs = container.live_execs.subscribe();
    // The sender lives as long as the container.
    let _ = live_execs.wait_for(|count| *count == 0).await;
    if let Some(oom) = oom {
        oom.finish().await;
    }
    announce(&shim, &container, &container.init, exit);
}

/// Waits for the end of an exec, and announces it.
pub async fn on_exec_exit(shim: Arc<Shim>, container: Arc<Container>, process: Arc<Process>, child: Arc<Child>) {
    let status = shim.reaper.wait(&child).await;
    let exit = Exit { pid: child.pid, status, at: Timestamp::now() };
    drop(process.starting.lock().await);
    announce(&shim, &container, &process, exit);
    container.live_execs.send_modify(|count| *count -= 1);
}

fn announce(shim: &Shim, container: &Container, process: &Process, exit: Exit) {
    let name = if process.id.is_empty() { "init" } else { &process.id };
    let path = exit_file::path(&container.bundle, name);
    if let Err(error) = exit_file::save(&path, &exit) {
        tracing::error!(path = %path.display(), %error, "an exit is not on disk: it is lost if this shim dies");
    }
    process.set_exit(exit);
    if let Some(streams) = process.streams() {
        streams.ended();
    }
    let id = if process.id.is_empty() { &container.id } else { &process.id };
    shim.events.publish(
        "/tasks/exit",
        &TaskExit {
            container_id: container.id.clone(),
            id: id.clone(),
            pid: exit.pid,
            exit_status: exit.status.code(),
            exited_at: Some(exit.at_proto()),
        },
    );
    tracing::info!(id = container.id, exec_id = process.id, pid = exit.pid, status = exit.status.code(), "exited");
}

/// Without a pid namespace of its own a container's other processes outlive its init.
async fn kill_the_rest(shim: &Shim, container: &Container) {
    let kill = Kill { id: container.id.clone(), signal: Some("KILL".to_owned()), all: true };
    let command = container.runtime.kill(kill);
    if let Err(error) = invoke::run_quietly(&shim.reaper, "killall", command, b"", &container.runtime_log()).await {
        // The usual case: there is no other process.
        tracing::debug!(id = container.id, %error, "the rest of a container was not killed");
    }
}

/// Gives the hub a second descriptor of the terminal; the first one is for its size.
///
/// # Errors
/// [`TaskError::Io`].
pub fn connect_terminal(streams: &Streams, terminal: Option<&OwnedFd>) -> Result<(), TaskError> {
    if let Some(terminal) = terminal {
        let copy =
            terminal.as_fd().try_clone_to_owned().map_err(TaskError::io("copy the descriptor of", "a terminal"))?;
        streams.set_terminal(copy);
    }
    Ok(())
}

/// The exit of a process that never ran.
pub fn never_ran() -> Exit {
    Exit { pid: 0, status: ExitStatus::from_code(0), at: Timestamp::default() }
}
