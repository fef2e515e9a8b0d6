//! Starting the init process, or an exec.

use std::{path::PathBuf, sync::Arc};

use corten_proto::containerd::events::{TaskExecStarted, TaskStart};
use corten_runtime_api::{arguments::Exec, pid_file};
use corten_sys::atomic_file::{self, Durability};
use corten_types::TaskStatus;

use crate::{
    console::Console, container::Container, error::TaskError, hub::ChildEnds, invoke, process::Process, reaper::Child,
    shim::Shim, task::exits,
};

/// Starts the process `exec_id` of the container `id`, init for the empty one, and answers its pid.
///
/// # Errors
/// [`TaskError`]. A container whose start failed is still there, to be deleted; so is an exec.
pub async fn start(shim: &Arc<Shim>, id: &str, exec_id: &str) -> Result<u32, TaskError> {
    let container = shim.container(id)?;
    if exec_id.is_empty() { start_init(shim, &container).await } else { start_exec(shim, container, exec_id).await }
}

async fn start_init(shim: &Shim, container: &Container) -> Result<u32, TaskError> {
    let init = &container.init;
    let _starting = init.starting.lock().await;
    refuse_unless_created(init)?;
    let command = container.runtime.start(&container.id);
    invoke::run_quietly(&shim.reaper, "start", command, b"", &container.runtime_log()).await?;
    init.set_started();
    shim.events.publish("/tasks/start", &TaskStart { container_id: container.id.clone(), pid: init.pid() });
    Ok(init.pid())
}

async fn start_exec(shim: &Arc<Shim>, container: Arc<Container>, exec_id: &str) -> Result<u32, TaskError> {
    let process = container.process(exec_id)?;
    let _starting = process.starting.lock().await;
    refuse_unless_created(&process)?;
    // From here on init's exit waits for this exec's; checked and counted in one step.
    if container.init_is_gone() {
        return Err(TaskError::InitGone(container.id.clone()));
    }
    container.live_execs.send_modify(|count| *count += 1);
    match spawn_exec(shim, &container, &process).await {
        Ok(child) => {
            let pid = child.pid;
            process.set_started();
            let event = TaskExecStarted { container_id: container.id.clone(), exec_id: exec_id.to_owned(), pid };
            shim.events.publish("/tasks/exec-started", &event);
            tokio::spawn(exits::on_exec_exit(Arc::clone(shim), Arc::clone(&container), Arc::clone(&process), child));
            Ok(pid)
        }
        Err(error) => {
            process.close_streams();
            container.live_execs.send_modify(|count| *count -= 1);
            Err(error)
        }
    }
}

fn refuse_unless_created(process: &Process) -> Result<(), TaskError> {
    match process.status() {
        TaskStatus::Created => Ok(()),
        status => Err(TaskError::State { verb: "start", state: status.as_str(), noun: "process" }),
    }
}

async fn spawn_exec(shim: &Shim, container: &Container, process: &Process) -> Result<Arc<Child>, TaskError> {
    let exec_id = &process.id;
    let bundle = &container.bundle;
    let console = process.stdio.terminal.then(|| Console::listen(bundle, exec_id)).transpose()?;
    let spec = ForOneCall(bundle.join(format!("{exec_id}.process.json")));
    atomic_file::replace(&spec.0, &process.spec, Durability::Process).map_err(TaskError::io("write", &spec.0))?;
    let log = ForOneCall(bundle.join(format!("{exec_id}.log.json")));
    let pid_path = bundle.join(format!("{exec_id}.pid"));
    let mut command = container.runtime_logging_to(&log.0).exec(Exec {
        id: container.id.clone(),
        console_socket: console.as_ref().map(Console::path),
        process: Some(spec.0.clone()),
        detach: true,
        pid_file: Some(pid_path.clone()),
        ..Exec::default()
    });
    let ends = process.take_child_ends().ok_or(TaskError::State { verb: "start", state: "failed", noun: "process" })?;
    let ChildEnds { stdin, stdout, stderr } = ends;
    command.current_dir(bundle).stdin(stdin).stdout(stdout).stderr(stderr);

    let creation = shim.reaper.creation();
    invoke::run(&shim.reaper, "exec", command, &log.0).await?;
    let pid = pid_file::read(&pid_path).map_err(TaskError::io("read", &pid_path))?;
    let child = shim.reaper.adopt(pid.unsigned_abs()).map_err(TaskError::io("watch the process of", &pid_path))?;
    drop(creation);

    let child = Arc::new(child);
    process.set_child(Arc::clone(&child));
    let terminal = console.map(|console| console.receive()).transpose()?;
    if let Some(streams) = process.streams() {
        exits::connect_terminal(&streams, terminal.as_ref())?;
        streams.started();
    }
    process.set_terminal(terminal);
    Ok(child)
}

/// A file for one call of the runtime, removed when dropped: the process to run, which may hold secrets,
/// and the log.
struct ForOneCall(PathBuf);

impl Drop for ForOneCall {
    fn drop(&mut self) {
        // The runtime has ended; the bundle goes with the container.
        let _ = std::fs::remove_file(&self.0);
    }
}
