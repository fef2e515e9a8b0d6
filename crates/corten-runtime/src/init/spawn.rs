//! The parent: prepares what the child needs, clones it, answers it, and holds it until it is recorded.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use corten_cgroups::{Cgroup, CgroupError};
use corten_sys::clone::{self, Cloned, Namespaces};
use corten_sys::openat2::InRootfs;
use corten_sys::pidfd::PidFd;
use corten_sys::status::OwnStatus;
use corten_sys::syscall::HERE;
use corten_sys::{descriptors, files, rlimit, scm};
use corten_types::Signal;

use super::binds::BindSource;
use super::console::ConsolePaths;
use super::report::{self, Report, Stage};
use super::sentence::{about_init, about_limit, about_oom_score, errno_text};
use super::unified::Unified;
use super::{bare, filter, helper, id_maps, idmap, limits, network, run, sources};
use crate::plan::{Joined, Plan, ProcessPlan, Step};

/// What went wrong before the process was ready. The kernel's words stand in the sentence as Go writes them, which
/// clients match on, and so are not the source that the edge would print once more.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// In the child; the sentence is made of the plan.
    #[error("unable to start container process: {0}")]
    Child(String),
    /// A source of the host could not be opened.
    #[error("unable to start container process: error during container init: error mounting {path:?} to rootfs at {target:?}: stat {path}: {}", errno_text(.why))]
    Bind {
        /// The source.
        path: String,
        /// Where it was to go.
        target: String,
        /// Why.
        why: io::Error,
    },
    /// What the options of a bind ask for takes flags from it that are locked.
    #[error("unable to start container process: error during container init: error mounting {path:?} to rootfs at {target:?}: change locked flags: {}", errno_text(.why))]
    BindOptions {
        /// The source.
        path: String,
        /// Where it was to go.
        target: String,
        /// Why.
        why: io::Error,
    },
    /// The root filesystem could not be opened.
    #[error("unable to start container process: root filesystem {}: {}", path.display(), errno_text(.why))]
    Root {
        /// Its path.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A namespace to join could not be opened or entered.
    #[error("unable to start container process: {name} namespace {path}: {}", errno_text(.why))]
    Namespace {
        /// Its kind.
        name: &'static str,
        /// Its path.
        path: String,
        /// Why.
        why: io::Error,
    },
    /// The kernel makes no such namespaces.
    #[error("unable to start container process: clone a process into new namespaces: {}{reason}", errno_text(.why))]
    Namespaces {
        /// What the kernel said.
        why: io::Error,
        /// Which switch forbids it, when one does.
        reason: String,
    },
    /// The cgroup could not be joined.
    #[error("unable to start container process: error adding pid of the process to cgroups")]
    Cgroup(#[source] CgroupError),
    /// The child could not be made, or its answer not read.
    #[error("unable to start container process: {what}: {}", errno_text(.why))]
    Spawn {
        /// What was being done.
        what: &'static str,
        /// Why.
        why: io::Error,
    },
    /// The program could not be executed, which the child has told on its standard error, too.
    #[error("unable to start container process: {0}")]
    Execute(String),
    /// The child ended without a word.
    #[error("unable to start container process: {0}")]
    Died(String),
    /// The agent that answers system calls could not be told of them.
    #[error("unable to start container process: failed to connect with seccomp agent {}: {}", path.display(), errno_text(.why))]
    Listener {
        /// Its socket.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A hook failed.
    #[error("unable to start container process: {0}")]
    Hook(#[from] crate::hooks::HookError),
    /// The limits could not be set.
    #[error(transparent)]
    Limits(CgroupError),
    /// The system call filter cannot be made.
    #[error(transparent)]
    Filter(#[from] crate::spec::SpecError),
    /// What is known about it could not be written.
    #[error(transparent)]
    State(#[from] crate::state_dir::StateError),
}

pub(super) fn namespace_error(joined: &Joined, why: io::Error) -> InitError {
    InitError::Namespace { name: joined.name, path: joined.path.to_string_lossy().into_owned(), why }
}

pub(super) fn spawn_error(what: &'static str) -> impl Fn(io::Error) -> InitError {
    move |why| InitError::Spawn { what, why }
}

/// What the caller decides about the child.
#[derive(Debug)]
pub struct Options {
    /// Change the root without pivot_root.
    pub no_pivot: bool,
    /// Where the root is attached in the host's own mount namespace, for a container that has none.
    pub mount_point: Option<PathBuf>,
    /// The name of the session keyring to join.
    pub keyring: Option<CString>,
    /// Where the terminal's master end is sent.
    pub console: Option<OwnedFd>,
    /// What the child waits on after it was released; without one it goes on at once.
    pub fifo: Option<OwnedFd>,
    /// `tasks` of each hierarchy of v1, when it is open.
    pub join_files: Option<Vec<OwnedFd>>,
    /// The parent's end and the child's of what they speak over.
    pub sockets: (OwnedFd, OwnedFd),
    /// What is closed together with what the child got.
    pub spent: Vec<OwnedFd>,
    /// Whether the parent runs hooks before the root is changed.
    pub has_host_hooks: bool,
    /// Whether the child says that it is ready as soon as it is in its root, so that the parent records it meanwhile: when
    /// nobody is told of a process that may still fail.
    pub announces_early: bool,
    /// What this process ignores and may give away.
    pub own: OwnStatus,
}

/// Everything the child uses beside the plan: open descriptors, and lists with room for what it will put there.
#[derive(Debug)]
pub struct Kit {
    pub(super) socket: OwnedFd,
    pub(super) join_files: Vec<OwnedFd>,
    pub(super) spent: Vec<OwnedFd>,
    pub(super) join_namespaces: Vec<Option<OwnedFd>>,
    pub(super) tree: OwnedFd,
    /// Whether the root filesystem, bound trees and devices are opened in the child.
    pub(super) opens_sources: bool,
    /// Where the root filesystem is on the host, or is attached in it.
    pub(super) root_path: CString,
    pub(super) shares_mounts: bool,
    pub(super) dev: InRootfs,
    pub(super) binds: Vec<Option<BindSource>>,
    pub(super) device_binds: Vec<Option<OwnedFd>>,
    pub(super) made: Vec<Option<OwnedFd>>,
    pub(super) console_paths: ConsolePaths,
    pub(super) console: Option<OwnedFd>,
    pub(super) keyring: Option<CString>,
    pub(super) fifo: Option<OwnedFd>,
    pub(super) no_pivot: bool,
    /// What of the host is taken off when the root is not pivoted.
    pub(super) bare: Vec<CString>,
    pub(super) has_host_hooks: bool,
    pub(super) announces_early: bool,
    pub(super) is_released: bool,
    pub(super) own: OwnStatus,
    pub(super) network: network::Awaited,
    /// Where the filter goes that the parent makes meanwhile.
    pub(super) filter: Vec<u64>,
    /// What hooks in the child are told: before the root is changed, and after start.
    pub(super) hook_states: [Vec<u8>; 2],
}

impl Kit {
    /// Closes what only the child needs, in the parent.
    fn close(self) {
        let (mut fds, mut spent) = (self.join_files, self.spent);
        fds.append(&mut spent);
        fds.push(self.tree);
        fds.push(self.socket);
        fds.extend(self.join_namespaces.into_iter().flatten());
        fds.extend(self.binds.into_iter().flatten().map(|bind| bind.tree));
        fds.extend(self.device_binds.into_iter().flatten());
        fds.extend(self.console.into_iter().chain(self.fifo));
        descriptors::close_together(fds);
    }
}

/// The root tree in the child.
pub(super) struct Root<'k> {
    pub parent: &'k OwnedFd,
    pub tree: &'k OwnedFd,
    pub dev: &'k InRootfs,
    pub network: &'k network::Awaited,
}

/// What the parent does beside the child and for it.
pub trait ParentHooks {
    /// Does what the child needs before it is ready, and not sooner: limits, and what is to be known about it. What was
    /// opened is left in `spent`.
    ///
    /// # Errors
    /// [`InitError::Limits`], [`InitError::State`].
    fn meanwhile(&self, pid: i32, spent: &mut Vec<OwnedFd>) -> Result<(), InitError>;

    /// Runs those of the host that come before the root is changed.
    ///
    /// # Errors
    /// [`InitError::Hook`].
    fn run(&self, pid: i32) -> Result<(), InitError>;

    /// The state as JSON, for hooks that the child runs.
    ///
    /// # Errors
    /// [`InitError::Hook`].
    fn state(&self, pid: i32, status: &'static str) -> Result<Vec<u8>, InitError>;

    /// Sends the descriptor that answers the process's system calls to who does.
    ///
    /// # Errors
    /// [`InitError::Listener`].
    fn listener(&self, pid: i32, descriptor: &OwnedFd) -> Result<(), InitError>;
}

/// The largest state a hook in the child can be told: one packet.
pub(super) const HOOK_STATE_BYTES: usize = 64 * 1024;

fn hook_buffers(plan: &Plan) -> [Vec<u8>; 2] {
    let needed = !plan.create_container.is_empty() || !plan.start_container.is_empty();
    let size = if needed { HOOK_STATE_BYTES } else { 0 };
    [vec![0; size], vec![0; size]]
}

/// A child that waits to be released; killed when dropped.
#[derive(Debug)]
pub struct Init {
    pid: i32,
    pidfd: Option<PidFd>,
    socket: Option<OwnedFd>,
}

impl Init {
    pub(super) fn new(pid: i32, pidfd: OwnedFd, socket: OwnedFd) -> Self {
        Self { pid, pidfd: Some(PidFd::from_owned(pidfd)), socket: Some(socket) }
    }

    /// Its id in the caller's pid namespace.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A handle on it.
    ///
    /// # Errors
    /// `ESRCH` when it was released.
    pub fn pidfd(&self) -> io::Result<&PidFd> {
        self.pidfd.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// The next report; an error when it failed or ended.
    pub(super) fn next(&self, explain: impl Fn(&report::Fault) -> String) -> Result<Report, InitError> {
        let socket = self.socket.as_ref().ok_or_else(|| InitError::Died("it was released".to_owned()))?;
        match report::receive(socket.as_fd()).map_err(spawn_error("hear from the process"))? {
            Some(Report::Failed(fault)) => Err(InitError::Child(explain(&fault))),
            Some(report) => Ok(report),
            None => Err(self.how_it_died()),
        }
    }

    fn how_it_died(&self) -> InitError {
        let status = self.pidfd.as_ref().and_then(|pidfd| pidfd.wait().ok());
        InitError::Died(match status {
            // Nobody else kills it here but the kernel, for memory.
            Some(status) if status.code() == 137 => corten_runtime_api::texts::OOM_KILLED.to_owned(),
            Some(status) => format!("the process ended with status {}", status.code()),
            None => "the process ended".to_owned(),
        })
    }

    /// A copy of the child's descriptor `number`.
    pub(super) fn descriptor(&self, number: i32) -> Result<OwnedFd, InitError> {
        let pidfd = self.pidfd().map_err(spawn_error("find the process"))?;
        pidfd.descriptor(number).map_err(spawn_error("take the seccomp listener of the process"))
    }

    /// Sends it a descriptor.
    pub(super) fn give(&self, descriptor: BorrowedFd<'_>) -> io::Result<usize> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        scm::send(socket, b"0", &[descriptor])
    }

    /// Lets the child go on from where it asked.
    pub(super) fn answer(&self) -> Result<(), InitError> {
        self.answer_with(b"0")
    }

    pub(super) fn answer_with(&self, bytes: &[u8]) -> Result<(), InitError> {
        let socket = self.socket.as_ref().ok_or_else(|| InitError::Died("it was released".to_owned()))?;
        files::write(socket.as_fd(), bytes).map_err(spawn_error("answer the process"))
    }

    /// Sets what is the parent's to set: in a user namespace the limits, which the parent may raise and the child there
    /// may not.
    ///
    /// # Errors
    /// [`InitError::Spawn`].
    pub fn limit(&self, process: &ProcessPlan) -> Result<(), InitError> {
        let limits = if process.limited_by_parent { process.rlimits.as_slice() } else { &[] };
        for limit in limits {
            let set = rlimit::set(self.pid, limit.number, limit.soft, limit.hard);
            set.map_err(|why| InitError::Child(about_limit(Some(limit), &errno_text(&why))))?;
        }
        Ok(())
    }

    /// Lets the child go on by itself: it is recorded, and may outlive this program. `explain` makes the sentence of a
    /// fault.
    ///
    /// # Errors
    /// [`InitError::Child`], [`InitError::Died`] of one that has failed since it was ready.
    pub(crate) fn release(mut self, explain: impl Fn(&report::Fault) -> String) -> Result<Released, InitError> {
        if let Err(unheard) = self.answer() {
            return Err(self.next(explain).err().unwrap_or(unheard));
        }
        let (pidfd, socket) = (self.pidfd.take(), self.socket.take());
        match (pidfd, socket) {
            (Some(pidfd), Some(socket)) => Ok(Released { pidfd, socket }),
            _ => Err(InitError::Died("it was released".to_owned())),
        }
    }
}

/// A child that goes on by itself.
#[derive(Debug)]
pub struct Released {
    /// A handle on it.
    pub pidfd: PidFd,
    socket: OwnedFd,
}

impl Released {
    /// Waits until the program is executed: the socket closes then. For a child that does not wait for start.
    /// `explain` makes the sentence of a fault.
    ///
    /// # Errors
    /// The sentence of a failure to execute.
    pub(crate) fn executed(&self, explain: impl Fn(&report::Fault) -> String) -> Result<(), InitError> {
        match report::receive(self.socket.as_fd()).map_err(spawn_error("hear from the process"))? {
            Some(Report::Failed(fault)) if fault.stage == Stage::Execute => Err(InitError::Execute(explain(&fault))),
            Some(Report::Failed(fault)) => {
                let _ = self.pidfd.wait(); // it has ended; who reaps it does not matter
                Err(InitError::Child(explain(&fault)))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if let Some(pidfd) = self.pidfd.take() {
            let _ = pidfd.send(Signal::KILL); // it may have ended by itself
            let _ = pidfd.wait(); // as above
        }
    }
}

/// Starts the child in its namespaces and cgroups and returns when it is ready.
///
/// # Errors
/// [`InitError`]; no process is left.
pub fn spawn(plan: &Plan, cgroup: &Cgroup, options: Options, hooks: &dyn ParentHooks) -> Result<Init, InitError> {
    let namespaces = open_namespaces(plan)?;
    let unified = cgroup.unified_directory().map_err(InitError::Cgroup)?;
    let (kit, socket) = prepare(plan, cgroup, options, namespaces)?;
    let unified = Unified { directory: unified.as_ref().map(AsFd::as_fd), is_alone: cgroup.is_v2() };
    let (mut kit, socket, pid, pidfd) = if helper::is_needed(plan) {
        helper::clone_joined(plan, kit, socket, unified)?
    } else {
        clone_child(plan, kit, socket, unified)?
    };
    let init = Init { pid, pidfd: Some(pidfd), socket: Some(socket) };
    if network::is_lent(&plan.namespaces) {
        network::lend(plan, &init, &mut kit.spent)?;
    }
    filter::lend(&plan.process, &init)?;
    hooks.meanwhile(pid, &mut kit.spent)?;
    kit.close();
    let mut states = ["creating", "created"].into_iter();
    loop {
        match init.next(|fault| about_init(plan, fault))? {
            Report::MapIds => prepare_users(plan, pid)?,
            Report::HostHooks => hooks.run(pid)?,
            Report::StateForHooks => {
                init.answer_with(&hooks.state(pid, states.next().unwrap_or("created"))?)?;
                continue;
            }
            Report::TimeOffsets => offset_time(plan, pid)?,
            Report::Listener(number) => hooks.listener(pid, &init.descriptor(number)?)?,
            Report::IdMap { number, step } => map_owners(plan, step, &init.descriptor(number)?)?,
            Report::Ready => return Ok(init),
            Report::Failed(_) => {}
        }
        init.answer()?;
    }
}

/// Makes the child; what the parent still needs comes back with it. A pid namespace is entered for the child alone, and
/// not for hooks of the host.
fn clone_child(
    plan: &Plan,
    mut kit: Kit,
    socket: OwnedFd,
    unified: Unified<'_>,
) -> Result<(Kit, OwnedFd, i32, PidFd), InitError> {
    let mut own = None;
    for (joined, file) in plan.namespaces.joined.iter().zip(&mut kit.join_namespaces) {
        let Some(fd) = file.take_if(|_| joined.kind == Namespaces::PID) else { continue };
        let open = files::open(HERE, c"/proc/self/ns/pid", files::O_RDONLY, 0);
        own = Some(open.map_err(spawn_error("open the runtime's own pid namespace"))?);
        clone::enter(fd.as_fd(), Namespaces::PID).map_err(|why| namespace_error(joined, why))?;
    }
    let cloned = unified.clone(clone_kinds(plan));
    if let (Some(own), Ok(Cloned::Parent { .. }) | Err(_)) = (&own, &cloned) {
        clone::enter(own.as_fd(), Namespaces::PID).map_err(spawn_error("return to the runtime's pid namespace"))?;
    }
    match cloned.map_err(|why| limits::refused(plan.namespaces.new, why))? {
        Cloned::Child => {
            // The parent's end must be nobody else's: its closing tells the child that the parent is gone.
            drop(socket);
            run::run(plan, kit)
        }
        Cloned::Parent { pid, pidfd } => Ok((kit, socket, pid, PidFd::from_owned(pidfd))),
    }
}

/// The cgroup namespace is made once the child is in its cgroup, the time namespace by unshare: clone3 has no flag for
/// its offsets.
pub(super) fn clone_kinds(plan: &Plan) -> Namespaces {
    network::without_lent(&plan.namespaces).without(Namespaces::CGROUP).without(Namespaces::TIME)
}

fn open_namespaces(plan: &Plan) -> Result<Vec<Option<OwnedFd>>, InitError> {
    let open = plan.namespaces.joined.iter().map(|joined| {
        let file = files::open(HERE, &joined.path, files::O_RDONLY, 0).and_then(|file| {
            // Who is in it need not enter it, for which the rights may be gone once it is in a user namespace.
            let is_own = joined.kind == Namespaces::TIME && is_own_time(file.as_fd())?;
            Ok((!is_own).then_some(file))
        });
        file.map_err(|why| namespace_error(joined, why))
    });
    open.collect()
}

fn is_own_time(namespace: BorrowedFd<'_>) -> io::Result<bool> {
    let (own, other) = (files::stat_following(HERE, c"/proc/self/ns/time")?, files::stat(namespace, c"")?);
    Ok((own.dev, own.inode) == (other.dev, other.inode))
}

fn prepare(
    plan: &Plan,
    cgroup: &Cgroup,
    options: Options,
    join_namespaces: Vec<Option<OwnedFd>>,
) -> Result<(Kit, OwnedFd), InitError> {
    // With a slash at its end: it must be a directory.
    let root = c_path(&plan.rootfs.join("")).map_err(spawn_error("name the root filesystem"))?;
    let join_files = options.join_files.map_or_else(|| cgroup.join_files(), Ok).map_err(InitError::Cgroup)?;
    let sources = sources::open(plan, &root)?;
    let root_path = match options.mount_point.as_deref() {
        Some(mount_point) => c_path(mount_point).map_err(spawn_error("name the root filesystem"))?,
        None => root,
    };
    let (own_socket, socket) = options.sockets;
    let kit = Kit {
        socket,
        join_files,
        spent: options.spent,
        join_namespaces,
        tree: sources.tree,
        opens_sources: sources.is_left_to_child,
        root_path,
        shares_mounts: options.mount_point.is_some(),
        dev: InRootfs::new("/dev").map_err(spawn_error("name /dev"))?,
        binds: sources.binds,
        device_binds: sources.devices,
        made: plan.steps.iter().map(|_| None).collect(),
        console_paths: ConsolePaths::new().map_err(spawn_error("name the terminal"))?,
        console: options.console,
        keyring: options.keyring,
        fifo: options.fifo,
        no_pivot: options.no_pivot,
        bare: if options.no_pivot { bare::list().map_err(spawn_error("read the host's mounts"))? } else { Vec::new() },
        has_host_hooks: options.has_host_hooks,
        announces_early: options.announces_early,
        is_released: false,
        own: options.own,
        network: network::Awaited::new(plan),
        filter: filter::prepare(plan, options.has_host_hooks)?,
        hook_states: hook_buffers(plan),
    };
    Ok((kit, own_socket))
}

fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// What the parent does for a new user namespace while the child waits and can still be reached: it has not yet closed
/// its files of /proc to other processes of its user.
fn prepare_users(plan: &Plan, pid: i32) -> Result<(), InitError> {
    if let Some((uid_map, gid_map)) = &plan.namespaces.id_maps {
        id_maps::write(pid, uid_map, gid_map)?;
    }
    set_oom_score(pid, &plan.process)
}

/// With the rights of the host's user: the child, in a user namespace, may not write the file even for itself.
fn offset_time(plan: &Plan, pid: i32) -> Result<(), InitError> {
    let Some(offsets) = &plan.namespaces.time_offsets else { return Ok(()) };
    let file = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/timens_offsets"));
    let write = file.and_then(|file| files::write(file.as_fd(), offsets.as_bytes()));
    write.map_err(spawn_error("write timens_offsets"))
}

/// With the host's rights, too: the filesystem may be the host's.
fn map_owners(plan: &Plan, step: u32, tree: &OwnedFd) -> Result<(), InitError> {
    let Some(Step::Mount(step)) = plan.steps.get(step as usize) else { return Ok(()) };
    let mapped = step.id_map.as_ref().map_or(Ok(()), |map| idmap::apply(tree, map));
    mapped.map_err(|why| InitError::Bind { path: step.source_text(), target: step.described.1.clone(), why })
}

fn set_oom_score(pid: i32, process: &ProcessPlan) -> Result<(), InitError> {
    let Some(score) = &process.oom_score_adj else { return Ok(()) };
    let write = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/oom_score_adj"));
    let write = write.and_then(|file| files::write(file.as_fd(), score.as_bytes()));
    write.map_err(|why| InitError::Child(about_oom_score(process, &errno_text(&why))))
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::super::report::{Fault, Operation};
    use super::*;

    /// It says that it is ready, fails at what is left to do, and is gone before it is answered.
    #[test]
    fn a_child_that_failed_since_it_was_ready_is_heard() {
        let init = || {
            let (parent, child) = descriptors::packet_pair().expect("a pair");
            (Init { pid: 7, pidfd: None, socket: Some(parent) }, child)
        };
        let (failed, child) = init();
        let fault = Fault::new(Stage::Lookup, Operation::Source, 0, &Error::from_raw_os_error(2));
        report::send(child.as_fd(), &Report::Failed(fault)).expect("sends");
        drop(child);
        let said = failed.release(|fault| format!("{:?}", fault.stage)).expect_err("it failed");
        assert!(matches!(&said, InitError::Child(text) if text == "Lookup"), "{said:?}");
        let (dead, child) = init();
        drop(child);
        let said = dead.release(|_| String::new()).expect_err("it died");
        assert!(matches!(said, InitError::Died(_)), "{said:?}");
    }
}
