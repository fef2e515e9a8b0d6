//! `create`: makes the container and leaves its first process waiting for [`crate::start::start`].

use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use corten_cgroups::{Cgroup, CgroupError, Created, Host};
use corten_runtime_api::arguments::Create;
use corten_runtime_api::{console, pid_file, texts};
use corten_sys::{credentials, descriptors, files, status::OwnStatus, syscall::HERE};

use crate::caller::Caller;
use crate::clock;
use crate::home;
use crate::hooks::{self, HookError};
use crate::host_root;
use crate::init::spawn::{Options, ParentHooks};
use crate::init::{Asker, Init, InitError, about_init, send_listener, spawn};
use crate::kept_filter;
use crate::log::Log;
use crate::notify;
use crate::plan::{Plan, StandardStreams};
use crate::process_stat::ProcessStat;
use crate::spec::{Hooks, Spec, SpecError};
use crate::state_dir::{self, Phase, Record, RecordConfig, Staged, StateDir, StateError};

/// Why a container could not be made. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The configuration.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The container's directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The first process.
    #[error(transparent)]
    Init(#[from] InitError),
    /// A hook.
    #[error(transparent)]
    Hook(#[from] HookError),
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
    #[error("--preserve-fds: descriptor {number} is not open")]
    Preserve {
        /// Its number.
        number: i32,
    },
    /// No way to take the terminal over.
    #[error("make a socket pair for the terminal")]
    Terminal(#[source] io::Error),
    /// No way to speak with the first process.
    #[error("unable to start container process: make a socket pair")]
    Sockets(#[source] io::Error),
    /// Flags that contradict each other.
    #[error("{0}")]
    Usage(&'static str),
}

/// How the new process is connected to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// `create`: it waits for start, and the caller goes away.
    WaitForStart,
    /// `run --detach`: it goes on at once, and the caller goes away.
    Detached,
    /// `run`: it goes on at once, and the caller stays.
    Foreground,
}

/// A container whose first process is ready, with everything that is undone unless it is kept.
#[derive(Debug)]
pub struct Made {
    /// The container's directory.
    pub directory: StateDir,
    /// What is known about it.
    pub record: Record,
    /// What was known before, which need not be removed before the process goes on.
    pub staged: Option<Staged>,
    /// Its process, held.
    pub init: Init,
    /// The plan it was made by.
    pub plan: Plan,
    /// Its cgroups.
    pub cgroup: KeptCgroup,
}

/// Cgroups that are removed when dropped, unless kept; owns what [`corten_cgroups::Created`] borrows.
#[derive(Debug)]
pub struct KeptCgroup {
    cgroup: Cgroup,
    is_kept: bool,
}

impl KeptCgroup {
    /// The cgroups stay.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for KeptCgroup {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.cgroup.delete(); // the error that led here is the one that is reported
        }
    }
}

/// Creates the container and leaves its first process waiting.
///
/// # Errors
/// [`CreateError`]; nothing outlives a failure.
pub fn create(root: &Path, arguments: &Create, caller: &Caller) -> Result<(), CreateError> {
    let made = make(root, arguments, caller, Attachment::WaitForStart, &mut None)?;
    let Made { directory, staged, init, plan, cgroup, .. } = made;
    init.release(|fault| about_init(&plan, fault))?;
    drop(staged);
    cgroup.keep();
    let _ = directory.kept();
    Ok(())
}

/// Makes the container up to the point where its process is recorded and waits to be released. A terminal that no socket
/// was named for is to be had from `own_end`, which is set then.
pub(crate) fn make(
    root: &Path,
    arguments: &Create,
    caller: &Caller,
    attachment: Attachment,
    own_end: &mut Option<OwnedFd>,
) -> Result<Made, CreateError> {
    let inherited = caller.listen_fds.saturating_add(arguments.preserve_fds);
    check_descriptors(inherited)?;
    let bundle = absolute(arguments.bundle.as_deref().unwrap_or(Path::new(".")))?;
    // First, so that what is closed together lies together.
    let sockets = descriptors::packet_pair().map_err(CreateError::Sockets)?;
    let mut spent = Vec::with_capacity(16);
    let mut spec = Spec::load_keeping(&bundle, &mut spent)?;
    if let Some(root) = set_home(&mut spec, &bundle) {
        spent.push(root);
    }
    hand_over(&mut spec, caller, &state_dir::path_of(root, &arguments.id)?);
    let mut cgroup = Host::presume(&mut spent)?.place(Some(&spec.linux.cgroups_path), &arguments.id);
    let make_plan: &dyn Fn(&Cgroup) -> Result<Plan, SpecError> = &|cgroup| {
        let mut plan = Plan::from_spec(&spec, &bundle, cgroup)?;
        plan.process.preserve_fds = inherited;
        if attachment == Attachment::Foreground {
            plan.process.streams = StandardStreams::PipesOnly;
        }
        Ok(plan)
    };
    let mut plan = make_plan(&cgroup)?;
    plan.process.warnings.iter().for_each(|warning| caller.log.warn(warning));
    plan.check_security()?;
    let own = own_status(&plan, &mut spent)?;
    let console = console_for(arguments, &plan, attachment, own_end)?;

    let directory = StateDir::claim(root, &arguments.id)?;
    let mut record = record(arguments, &spec, &bundle, &plan, &cgroup);
    record.creator = creator(directory.writer(), &mut spent);
    directory.save(&record)?;
    let mut opened = if cgroup.is_v2() { None } else { cgroup.create_at_once() };
    if opened.is_none() {
        let place = Place { spec: &spec, id: &arguments.id, directory: &directory, caller };
        place.make_cgroups(&mut cgroup, &mut plan, &mut record, make_plan)?;
    }
    if !cgroup.can_limit_devices() && caller.tolerates_missing_cgroups() {
        // Without privilege no node can be made, and what is bound is guarded by its owner: runc leaves it at that.
        plan.limits.devices = None;
    }
    make_notify_directory(caller, &directory)?;
    let cgroup = KeptCgroup { cgroup, is_kept: false };
    if let Some(opened) = &mut opened {
        spent.append(&mut opened.spent);
    }

    let options = Options {
        no_pivot: arguments.no_pivot,
        mount_point: if plan.namespaces.has_own_mounts() { None } else { Some(host_root::make(&directory)?) },
        keyring: (!arguments.no_new_keyring).then(|| CString::new(format!("_ses.{}", arguments.id)).ok()).flatten(),
        console,
        fifo: if attachment == Attachment::WaitForStart { Some(make_fifo(&directory)?) } else { None },
        own,
        join_files: opened.map(|opened| opened.join),
        spent,
        sockets,
        has_host_hooks: !spec.hooks.prestart.is_empty() || !spec.hooks.create_runtime.is_empty(),
        announces_early: may_announce_early(arguments, attachment, &plan),
    };
    let parent = Parent {
        hooks: &spec.hooks,
        plan: &plan,
        cgroup: &cgroup.cgroup,
        directory: &directory,
        log: &caller.log,
        record: RefCell::new(record),
        staged: Cell::new(None),
    };
    let init = spawn(&plan, &cgroup.cgroup, options, &parent)?;
    init.limit(&plan.process)?;
    let (record, staged) = parent.commit()?;
    announce(arguments, &init)?;
    Ok(Made { directory, record, staged, init, plan, cgroup })
}

/// Whether nobody is told of the process, and nothing is done to it, between its being ready and its execve.
fn may_announce_early(arguments: &Create, attachment: Attachment, plan: &Plan) -> bool {
    let is_told = arguments.pid_file.is_some() || arguments.pidfd_socket.is_some();
    let is_touched = plan.process.limited_by_parent || !plan.start_container.is_empty();
    attachment != Attachment::WaitForStart && !is_told && !is_touched
}

/// For a caller that waits to be notified.
fn make_notify_directory(caller: &Caller, directory: &StateDir) -> Result<(), CreateError> {
    if caller.notify_socket.is_none() {
        return Ok(());
    }
    let path = || notify::directory(directory.path());
    notify::make_directory(directory).map_err(|source| CreateError::Path { what: "make", path: path(), source })
}

/// What this process may give away; refuses what it cannot.
fn own_status(plan: &Plan, spent: &mut Vec<OwnedFd>) -> Result<OwnStatus, CreateError> {
    let own = OwnStatus::read_keeping(spent);
    if plan.namespaces.has_own_users() {
        return Ok(own.in_user_namespace());
    }
    if own.permitted & caps::Capability::CAP_SYS_ADMIN.bitmask() == 0 && credentials::effective_user() != 0 {
        return Err(SpecError::Text(texts::ROOTLESS_WITHOUT_USERS).into());
    }
    plan.process.check_capabilities(&own)?;
    Ok(own)
}

/// What a container's place among the cgroups depends on.
struct Place<'a> {
    spec: &'a Spec,
    id: &'a str,
    directory: &'a StateDir,
    caller: &'a Caller,
}

