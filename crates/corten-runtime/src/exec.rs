//! `exec`: starts another process in a running container.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use corten_cgroups::CgroupError;
use corten_runtime_api::arguments::Exec;
use corten_runtime_api::{console, pid_file, texts};
use corten_sys::clone::Namespaces;
use corten_sys::status::OwnStatus;
use corten_sys::{descriptors, pidfd::PidFd};

use crate::container::{Container, Status};
use crate::foreground::{self, Relay};
use crate::home;
use crate::hooks;
use crate::init::{Asker, ExecKit, Init, InitError, about_process, send_listener, spawn_exec};
use crate::kept_filter;
use crate::log::Log;
use crate::plan::{self, Extra, KINDS, ProcessPlan, SeccompPlan, StandardStreams};
use crate::spec::{Process, Spec, SpecError, read_limited};
use crate::state_dir::{Record, StateError};

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its status does not allow it, or flags contradict each other.
    #[error("{0}")]
    Refused(&'static str),
    /// The process as given.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// `--user` is not a number, or two.
    #[error("parsing {0} as uid[:gid] failed")]
    User(String),
    /// The process itself.
    #[error(transparent)]
    Init(#[from] InitError),
    /// A file or socket that was named on the command line.
    #[error("{what} {}", path.display())]
    Path {
        /// What was done with it.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// An inherited descriptor is missing.
    #[error("--preserve-fds: descriptor {0} is not open")]
    Preserve(i32),
    /// It could not be waited for.
    #[error("wait for the process")]
    Wait(#[source] io::Error),
}

/// Starts the process; its exit status, 0 when detached.
///
/// # Errors
/// [`ExecError`]; no process is left.
pub fn exec(root: &Path, arguments: &Exec, log: &Log) -> Result<u8, ExecError> {
    let container = Container::load(root, &arguments.id)?;
    let init = running_init(&container, arguments)?;
    let record = &container.record;
    let mut plan = plan(arguments, &container, log)?;
    plan.limited_by_parent = record.has_own_users;
    plan.personality = record.personality;
    plan.umask = plan.umask.or(record.umask);
    plan.check_security()?;
    let mut own = OwnStatus::read();
    if record.has_own_users {
        own = own.in_user_namespace();
    } else {
        plan.check_capabilities(&own)?;
    }
    if !arguments.detach {
        plan.streams = StandardStreams::PipesOnly;
    }
    let (console, own_end) = console_for(arguments, &plan)?;
    let cgroup = record.cgroup().below(&arguments.cgroups)?;
    let init_fd: OwnedFd = init.as_fd().try_clone_to_owned().map_err(ExecError::Wait)?;
    let kit = ExecKit {
        init: &init_fd,
        init_pid: record.init_process_pid,
        namespaces: namespaces(record),
        root: root_of(record).map_err(ExecError::Wait)?,
        cgroup: &cgroup,
        follows_init: arguments.cgroups.is_empty(),
        console,
        keyring: CString::new(format!("_ses.{}", record.id)).ok(),
        own,
        is_in_users: false,
    };
    let listener = |pid, descriptor: &OwnedFd| send_listener_of(&plan, record, pid, descriptor);
    let process = spawn_exec(&plan, kit, &listener)?;
    process.limit(&plan)?;
    announce(arguments, &process)?;
    let relay = Relay::prepare(own_end, plan.terminal).map_err(ExecError::Wait)?;
    let pid = process.pid().unsigned_abs();
    let explain = |fault: &_| about_process(&plan, fault);
    let released = process.release(explain)?;
    released.executed(explain)?;
    if arguments.detach {
        return Ok(0);
    }
    foreground::wait(&released.pidfd, pid, relay, None, log).map_err(ExecError::Wait)
}

fn running_init(container: &Container, arguments: &Exec) -> Result<PidFd, ExecError> {
    match container.status()? {
        Status::Stopped | Status::Creating => Err(ExecError::Refused(texts::EXEC_STOPPED)),
        Status::Paused if !arguments.ignore_paused => Err(ExecError::Refused(texts::EXEC_PAUSED)),
        _ => container.init().ok_or(ExecError::Refused(texts::EXEC_STOPPED)),
    }
}

fn plan(arguments: &Exec, container: &Container, log: &Log) -> Result<ProcessPlan, ExecError> {
    let missing = (3..3 + i32::try_from(arguments.preserve_fds).unwrap_or(i32::MAX - 3))
        .find(|number| !descriptors::is_open(*number));
    if let Some(number) = missing {
        return Err(ExecError::Preserve(number));
    }
    let record = &container.record;
    let mut process = match &arguments.process {
        Some(path) => from_file(path)?,
        None => from_flags(arguments, Spec::load(&record.bundle)?)?,
    };
    if let Ok(root) = std::fs::File::open(format!("/proc/{}/root", record.init_process_pid)) {
        home::complete(&mut process, root.as_fd());
    }
    let extra = Extra { capabilities: &arguments.caps };
    let mut plan = plan::exec_process(&process, &extra, filter(container, log)?)?;
    plan.warnings.iter().for_each(|warning| log.warn(warning));
    plan.preserve_fds = arguments.preserve_fds;
    Ok(plan)
}

/// The container's own, and not what its bundle may say by now.
fn filter(container: &Container, log: &Log) -> Result<Option<SeccompPlan>, ExecError> {
    let filter = match container.record.is_filtered {
        Some(true) => Some(kept_filter::load(&container.directory, &container.record)?),
        Some(false) => None,
        None => plan::seccomp::plan(Spec::load(&container.record.bundle)?.linux.seccomp.as_deref())?,
    };
    if let Some(filter) = &filter {
        log.debug(&format!("seccomp filter flags: {}", filter.flags));
    }
    Ok(filter)
}

fn from_file(path: &Path) -> Result<Process, SpecError> {
    let file = path.display().to_string();
    let json = read_limited(path, &file)?;
    Process::parse(&json, &file)
}

/// The container's own process with what the flags say.
fn from_flags(arguments: &Exec, spec: Spec) -> Result<Process, ExecError> {
    let mut process = spec.process.ok_or(SpecError::Text(texts::NO_PROCESS))?;
    process.args = arguments.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if process.args.is_empty() {
        return Err(ExecError::Refused("process args cannot be empty"));
    }
    process.terminal = arguments.tty;
    process.env.extend(arguments.env.iter().cloned());
    process.no_new_privileges |= arguments.no_new_privs;
    if let Some(profile) = arguments.apparmor.as_ref().filter(|profile| !profile.is_empty()) {
        process.apparmor_profile.clone_from(profile);
    }
    if let Some(label) = arguments.process_label.as_ref().filter(|label| !label.is_empty()) {
        process.selinux_label.clone_from(label);
    }
    process.user.additional_gids.extend(&arguments.additional_gids);
    if let Some(cwd) = &arguments.cwd {
        process.cwd.clone_from(cwd);
    }
    if let Some(user) = &arguments.user {
        let bad = |_| ExecError::User(user.clone());
        let (uid, gid) = user.split_once(':').map_or((user.as_str(), None), |(uid, gid)| (uid, Some(gid)));
        process.user.uid = uid.parse().map_err(bad)?;
        if let Some(gid) = gid {
            process.user.gid = gid.parse().map_err(bad)?;
        }
    }
    Ok(*process)
}

fn send_listener_of(plan: &ProcessPlan, record: &Record, pid: i32, descriptor: &OwnedFd) -> Result<(), InitError> {
    let container = hooks::State { status: "running", pid: record.init_process_pid, record };
    let listener = plan.filter.get().and_then(|filter| filter.listener.as_ref());
    listener.map_or(Ok(()), |listener| send_listener(listener, Asker { pid, container }, descriptor))
}

fn console_for(arguments: &Exec, plan: &ProcessPlan) -> Result<(Option<OwnedFd>, Option<OwnedFd>), ExecError> {
    match (&arguments.console_socket, plan.terminal, arguments.detach) {
        (None, true, true) => Err(ExecError::Refused(texts::TTY_WITHOUT_SOCKET)),
        (Some(_), false, _) | (Some(_), true, false) => Err(ExecError::Refused(texts::SOCKET_WITHOUT_TTY)),
        (Some(path), true, true) => {
            let fail = |source| ExecError::Path { what: "connect to console socket", path: path.clone(), source };
            Ok((Some(console::connect(path).map_err(fail)?.into()), None))
        }
        (None, true, false) => {
            let (ours, theirs) = descriptors::packet_pair().map_err(ExecError::Wait)?;
            Ok((Some(theirs), Some(ours)))
        }
        (None, false, _) => Ok((None, None)),
    }
}

/// Of a container in the host's mount namespace: entering its namespaces does not lead there.
fn root_of(record: &Record) -> io::Result<Option<OwnedFd>> {
    if record.namespace_paths.contains_key("NEWNS") {
        return Ok(None);
    }
    std::fs::File::open(format!("/proc/{}/root", record.init_process_pid)).map(|root| Some(root.into()))
}

/// The kinds the record names: those the container does not share with the host.
fn namespaces(record: &Record) -> Namespaces {
    let kinds = KINDS.iter().filter(|(_, key, _)| record.namespace_paths.contains_key(*key));
    kinds.fold(Namespaces::NONE, |all, (_, _, kind)| all.with(*kind))
}

fn announce(arguments: &Exec, process: &Init) -> Result<(), ExecError> {
    if let Some(path) = &arguments.pid_file {
        let fail = |source| ExecError::Path { what: "write pid file", path: path.clone(), source };
        pid_file::write(path, process.pid()).map_err(fail)?;
    }
    if let Some(path) = &arguments.pidfd_socket {
        let send = console::connect(path).and_then(|socket| console::send(&socket, "pidfd", process.pidfd()?.as_fd()));
        send.map_err(|source| ExecError::Path { what: "send pidfd to", path: path.clone(), source })?;
    }
    Ok(())
}
