//! Creating a container: its root filesystem, its streams, and an init process that waits for start.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use corten_proto::containerd::{
    events::{TaskCreate, TaskIo},
    runc::v1::Options,
    task::v2::CreateTaskRequest,
};
use corten_runtime_api::{
    Runtime,
    arguments::{Create, Delete},
    pid_file,
};

use crate::{
    console::Console,
    container::{Config, Container},
    error::TaskError,
    exit_file,
    hub::{self, ChildEnds, Hold, Owner, StdioNames},
    invoke, oom, options,
    process::Process,
    reaper::Child,
    rootfs,
    shim::Shim,
    task::exits,
};

/// Creates the container of `request` and answers the pid of its init process.
///
/// # Errors
/// [`TaskError`]; nothing is left mounted, running or open, but files in the bundle.
pub async fn create(shim: &Arc<Shim>, request: CreateTaskRequest) -> Result<u32, TaskError> {
    check(&request)?;
    let claim = shim.claim(&request.id)?;
    let bundle = PathBuf::from(&request.bundle);
    let options = options::from_request(request.options.as_ref())?;
    let runtime = options::runtime(&options, &shim.namespace, &bundle);
    let config = Config::load(&bundle).map_err(TaskError::io("read", bundle.join("config.json")))?;
    options::save(&bundle, &options, &runtime).map_err(TaskError::io("write the options in", &bundle))?;
    // One left by an earlier try would be told for this container's exit.
    let _ = std::fs::remove_file(exit_file::path(&bundle, "init"));
    let names = StdioNames {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        terminal: request.terminal,
    };
    let init = Process::new("", names, Vec::new());

    rootfs::mount(&request.rootfs, &rootfs::path(&bundle)).await?;
    let created = spawn_init(shim, &request.id, &bundle, &runtime, &options, &init).await;
    let child = match created {
        Ok(child) => child,
        Err(error) => {
            undo(shim, &request, &runtime, &bundle).await;
            return Err(error);
        }
    };

    let pid = child.pid;
    let container = Arc::new(Container::new(&request.id, bundle, runtime, options, config, init));
    let cgroup = shim.cgroup_of(pid).map(Arc::new);
    *container.cgroup.lock().unwrap_or_else(PoisonError::into_inner) = cgroup;
    claim.fulfil(Arc::clone(&container));
    shim.events.publish("/tasks/create", &event(request, pid));
    let watching = oom::watch(&container, &shim.events);
    tokio::spawn(exits::on_init_exit(Arc::clone(shim), container, child, watching));
    Ok(pid)
}

fn check(request: &CreateTaskRequest) -> Result<(), TaskError> {
    if request.id.is_empty() || request.id.contains('/') {
        return Err(TaskError::Invalid(format!("container id {:?} is not valid", request.id)));
    }
    if !Path::new(&request.bundle).is_absolute() {
        return Err(TaskError::Invalid(format!("bundle {:?} is not an absolute path", request.bundle)));
    }
    if !request.checkpoint.is_empty() || !request.parent_checkpoint.is_empty() {
        return Err(TaskError::Unsupported("creating from a checkpoint: not supported yet".to_owned()));
    }
    Ok(())
}

async fn spawn_init(
    shim: &Arc<Shim>,
    id: &str,
    bundle: &Path,
    runtime: &Runtime,
    options: &Options,
    init: &Process,
) -> Result<Arc<Child>, TaskError> {
    let owner = Owner { uid: options.io_uid, gid: options.io_gid };
    let opened = hub::open(&shim.hub, &init.stdio, owner, Hold::Not).await?;
    let console = init.stdio.terminal.then(|| Console::listen(bundle, "init")).transpose()?;
    let pid_path = bundle.join("init.pid");
    let mut command = runtime.create(Create {
        id: id.to_owned(),
        bundle: Some(bundle.to_owned()),
        console_socket: console.as_ref().map(Console::path),
        pid_file: Some(pid_path.clone()),
        no_pivot: options.no_pivot_root,
        no_new_keyring: options.no_new_keyring,
        ..Create::default()
    });
    let ChildEnds { stdin, stdout, stderr } = opened.child;
    command.current_dir(bundle).stdin(stdin).stdout(stdout).stderr(stderr);

    let creation = shim.reaper.creation();
    invoke::run(&shim.reaper, "create", command, &bundle.join("log.json")).await?;
    let pid = pid_file::read(&pid_path).map_err(TaskError::io("read", &pid_path))?;
    let child = shim.reaper.adopt(pid.unsigned_abs()).map_err(TaskError::io("watch the process of", &pid_path))?;
    drop(creation);

    let terminal = console.map(|console| console.receive()).transpose()?;
    exits::connect_terminal(&opened.streams, terminal.as_ref())?;
    init.set_streams(opened.streams, terminal);
    let child = Arc::new(child);
    init.set_child(Arc::clone(&child));
    Ok(child)
}

/// Takes back what a failed create has done. Its own error is the one that is told.
async fn undo(shim: &Shim, request: &CreateTaskRequest, runtime: &Runtime, bundle: &Path) {
    let command = runtime.delete(Delete { id: request.id.clone(), force: true });
    let log = bundle.join("log.json");
    if let Err(error) = invoke::run_quietly(&shim.reaper, "delete", command, b"", &log).await {
        tracing::warn!(id = request.id, %error, "a container that was not created may be left behind");
    }
    if !request.rootfs.is_empty()
        && let Err(error) = rootfs::unmount(&rootfs::path(bundle)).await
    {
        tracing::warn!(id = request.id, %error, "a root filesystem is left mounted");
    }
}

fn event(request: CreateTaskRequest, pid: u32) -> TaskCreate {
    TaskCreate {
        container_id: request.id,
        bundle: request.bundle,
        rootfs: request.rootfs,
        io: Some(TaskIo {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            terminal: request.terminal,
        }),
        checkpoint: request.checkpoint,
        pid,
    }
}
