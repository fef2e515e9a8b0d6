//! Another process in a running container: one clone into its pid namespace and cgroup, then one setns by the first
//! process's pidfd into everything else.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use corten_cgroups::{Cgroup, CgroupError};
use corten_sys::clone::{self, Cloned, Namespaces};
use corten_sys::status::OwnStatus;
use corten_sys::syscall::HERE;
use corten_sys::{bump, credentials, descriptors, files, mount, prctl};

use super::confine;
use super::console::{self, ConsolePaths};
use super::filter;
use super::helper::{self, Attempt, Refusal};
use super::process;
use super::report::{At, Fault, Operation, Report, Stage, send};
use super::run::die_with_creator;
use super::sentence::{about_oom_score, about_process, errno_text};
use super::spawn::{Init, InitError};
use super::unified::Unified;
use crate::plan::ProcessPlan;

/// What the child uses beside the plan.
#[derive(Debug)]
pub struct ExecKit<'a> {
    /// The container's first process.
    pub init: &'a OwnedFd,
    /// Its process id.
    pub init_pid: i32,
    /// The namespaces it does not share with the host.
    pub namespaces: Namespaces,
    /// Its root, when it shares the host's mount namespace.
    pub root: Option<OwnedFd>,
    /// Its cgroups.
    pub cgroup: &'a Cgroup,
    /// Whether the first process's own cgroup will do when the container's cannot hold processes.
    pub follows_init: bool,
    /// Where the terminal's master end is sent.
    pub console: Option<OwnedFd>,
    /// The name of the session keyring to join.
    pub keyring: Option<CString>,
    /// What this process ignores and may give away.
    pub own: OwnStatus,
    /// Whether the child was cloned in the container's user namespace.
    pub is_in_users: bool,
}

struct Child<'a> {
    socket: OwnedFd,
    join_files: Vec<OwnedFd>,
    console_paths: ConsolePaths,
    kit: ExecKit<'a>,
}

/// Starts the process and returns when it is ready to be executed. `listener` sends the descriptor that answers its
/// system calls, when it has one.
///
/// # Errors
/// [`InitError`]; no process is left.
pub fn spawn_exec(
    plan: &ProcessPlan,
    kit: ExecKit<'_>,
    listener: &dyn Fn(i32, &OwnedFd) -> Result<(), InitError>,
) -> Result<Init, InitError> {
    let fail = |what| move |why| InitError::Spawn { what, why };
    let (socket, child_socket) = descriptors::packet_pair().map_err(fail("make a socket pair"))?;
    let mut unified = match kit.cgroup.unified_directory() {
        // The container went elsewhere, and somebody has removed what it left.
        Err(CgroupError::Open { source, .. })
            if source.kind() == io::ErrorKind::NotFound && kit.follows_init && kit.cgroup.is_v2() =>
        {
            own_cgroup(kit.init_pid, kit.cgroup).map_err(fail("find the cgroup of init"))?
        }
        found => found.map_err(InitError::Cgroup)?,
    };
    let is_alone = kit.cgroup.is_v2();

    let mut child = Child {
        socket: child_socket,
        join_files: kit.cgroup.join_files().map_err(InitError::Cgroup)?,
        console_paths: ConsolePaths::new().map_err(fail("name the terminal"))?,
        kit,
    };
    let cloned =
        match clone_child(plan, &mut child.kit, Unified { directory: unified.as_ref().map(AsFd::as_fd), is_alone }) {
            // The container made cgroups of its own below and moved its processes there (runc #2356).
            Err((Attempt::Clone, error)) if child.kit.follows_init && child.kit.cgroup.is_v2() && is_moved(&error) => {
                unified = own_cgroup(child.kit.init_pid, child.kit.cgroup).map_err(fail("find the cgroup of init"))?;
                clone_child(plan, &mut child.kit, Unified { directory: unified.as_ref().map(AsFd::as_fd), is_alone })
            }
            result => result,
        };
    let refused = |(attempt, why)| match attempt {
        Attempt::Clone if is_moved(&why) => {
            InitError::Spawn { what: "error adding pid of the process to cgroups", why }
        }
        Attempt::Clone => InitError::Spawn { what: "clone a process", why },
        Attempt::OomScore => InitError::Child(about_oom_score(plan, &errno_text(&why))),
        _ => InitError::Spawn { what: "enter the container's pid namespace", why },
    };
    match cloned.map_err(refused)? {
        Cloned::Child => {
            drop(socket);
            run(plan, child)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(child);
            let init = Init::new(pid, pidfd, socket);
            loop {
                match init.next(|fault| about_process(plan, fault))? {
                    Report::Ready => return Ok(init),
                    Report::Listener(number) => listener(pid, &init.descriptor(number)?)?,
                    other => return Err(InitError::Died(format!("the process asked for {other:?}"))),
                }
                init.answer()?;
            }
        }
    }
}

