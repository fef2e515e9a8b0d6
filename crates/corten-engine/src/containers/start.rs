//! `docker start`: a task for the container, its clients attached, its program running.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use corten_proto::containerd::types::Mount;
use corten_stdio::stdio_file;
use corten_types::ErrorKind;
use tokio::sync::RwLockWriteGuard;

use super::{Container, Turn, View, check, delete, freeze, logging};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::networks::{self, sandbox};
use crate::spec::{self, Host, HostDevice, Input, Joined, Machine, UserMount, apparmor, capabilities, user};
use crate::{attach, execs, files, images, snapshots, tasks};

/// Most bytes read of `/etc/passwd` and `/etc/group`.
const ACCOUNT_FILE_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// How long a start waits for a copy of files that began before.
const COPY_DEADLINE: Duration = Duration::from_secs(120);

/// Starts a container that does not run.
///
/// # Errors
/// 304 when it runs, 409 when its state does not allow it; else what kept it from running, which
/// `inspect` shows too.
pub async fn start(engine: &Arc<Engine>, wanted: &str) -> Result<()> {
    let container = engine.containers.find(wanted)?;
    engine.containerd.linked().await?;
    let turn = container.turn().await;
    let state = turn.view().state.clone();
    if state.removing || state.dead {
        return Err(EngineError::conflict("container is marked for removal and cannot be started"));
    }
    if state.paused {
        return Err(EngineError::conflict("cannot start a paused container, try unpause instead"));
    }
    if state.is_alive() {
        return Err(EngineError::not_modified("container is already running"));
    }
    turn.reset_back_off();
    turn.change(|state| {
        state.restart_count = 0;
        state.stopped_by_user = false;
    });
    let launched = launch(engine, &turn).await;
    let auto_remove = turn.view().record.host_config.auto_remove;
    drop(turn);
    if launched.is_err() && auto_remove {
        delete::soon(engine, &container);
    }
    launched
}

/// Starts the task and shows the container as running; on failure nothing of it is left, and the
/// state says why.
///
/// # Errors
/// What kept it from running.
pub(super) async fn launch(engine: &Arc<Engine>, turn: &Turn<'_>) -> Result<()> {
    let view = turn.view();
    let deaths = engine.networks.relay.deaths();
    match create_and_start(engine, turn, &view).await {
        Ok(pid) => {
            turn.change(|state| {
                state.running = true;
                state.restarting = false;
                state.paused = false;
                state.oom_killed = false;
                state.pid = pid;
                state.exit_code = 0;
                state.error.clear();
                state.started_at = Some(Moment::now());
            });
            if engine.networks.relay.deaths() != deaths {
                // Who made everything anew did not count this one among those that run.
                sandbox::hand_over_again(engine).await;
            }
            publish_network(engine, &view, "connect");
            engine.events.publish(Kind::Container, "start", &turn.id, view.record.event_attributes());
            Ok(())
        }
        Err(error) => {
            if let Err(left) = tasks::delete::force(engine, &turn.id).await {
                tracing::warn!(id = turn.id, error = left.message(), "remove what a failed start left");
            }
            sandbox::release(engine, turn).await;
            attach::abandon(turn);
            let (exit_code, error) = tasks::launch_error::classify(error);
            let text = error.message();
            turn.change(|state| {
                state.running = false;
                state.restarting = false;
                state.pid = 0;
                state.exit_code = i64::from(exit_code);
                state.error = text;
            });
            turn.announce_exit();
            Err(error)
        }
    }
}

/// The mounts of the container's root filesystem. A power cut can take back the snapshot of a container that was
/// created just before, because only the container's record is synced then: nothing was written to it yet, so it is
/// made again. What a container that has run may have written is never replaced by an empty snapshot.
async fn root_filesystem(engine: &Arc<Engine>, turn: &Turn<'_>, view: &View) -> Result<Vec<Mount>> {
    let record = &view.record;
    match snapshots::mounts(engine, &record.snapshotter, &turn.id).await {
        Err(error) if error.kind() == ErrorKind::NotFound && view.state.started_at.is_none() => {
            tracing::warn!(id = turn.id, "the root filesystem is gone and was never written: making it again");
            let image = images::resolve::resolve(engine, &record.image_id).await?;
            snapshots::prepare(engine, &record.snapshotter, &turn.id, &image.chain_id).await?;
            snapshots::mounts(engine, &record.snapshotter, &turn.id).await
        }
        mounts => mounts,
    }
}