impl Place<'_> {
    /// Looks where the hierarchies are, and makes the cgroups there. Where nobody asked for a place those that may not be
    /// made are done without, and limits that need them are refused.
    fn make_cgroups(
        &self,
        cgroup: &mut Cgroup,
        plan: &mut Plan,
        record: &mut Record,
        make_plan: &dyn Fn(&Cgroup) -> Result<Plan, SpecError>,
    ) -> Result<(), CreateError> {
        let path = &self.spec.linux.cgroups_path;
        let host = Host::detect()?;
        let found = host.place(Some(path), self.id);
        if found != *cgroup {
            *cgroup = found;
            *plan = make_plan(cgroup)?;
            record.cgroup_paths = cgroup.paths();
            self.directory.save(record)?;
        }
        match cgroup.create().map(Created::keep) {
            Ok(()) => return Ok(()),
            Err(error) if error.is_forbidden() && path.is_empty() && self.caller.tolerates_missing_cgroups() => {
                cgroup.leave_out_forbidden()?;
            }
            Err(error) => return Err(error.into()),
        }
        record.cgroup_paths = cgroup.paths();
        // Mounts of cgroups show those that the container is in.
        *plan = make_plan(&host.memberships(cgroup))?;
        plan.protect_cgroups();
        if cgroup.directories().is_empty() && !plan.namespaces.has_own_pid() {
            self.caller.log.warn(NOTHING_HOLDS_IT);
        }
        Ok(())
    }
}

