//! How the daemon comes up and goes down. Wiring is ordinary calls, in the order they happen.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_types::error::chain;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::Config;
use crate::containerd::link;
use crate::containerd::supervisor::Supervisor;
use crate::containers;
use crate::engine::{Engine, Programs};
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::execs;
use crate::http;
use crate::networks;
use crate::spec::apparmor;
use crate::store;

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from coming up: a data root it cannot read, a socket somebody else serves, a
/// program that is not there.
pub async fn serve(config: Config) -> Result<()> {
    if let Err(error) = corten_sys::rlimit::raise_open_files() {
        warn!(%error, "the limit of open files stays as it is");
    }
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut reload = catch(SignalKind::hangup())?;
    let programs = Programs { shim: find_program("corten-shim")?, runtime: find_program("corten-runtime")? };
    for directory in [&config.data_root, &config.exec_root] {
        fs::create_dir_all(directory)
            .map_err(|error| EngineError::internal(format!("make {}", directory.display())).caused_by(error))?;
    }
    let _data_root = store::lock(&config.data_root)?;
    let _pidfile = Pidfile::claim(&config.pidfile)?;
    let engine = Arc::new(Engine::open(config, programs)?);
    execs::restore::restore(&engine);
    if apparmor::is_supported()
        && let Err(error) = apparmor::load_default_if_missing()
    {
        // A container that needs it tries again, and says so.
        tracing::error!(error = error.message(), "no default AppArmor profile");
    }

    // The sockets are there first. Who asks about containers is answered when each was looked at.
    let listeners = engine.config.hosts.iter().map(|socket| listen(socket)).collect::<Result<Vec<_>>>()?;
    let (stop, stopped) = watch::channel(false);
    let supervisor = match engine.config.containerd {
        Some(_) => None,
        None => Some(tokio::spawn(supervisor(&engine)?.keep_alive(stopped))),
    };
    networks::restore::settle(&engine).await;
    let link = tokio::spawn(link::keep(Arc::clone(&engine)));
    let data_root = engine.config.data_root.clone();
    tokio::task::spawn_blocking(move || store::sweep(&data_root));
    let serve = |listener| tokio::spawn(http::server::serve(listener, Arc::clone(&engine)));
    let servers: Vec<_> = listeners.into_iter().map(serve).collect();
    info!(id = engine.id, "engine serves");

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => reread(&engine),
        }
    }
    info!("engine ends");
    if !engine.config.live_restore {
        containers::stop::stop_all(&engine).await;
    }
    servers.iter().chain([&link]).for_each(tokio::task::JoinHandle::abort);
    for socket in &engine.config.hosts {
        // Somebody else's by now, or gone: nothing to tell.
        let _ = fs::remove_file(socket);
    }
    stop.send_replace(true);
    if let Some(supervisor) = supervisor
        && let Err(error) = supervisor.await
    {
        warn!(%error, "the supervisor's keeper ended early");
    }
    Ok(())
}

/// Reads arguments and configuration file once more, and takes over what may change while the daemon runs: how registries
/// are reached. With a file that cannot be used, everything stays as it is.
fn reread(engine: &Engine) {
    match Config::read(std::env::args_os()) {
        Ok(config) => {
            engine.registries.store(Arc::new(config.registries));
            info!("configuration was read again: how registries are reached");
            engine.events.publish(Kind::Daemon, "reload", &engine.id, std::collections::BTreeMap::new());
        }
        Err(error) => tracing::error!(error = chain(&error), "configuration stays as it was"),
    }
}

fn catch(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| EngineError::internal("catch signals").caused_by(error))
}

fn supervisor(engine: &Engine) -> Result<Supervisor> {
    let config = &engine.config;
    let state = config.exec_root.join("supervisor");
    Ok(Supervisor {
        program: find_program("corten-supervisor")?,
        root: config.data_root.join("supervisor"),
        address: config.containerd_address(),
        state,
        log_level: config.effective_log_level().to_owned(),
        arrival: engine.containerd.arrival(),
    })
}

/// One of our programs: beside this one, then in PATH.
///
/// # Errors
/// 404 when it is in neither place.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(name));
    let found = beside.into_iter().chain(in_path).find(|candidate| candidate.is_file());
    found.ok_or_else(|| EngineError::not_found(format!("{name} is neither beside cortend nor in PATH")))
}

/// Binds the API's socket, for root and the group `docker` when there is one.
fn listen(path: &Path) -> Result<UnixListener> {
    let while_listening =
        |error: io::Error| EngineError::internal(format!("listen on {}", path.display())).caused_by(error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(while_listening)?;
    }
    let listener = corten_sys::sockets::listen_replacing_dead(path).map_err(while_listening)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(while_listening)?;
    if let Some(group) = docker_group() {
        std::os::unix::fs::chown(path, None, Some(group)).map_err(while_listening)?;
    }
    listener.set_nonblocking(true).map_err(while_listening)?;
    UnixListener::from_std(listener).map_err(while_listening)
}

fn docker_group() -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let line = groups.lines().find(|line| line.starts_with("docker:"))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The file with the own pid; removed at the end.
struct Pidfile(PathBuf);

impl Pidfile {
    fn claim(path: &Path) -> Result<Self> {
        let own = std::process::id();
        let living = fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
            .filter(|pid| *pid != own && corten_sys::pidfd::lives(*pid) && is_engine(*pid));
        if let Some(pid) = living {
            return Err(EngineError::conflict(format!(
                "process with PID {pid} is still running (its pid file is {})",
                path.display()
            )));
        }
        if let Some(parent) = path.parent() {
            // What is wrong with it shows at the write.
            let _ = fs::create_dir_all(parent);
        }
        fs::write(path, own.to_string())
            .map_err(|error| EngineError::internal(format!("write {}", path.display())).caused_by(error))?;
        Ok(Self(path.to_owned()))
    }
}

/// A pid can be somebody else's after a reboot.
fn is_engine(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "cortend")
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Gone already: somebody tidied up.
        let _ = fs::remove_file(&self.0);
    }
}