async fn create_and_start(engine: &Arc<Engine>, turn: &Turn<'_>, view: &View) -> Result<u32> {
    let record = &view.record;
    // What a start that was killed half way has left would be in the way.
    tasks::delete::force_if_there(engine, &turn.id).await?;
    if let Err(error) = execs::files::clear(turn).and_then(|()| execs::record::clear(turn)) {
        tracing::warn!(id = turn.id, %error, "remove what execs of the run before have left");
    }
    freeze::forget(turn);
    // Whoever copies files has the overlay mounted, of this run or the one before: there must never be a second one.
    let _tree = unused_tree(turn).await?;
    let rootfs = root_filesystem(engine, turn, view).await?;
    let joined = joined(engine, view)?;
    let networks = sandbox::prepare(engine, turn).await?;
    let view = &turn.view();
    let input = Input {
        record,
        user: resolve_user(view, &rootfs)?,
        mounts: mounts(engine, turn, view)?,
        devices: devices(view)?,
        joined: Joined { network_path: networks.path.clone(), ..joined },
        host: host(engine)?,
    };
    let spec = spec::build(&input)?;
    if input.host.lacks_seccomp {
        tracing::warn!(id = turn.id, "seccomp is not enabled in the kernel, the container runs without a profile");
    }
    confine(&spec).await?;
    let stdio = logging::stdio(record, turn.directory(), &engine.config.log_opts)?;
    let stdio_path = logging::stdio_path(turn.directory());
    stdio
        .save(&stdio_path)
        .map_err(|error| EngineError::internal("tell the shim where output goes").caused_by(error))?;
    let task = tasks::create::NewTask { record, spec: &spec, rootfs, stdio: stdio_file::uri(&stdio_path) };
    let pid = tasks::create::create(engine, task).await?;
    sandbox::hand_over(engine, turn, networks, pid).await?;
    attach::hand_over(engine, turn).await?;
    tasks::start::start(engine, &turn.id).await?;
    Ok(pid)
}

/// Waits until nobody copies files into or out of the container.
async fn unused_tree<'a>(turn: &'a Turn<'_>) -> Result<RwLockWriteGuard<'a, ()>> {
    let waited = tokio::time::timeout(COPY_DEADLINE, turn.tree.write()).await;
    waited.map_err(|_| {
        let seconds = COPY_DEADLINE.as_secs();
        let text = format!("files of the container have been copied for {seconds} s; end that, and try again");
        EngineError::new(ErrorKind::Unavailable, text)
    })
}

/// Sees to it that the profile the container is to have is loaded, when it is the engine's own.
async fn confine(spec: &oci_spec::runtime::Spec) -> Result<()> {
    let profile = spec.process().as_ref().and_then(|process| process.apparmor_profile().as_deref());
    if profile != Some(apparmor::DEFAULT) {
        return Ok(());
    }
    let loaded = tokio::task::spawn_blocking(apparmor::load_default_if_missing).await;
    loaded.map_err(|error| EngineError::internal("load the default AppArmor profile").caused_by(error))?
}

fn resolve_user(view: &View, rootfs: &[corten_proto::containerd::types::Mount]) -> Result<user::ResolvedUser> {
    let directories = snapshots::layers::directories(rootfs);
    let read = |path: &str| {
        let content = snapshots::layers::read_file(&directories, path, ACCOUNT_FILE_LIMIT_BYTES);
        let while_reading = |error| EngineError::internal(format!("read the container's {path}")).caused_by(error);
        content.map(Option::unwrap_or_default).map_err(while_reading)
    };
    let groups = view.record.host_config.group_add.clone().unwrap_or_default();
    user::resolve(&view.record.config.user, &groups, &read("/etc/passwd")?, &read("/etc/group")?)
}

/// The user's mounts and the engine's files; where both want a place, the user has it.
fn mounts(engine: &Engine, turn: &Turn<'_>, view: &View) -> Result<Vec<UserMount>> {
    with_files(view, |view| files::prepare(engine, turn, view, files::When::Starting))
}

/// What the next start would mount, as far as it is there: the engine's files are written by the first start.
///
/// # Errors
/// What a start would refuse.
pub fn mounts_before(container: &Container) -> Result<Vec<UserMount>> {
    with_files(&container.view(), |view| Ok(files::written(container, view)))
}