/// Without either its processes cannot be told from others, and may outlive it.
const NOTHING_HOLDS_IT: &str = "a rootless container with neither a cgroup nor a pid namespace of its own: \
                                processes it leaves behind cannot be found. Such configuration is strongly discouraged";

/// What is done for the process, beside it and while it waits.
struct Parent<'a> {
    hooks: &'a Hooks,
    plan: &'a Plan,
    cgroup: &'a Cgroup,
    directory: &'a StateDir,
    log: &'a Log,
    record: RefCell<Record>,
    staged: Cell<Option<Staged>>,
}

impl Parent<'_> {
    /// Makes the record hold: from now on the container can be entered.
    fn commit(self) -> Result<(Record, Option<Staged>), StateError> {
        let staged = self.staged.into_inner();
        staged.as_ref().map_or(Ok(()), |staged| staged.commit(self.directory))?;
        Ok((self.record.into_inner(), staged))
    }
}

impl ParentHooks for Parent<'_> {
    fn meanwhile(&self, pid: i32, spent: &mut Vec<OwnedFd>) -> Result<(), InitError> {
        self.cgroup.limit_keeping(&self.plan.limits, spent).map_err(InitError::Limits)?;
        let mut record = self.record.borrow_mut();
        complete(&mut record, pid, self.plan, spent);
        let filter = self.plan.process.filter.get();
        filter.iter().for_each(|filter| self.log.debug(&format!("seccomp filter flags: {}", filter.flags)));
        record.filter = filter.map(|filter| kept_filter::keep(self.directory, filter)).transpose()?;
        record.is_filtered = Some(filter.is_some());
        self.staged.set(Some(self.directory.stage(&record)?));
        Ok(())
    }

    fn run(&self, pid: i32) -> Result<(), InitError> {
        let state = hooks::State { status: "creating", pid, record: &self.record.borrow() };
        hooks::run(&self.hooks.prestart, "prestart", &state)?;
        Ok(hooks::run(&self.hooks.create_runtime, "createRuntime", &state)?)
    }

    fn state(&self, pid: i32, status: &'static str) -> Result<Vec<u8>, InitError> {
        let json = hooks::json(&hooks::State { status, pid, record: &self.record.borrow() });
        json.map_err(|why| InitError::Spawn { what: "write the state for hooks", why })
    }

    fn listener(&self, pid: i32, descriptor: &OwnedFd) -> Result<(), InitError> {
        let record = self.record.borrow();
        let container = hooks::State { status: "creating", pid, record: &record };
        let listener = self.plan.process.filter.get().and_then(|filter| filter.listener.as_ref());
        listener.map_or(Ok(()), |listener| send_listener(listener, Asker { pid, container }, descriptor))
    }
}

/// Adds what systemd gave to the caller for the service that the container is.
fn hand_over(spec: &mut Spec, caller: &Caller, state: &Path) {
    if caller.notify_socket.is_some() {
        notify::complete(spec, state);
    }
    if let Some(process) = spec.process.as_mut().filter(|_| caller.listen_fds > 0) {
        notify::set_variable(&mut process.env, "LISTEN_FDS", &caller.listen_fds.to_string());
        notify::set_variable(&mut process.env, "LISTEN_PID", "1");
    }
}

/// Completes the environment from the root filesystem, which is open then. One that cannot be opened is reported when it
/// is mounted.
fn set_home(spec: &mut Spec, bundle: &Path) -> Option<OwnedFd> {
    let open = |path: PathBuf| {
        let path = CString::new(path.into_os_string().into_encoded_bytes())?;
        files::open(HERE, &path, files::O_PATH | files::O_DIRECTORY, 0)
    };
    let root = spec.root.as_ref().and_then(|root| open(bundle.join(&root.path)).ok());
    if let (Some(root), Some(process)) = (&root, &mut spec.process) {
        home::complete(process, root.as_fd());
    }
    root
}