/// Clones the child into the container's pid namespace, for which the parent enters it: for its children only. In the
/// user namespace of a container whose owner has no privilege, that namespace must be entered first, by a helper.
fn clone_child(plan: &ProcessPlan, kit: &mut ExecKit<'_>, unified: Unified<'_>) -> Result<Cloned, Refusal> {
    const EPERM: i32 = 1;
    let cloned = |why| (Attempt::Clone, why);
    if kit.namespaces.contains(Namespaces::PID) {
        match clone::enter(kit.init.as_fd(), Namespaces::PID) {
            Err(error) if error.raw_os_error() == Some(EPERM) && kit.namespaces.contains(Namespaces::USER) => {
                return helper::by_helper(unified, || {
                    process::oom_score(plan).map_err(|error| (Attempt::OomScore, error))?;
                    let both = Namespaces::USER.with(Namespaces::PID);
                    clone::enter(kit.init.as_fd(), both).map_err(|error| (Attempt::Join(0), error))?;
                    kit.is_in_users = true;
                    helper::clone_hidden(Namespaces::NONE)
                });
            }
            result => result.map_err(|error| (Attempt::Join(0), error))?,
        }
    }
    unified.clone(Namespaces::NONE).map_err(cloned)
}

fn is_moved(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::NotFound)
}

fn own_cgroup(pid: i32, cgroup: &Cgroup) -> io::Result<Option<OwnedFd>> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let Some(directory) = cgroup.unified() else { return Ok(None) };
    // The mount is what stays of the recorded directory when the path of the record is taken off its end.
    let mount = directory.ancestors().find(|above| above.join(path.trim_start_matches('/')).is_dir());
    let found = mount.unwrap_or(Path::new("/sys/fs/cgroup")).join(path.trim_start_matches('/'));
    Ok(Some(fs::File::open(found)?.into()))
}

fn run(plan: &ProcessPlan, mut child: Child<'_>) -> ! {
    bump::forbid();
    let Err(fault) = set_up(plan, &mut child);
    let _ = send(child.socket.as_fd(), &Report::Failed(fault)); // without a parent nobody needs to know
    descriptors::exit_now(255)
}

enum Never {}

fn set_up(plan: &ProcessPlan, child: &mut Child<'_>) -> Result<Never, Fault> {
    die_with_creator(child.socket.as_fd()).at(Stage::Session)?;
    if !child.kit.is_in_users {
        process::oom_score(plan).at(Stage::OomScore)?;
    }
    // Before the container's processes can see this one (CVE-2016-9962).
    prctl::forbid_dump().at(Stage::Session)?;
    console::session()?;
    process::affine(plan.affinity.initial.as_ref())?;
    for (index, tasks) in child.join_files.iter().enumerate() {
        files::write(tasks.as_fd(), b"0").at_index(Stage::JoinCgroup, Operation::It, index)?;
    }
    process::affine_in_cgroup(plan)?;
    let attributes = confine::attributes(plan)?;
    confine::confine(plan, attributes.as_ref())?;
    enter(child, plan, attributes.as_ref())?;
    if child.kit.namespaces.contains(Namespaces::USER) {
        die_with_creator(child.socket.as_fd()).at(Stage::Session)?;
    }
    let terminal = match (&child.kit.console, plan.terminal) {
        (Some(receiver), true) => {
            let root = files::open(HERE, c"/", files::O_PATH | files::O_DIRECTORY, 0).at(Stage::Console)?;
            Some(console::open(root.as_fd(), &child.console_paths, receiver.as_fd(), plan)?)
        }
        _ => None,
    };
    if let Some(terminal) = &terminal {
        console::take(terminal)?;
    }
    let program = process::become_process(plan, &child.kit.own, child.socket.as_fd())?;
    prctl::die_with_parent(false).at(Stage::Session)?;
    filter::install_last(plan, child.socket.as_fd())?;
    wait_for_parent(child);
    let error = execute(program, plan, &child.kit.own);
    Err(Fault::new(Stage::Execute, Operation::It, 0, &error))
}

fn enter(child: &Child<'_>, plan: &ProcessPlan, attributes: Option<&OwnedFd>) -> Result<(), Fault> {
    let kit = &child.kit;
    let entered = if kit.is_in_users { Namespaces::PID.with(Namespaces::USER) } else { Namespaces::PID };
    let rest = kit.namespaces.without(entered);
    if !rest.is_empty() {
        clone::enter(kit.init.as_fd(), rest).at(Stage::JoinNamespace)?;
    }
    if let Some(root) = &kit.root {
        let changed = files::change_directory(root.as_fd()).and_then(|()| mount::chroot_here());
        changed.and_then(|()| files::change_directory_to(c"/")).at(Stage::Pivot)?;
    }
    if kit.namespaces.contains(Namespaces::USER) {
        let root = credentials::set_group(0).and_then(|()| credentials::set_user(0));
        root.at(Stage::BecomeRoot)?;
    }
    confine::join_keyring(kit.keyring.as_deref(), plan, attributes)
}

fn wait_for_parent(child: &Child<'_>) {
    let mut byte = [0u8];
    let socket = child.socket.as_fd();
    let answered = send(socket, &Report::Ready).is_ok() && matches!(files::read(socket, &mut byte), Ok(1));
    if !answered {
        descriptors::exit_now(255);
    }
}

fn execute(program: &CStr, plan: &ProcessPlan, own: &OwnStatus) -> io::Error {
    descriptors::execute(program, &plan.arguments, &plan.environment, own.ignored_signals)
}