fn with_files(view: &View, files: impl FnOnce(&View) -> Result<Vec<files::FileMount>>) -> Result<Vec<UserMount>> {
    let mut all = check::mounts(&view.record.host_config)?;
    for mount in all.iter().filter(|mount| mount.kind == "bind") {
        make_source(mount)?;
    }
    for file in files(view)? {
        if all.iter().any(|mount| mount.target == file.target) {
            continue;
        }
        all.push(UserMount {
            kind: "bind".to_owned(),
            source: file.source.display().to_string(),
            target: file.target,
            mode: String::new(),
            read_only: false,
            propagation: "rprivate".to_owned(),
            recursive: true,
            create_source: false,
            tmpfs_options: Vec::new(),
        });
    }
    spec::sort_mounts(&mut all);
    Ok(all)
}

/// `-v` makes a missing directory, as docker does; `--mount` refuses.
fn make_source(mount: &UserMount) -> Result<()> {
    let source = Path::new(&mount.source);
    if source.exists() {
        return Ok(());
    }
    if !mount.create_source {
        return Err(EngineError::invalid(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {}",
            mount.source
        )));
    }
    std::fs::create_dir_all(source).map_err(|error| {
        EngineError::internal(format!("error while creating mount source path '{}'", mount.source)).caused_by(error)
    })
}

/// The devices asked for, as they are on the host; a directory stands for all devices in it.
fn devices(view: &View) -> Result<Vec<HostDevice>> {
    let is_privileged = view.record.host_config.privileged;
    let mut found = if is_privileged { HostDevice::all() } else { Vec::new() };
    for device in view.record.host_config.devices.iter().flatten() {
        let target = if device.path_in_container.is_empty() { &device.path_on_host } else { &device.path_in_container };
        if is_privileged && *target == device.path_on_host {
            continue;
        }
        let permissions = if device.cgroup_permissions.is_empty() { "rwm" } else { &device.cgroup_permissions };
        HostDevice::find(Path::new(&device.path_on_host), target, permissions, &mut found)?;
    }
    Ok(found)
}

/// The namespaces of other containers, which must run.
fn joined(engine: &Engine, view: &View) -> Result<Joined> {
    let pid_of = |mode: &str, what: &str| -> Result<Option<u32>> {
        let Some(name) = mode.strip_prefix("container:") else { return Ok(None) };
        let while_joining = |error: EngineError| match what {
            "network" => error.while_doing("joining network namespace of container"),
            _ => error,
        };
        let other = engine.containers.find(name).map_err(while_joining)?;
        let state = other.view().state.clone();
        match state.is_alive() {
            true => Ok(Some(state.pid)),
            false => Err(EngineError::conflict(format!(
                "cannot join {what} namespace of a non running container: container {name} is {}",
                state.status()
            ))),
        }
    };
    let host = &view.record.host_config;
    Ok(Joined {
        network_pid: pid_of(&host.network_mode, "network")?,
        network_path: None,
        pid_pid: pid_of(&host.pid_mode, "pid")?,
    })
}

fn host(engine: &Engine) -> Result<Host> {
    let has = |sysctl: &str| Path::new("/proc/sys").join(sysctl).exists();
    Ok(Host {
        is_cgroup_v2: crate::system::info::is_cgroup_v2(),
        hostname: crate::system::info::host_name(),
        cgroup_parent: engine.config.cgroup_parent.clone(),
        has_unprivileged_ports: has("net/ipv4/ip_unprivileged_port_start"),
        has_mqueue: Path::new("/dev/mqueue").exists(),
        has_ping_group_range: has("net/ipv4/ping_group_range"),
        capabilities: capabilities::available()?,
        machine: Machine::detect(),
        default_filter: engine.default_filter.clone(),
        lacks_seccomp: !crate::system::info::has_seccomp(),
        has_apparmor: apparmor::is_supported(),
    })
}

/// The network events that docker sends with a start and an end: one for each network.
pub(super) fn publish_network(engine: &Engine, view: &View, action: &str) {
    for name in view.record.networks().keys() {
        let Ok(network) = engine.networks.index.find(name) else { continue };
        networks::publish(engine, &network, action, Some(&view.record.id));
    }
}