fn check_descriptors(preserve_fds: u32) -> Result<(), CreateError> {
    let numbers = 3..3 + i32::try_from(preserve_fds).unwrap_or(i32::MAX - 3);
    let mut missing = numbers.filter(|number| !descriptors::is_open(*number));
    missing.next().map_or(Ok(()), |number| Err(CreateError::Preserve { number }))
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CreateError> {
    std::path::absolute(path).map_err(|source| CreateError::Path { what: "find", path: path.to_owned(), source })
}

fn console_for(
    arguments: &Create,
    plan: &Plan,
    attachment: Attachment,
    own_end: &mut Option<OwnedFd>,
) -> Result<Option<OwnedFd>, CreateError> {
    let detached = attachment != Attachment::Foreground;
    match (&arguments.console_socket, plan.process.terminal) {
        (None, true) if detached => Err(CreateError::Usage(texts::TTY_WITHOUT_SOCKET)),
        (Some(_), false) if detached => Err(CreateError::Usage(texts::SOCKET_WITHOUT_TTY)),
        (Some(_), _) if !detached => Err(CreateError::Usage(texts::SOCKET_WITHOUT_TTY)),
        (Some(path), true) => {
            let socket = console::connect(path);
            let fail = |source| CreateError::Path { what: "connect to console socket", path: path.clone(), source };
            Ok(Some(socket.map_err(fail)?.into()))
        }
        (None, true) => {
            let (ours, theirs) = descriptors::packet_pair().map_err(CreateError::Terminal)?;
            *own_end = Some(ours);
            Ok(Some(theirs))
        }
        (_, false) => Ok(None),
    }
}

/// The process `number`, and its start.
fn creator(number: u32, spent: &mut Vec<OwnedFd>) -> (i32, u64) {
    let me = i32::try_from(number).unwrap_or_default();
    (me, ProcessStat::read_keeping(me, spent).map_or(0, |stat| stat.start))
}

fn record(arguments: &Create, spec: &Spec, bundle: &Path, plan: &Plan, cgroup: &Cgroup) -> Record {
    Record {
        id: arguments.id.clone(),
        phase: Phase::Creating,
        created: clock::now_nanos(),
        cgroup_paths: cgroup.paths(),
        config: RecordConfig { rootfs: plan.rootfs.clone(), labels: vec![format!("bundle={}", bundle.display())] },
        oci_version: spec.oci_version.clone(),
        annotations: spec.annotations.clone(),
        bundle: bundle.to_owned(),
        has_own_pids: plan.namespaces.has_own_pid(),
        has_own_users: plan.namespaces.has_own_users(),
        personality: plan.process.personality,
        umask: spec.process.as_ref().and_then(|process| process.user.umask),
        strong_capabilities: strong_capabilities(plan),
        hooks: spec.hooks.clone(),
        ..Record::default()
    }
}

/// What [`crate::administrator`] looks for when another process enters.
fn strong_capabilities(plan: &Plan) -> Vec<String> {
    let sets = &plan.process.capabilities;
    let held = sets.bounding | sets.permitted | sets.effective;
    let is_admin = held & caps::Capability::CAP_SYS_ADMIN.bitmask() != 0;
    if is_admin { vec![caps::Capability::CAP_SYS_ADMIN.to_string()] } else { Vec::new() }
}

fn complete(record: &mut Record, pid: i32, plan: &Plan, spent: &mut Vec<OwnedFd>) {
    record.phase = Phase::Created;
    record.init_process_pid = pid;
    record.init_process_start = ProcessStat::read_keeping(pid, spent).map_or(0, |stat| stat.start);
    record.namespace_paths = plan.namespaces.paths(pid);
}

/// Opened for reading and writing, so that the process neither waits for a writer nor sees an end.
fn make_fifo(directory: &StateDir) -> Result<OwnedFd, CreateError> {
    let path = directory.fifo();
    let make = || -> io::Result<OwnedFd> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        files::make_fifo(HERE, &name, 0o600)?;
        files::open(HERE, &name, files::O_RDWR, 0)
    };
    make().map_err(|source| CreateError::Path { what: "make fifo", path, source })
}

/// Tells the caller's files and sockets about the process, before it is released.
fn announce(arguments: &Create, init: &Init) -> Result<(), CreateError> {
    if let Some(path) = &arguments.pid_file {
        let fail = |source| CreateError::Path { what: "write pid file", path: path.clone(), source };
        pid_file::write(path, init.pid()).map_err(fail)?;
    }
    if let Some(path) = &arguments.pidfd_socket {
        let send = console::connect(path).and_then(|socket| console::send(&socket, "pidfd", init.pidfd()?.as_fd()));
        send.map_err(|source| CreateError::Path { what: "send pidfd to", path: path.clone(), source })?;
    }
    Ok(())
}
