//! The child, from clone to exec. It runs on a copy of the parent's memory, allocates nothing, and either executes the
//! program or reports why not.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::clone::{self, Namespaces};
use corten_sys::mount::{self, Change, Extent, Propagation, attr};
use corten_sys::openat2::{self, Resolve};
use corten_sys::schedule::{self, CpuSet};
use corten_sys::syscall::HERE;
use corten_sys::{bump, credentials, descriptors, files, prctl, rootfs, wait};

use super::report::{At, Fault, Operation, Report, SETUP_FAILED, Stage, ask, await_answer, send, tell};
use super::spawn::{Kit, Root};
use super::{bare, confine, console, dev, filter, hooks, mounts, network, paths, process, sources};
use crate::plan::Plan;

/// Becomes the container's program; never returns.
pub(super) fn run(plan: &Plan, mut kit: Kit) -> ! {
    bump::forbid();
    let Err(fault) = set_up(plan, &mut kit);
    let reported = send(kit.socket.as_fd(), &Report::Failed(fault));
    // A program that cannot be executed is told on the container's own standard error, as runc's callers know it.
    let is_late = fault.stage == Stage::Hook && (kit.is_released || reported.is_err());
    if is_late || fault.stage == Stage::Execute {
        say_on_stderr(plan, &fault);
    }
    descriptors::exit_now(SETUP_FAILED)
}

enum Never {}

fn set_up(plan: &Plan, kit: &mut Kit) -> Result<Never, Fault> {
    die_with_creator(kit.socket.as_fd()).at(Stage::Session)?;
    if !plan.namespaces.has_own_users() {
        process::oom_score(&plan.process).at(Stage::OomScore)?;
    }
    // Who writes the id maps of a new user namespace needs files of /proc that this closes to others.
    if !plan.namespaces.is_user_new() {
        prctl::forbid_dump().at(Stage::Session)?;
    }
    // A name that ps can be asked for; the kernel cuts it at 15 bytes.
    prctl::set_name(c"corten:[INIT]").at(Stage::Session)?;
    console::session()?;
    credentials::set_umask(0);
    join_cgroups(kit)?;
    let attributes = confine::attributes(&plan.process)?;
    namespaces(plan, kit, attributes.as_ref())?;
    if plan.namespaces.has_own_users() {
        // Entering a user namespace is a gain of capabilities, which takes it back.
        die_with_creator(kit.socket.as_fd()).at(Stage::Session)?;
    }
    names(plan)?;
    sysctls(plan, kit)?;
    root_file_system(plan, kit)?;
    confine::confine(&plan.process, attributes.as_ref())?;
    let program = finish(plan, kit)?;
    wait_for_start(kit)?;
    hooks::run(&plan.start_container, Operation::It, &kit.hook_states[1], kit.own.ignored_signals)?;
    let (arguments, environment) = (&plan.process.arguments, &plan.process.environment);
    let error = descriptors::execute(program, arguments, environment, kit.own.ignored_signals);
    Err(Fault::new(Stage::Execute, Operation::It, 0, &error))
}

/// The kernel ends this process with its creator: one that is killed in the middle leaves none that goes on. The
/// signal is for an end that comes; one that came before shows at the socket, of which nobody else has the other end.
pub(super) fn die_with_creator(socket: BorrowedFd<'_>) -> io::Result<()> {
    prctl::die_with_parent(true)?;
    if descriptors::is_hung_up(socket)? {
        descriptors::exit_now(SETUP_FAILED);
    }
    Ok(())
}

/// A process with one thread that moves itself takes no lock (runtime notes: 0.16 ms instead of 6 to 16).
fn join_cgroups(kit: &mut Kit) -> Result<(), Fault> {
    for (index, tasks) in kit.join_files.iter().enumerate() {
        files::write(tasks.as_fd(), b"0").at_index(Stage::JoinCgroup, Operation::It, index)?;
    }
    // `execCPUAffinity` is for those who enter later; this one is not bound to where the caller is.
    let _ = schedule::set_affinity(&CpuSet::ALL); // it may run where it runs
    Ok(())
}

fn namespaces(plan: &Plan, kit: &mut Kit, attributes: Option<&OwnedFd>) -> Result<(), Fault> {
    let namespaces = &plan.namespaces;
    if namespaces.is_user_new() {
        ask(kit.socket.as_fd(), &Report::MapIds);
        if namespaces.new.contains(Namespaces::TIME) {
            // The parent may be no more than this process's own user, to whom its files of /proc are open until then.
            enter_new_time(kit.socket.as_fd()).at(Stage::TimeNamespace)?;
        }
        prctl::forbid_dump().at(Stage::Session)?;
    }
    if namespaces.all().contains(Namespaces::USER) {
        become_root().at(Stage::BecomeRoot)?;
    }
    for (index, joined) in kit.join_namespaces.drain(..).enumerate() {
        let Some(fd) = joined else { continue };
        let kind = namespaces.joined[index].kind;
        clone::enter(fd.as_fd(), kind).at_index(Stage::JoinNamespace, Operation::It, index)?;
    }
    if namespaces.new.contains(Namespaces::TIME) && !namespaces.has_own_users() {
        enter_new_time(kit.socket.as_fd()).at(Stage::TimeNamespace)?;
    }
    if namespaces.new.contains(Namespaces::CGROUP) {
        // Only now: the namespace's root is where its maker stands.
        clone::unshare(Namespaces::CGROUP).at(Stage::CgroupNamespace)?;
    }
    confine::join_keyring(kit.keyring.as_deref(), &plan.process, attributes)?;
    if !kit.shares_mounts {
        mount::set_propagation(c"/", Propagation::Slave, Extent::Recursive).at(Stage::Isolate)?;
    }
    if namespaces.new.contains(Namespaces::NETWORK) && !network::is_lent(namespaces) {
        network::bring_loopback_up().at(Stage::Loopback)?;
    }
    Ok(())
}

/// unshare(2) makes it for children only, so that its offsets can be written before anybody is in it.
fn enter_new_time(socket: BorrowedFd<'_>) -> io::Result<()> {
    clone::unshare(Namespaces::TIME)?;
    ask(socket, &Report::TimeOffsets);
    let file = files::open(HERE, c"/proc/self/ns/time_for_children", files::O_RDONLY, 0)?;
    clone::enter(file.as_fd(), Namespaces::TIME)
}

fn become_root() -> io::Result<()> {
    credentials::set_group(0)?;
    credentials::set_user(0)
}

fn names(plan: &Plan) -> Result<(), Fault> {
    if let Some(name) = &plan.hostname {
        clone::set_hostname(name).at(Stage::Hostname)?;
    }
    if let Some(name) = &plan.domainname {
        clone::set_domainname(name).at(Stage::Domainname)?;
    }
    Ok(())
}

/// Through the host's procfs, which shows the writer's namespaces: the container's own could be anything
/// (CVE-2025-52881).
fn sysctls(plan: &Plan, kit: &Kit) -> Result<(), Fault> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    if plan.sysctls.is_empty() {
        return Ok(());
    }
    kit.network.enter(kit.socket.as_fd())?;
    let open = files::open(HERE, c"/proc/sys", files::O_PATH | files::O_DIRECTORY, 0).and_then(|directory| {
        let is_proc = files::filesystem_type(directory.as_fd())? == PROC_SUPER_MAGIC;
        if is_proc { Ok(directory) } else { Err(io::Error::from(io::ErrorKind::InvalidInput)) }
    });
    let directory = open.at_index(Stage::Sysctl, Operation::Source, usize::MAX)?;
    for (index, sysctl) in plan.sysctls.iter().enumerate() {
        let flags = files::O_WRONLY;
        let result = openat2::open_c(directory.as_fd(), &sysctl.path, flags, Resolve::BENEATH_SAME_MOUNT)
            .and_then(|file| files::write(file.as_fd(), &sysctl.value));
        result.at_index(Stage::Sysctl, Operation::It, index)?;
    }
    Ok(())
}

/// Attaches the root and everything in it, then makes it the root.
fn root_file_system(plan: &Plan, kit: &mut Kit) -> Result<(), Fault> {
    sources::open_in_child(plan, kit)?;
    let shows_hooks = kit.has_host_hooks || !plan.create_container.is_empty();
    attach_root(kit, shows_hooks).at(Stage::Root)?;
    let (root, rest) = kit.root_and_rest();
    let tree = root.tree.as_fd();
    mounts::all(&root, plan, rest.binds, rest.made)?;
    root.network.enter(root.parent.as_fd())?;
    if let Some(devices) = &plan.devices {
        let fresh = plan.fresh_dev.and_then(|step| rest.made.get(step)?.as_ref());
        dev::all(tree, root.dev, devices, rest.device_binds, fresh)?;
    }
    if !plan.working_directory.is_root() {
        // What cannot be made shows when it is entered.
        let _ = rootfs::make_directories(tree, &plan.working_directory, 0o755);
    }
    if kit.has_host_hooks {
        ask(kit.socket.as_fd(), &Report::HostHooks);
    }
    ask_for_states(kit)?;
    let tree = kit.tree.as_fd();
    if !plan.create_container.is_empty() {
        files::change_directory(tree).at(Stage::Root)?;
        hooks::run(&plan.create_container, Operation::Create, &kit.hook_states[0], kit.own.ignored_signals)?;
    }
    if shows_hooks && !kit.shares_mounts {
        mount::attach_at(tree, c"/").at(Stage::Root)?;
    }
    let terminal = match (&kit.console, plan.process.terminal) {
        (Some(receiver), true) => {
            let slave = console::open(kit.tree.as_fd(), &kit.console_paths, receiver.as_fd(), &plan.process)?;
            console::bind(kit.tree.as_fd(), &kit.console_paths, slave.as_fd())?;
            Some(slave)
        }
        _ => None,
    };
    // The last that is made in what becomes read-only was the terminal's file.
    mounts::protect(&plan.steps, &kit.made, plan.bind_propagation)?;
    let tree = kit.tree.as_fd();
    paths::read_only(tree, &plan.readonly)?;
    paths::mask(tree, &plan.masked, plan.mount_label.as_deref())?;
    if let Some(terminal) = &terminal {
        console::take(terminal)?;
    }
    if plan.is_root_readonly {
        let read_only = Change { set: attr::RDONLY, ..Change::default() };
        mount::set_attributes(tree, read_only, Extent::Single).at(Stage::RootAttributes)?;
    }
    change_root(tree, kit).at(Stage::Pivot)?;
    if let Some((propagation, is_recursive)) = plan.root_propagation {
        let extent = if is_recursive { Extent::Recursive } else { Extent::Single };
        mount::set_propagation(c"/", propagation, extent).at(Stage::RootAttributes)?;
    }
    Ok(())
}

/// Attaches the root on top of the host's, which needs no right to search the directories that lead to the bundle; for
/// hooks first at its own path, where they look for it: those that enter the mount namespace and those that run in it.
/// In the host's own mount namespace it is attached where nobody else mounts anything.
fn attach_root(kit: &Kit, shows_hooks: bool) -> io::Result<()> {
    let tree = kit.tree.as_fd();
    match mount::attach_at(tree, if shows_hooks || kit.shares_mounts { &kit.root_path } else { c"/" }) {
        // A user namespace that cannot see the bundle: a hook can find the root by the process only.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && shows_hooks && !kit.shares_mounts => {
            mount::attach_at(tree, c"/")
        }
        result => result,
    }
}

/// `pivot_root(".", ".")` leaves the old root on top of the new one, from where it is taken off. The host's own root
/// stays what it is: a container in the host's mount namespace has another one by chroot alone. What is left as the
/// working directory is no place to be in: the process enters its own before anything else is looked for.
fn change_root(tree: BorrowedFd<'_>, kit: &Kit) -> io::Result<()> {
    files::change_directory(tree)?;
    if kit.shares_mounts || kit.no_pivot {
        if !kit.shares_mounts {
            bare::take_off(&kit.bare)?;
        }
        return mount::chroot_here();
    }
    mount::pivot_root_here()?;
    mount::detach(c".")
}

/// Becomes the process, and says that it is ready; the path to execute.
fn finish<'p>(plan: &'p Plan, kit: &mut Kit) -> Result<&'p CStr, Fault> {
    filter::receive(&plan.process, std::mem::take(&mut kit.filter), kit.socket.as_fd());
    // Who installs a filter with a listener has a question of its own in between.
    let is_announced = kit.announces_early && !filter::has_listener(&plan.process);
    if is_announced {
        tell(kit.socket.as_fd(), &Report::Ready);
    }
    let program = process::become_process(&plan.process, &kit.own, kit.socket.as_fd())?;
    // From here on it only waits for the answer, and ends when that cannot come: once it is recorded it outlives its
    // creator, and the signal must not be in flight then.
    prctl::die_with_parent(false).at(Stage::Session)?;
    if let Some(fifo) = &kit.fifo {
        // It may wait for long: nothing of the host stays open in it, and it ends when it is told to.
        let kept = [kit.socket.as_fd(), fifo.as_fd()];
        descriptors::close_all_but(3 + plan.process.preserve_fds, kept).at(Stage::Descriptors)?;
        wait::end_by_signals().at(Stage::Session)?;
        if kit.opens_sources && plan.namespaces.is_user_new() {
            // A user without privilege could not enter it otherwise before it is started; nobody else is in its users.
            prctl::allow_dump().at(Stage::Session)?;
        }
    }
    filter::install_last(&plan.process, kit.socket.as_fd())?;
    if is_announced {
        await_answer(kit.socket.as_fd());
    } else {
        ask(kit.socket.as_fd(), &Report::Ready);
    }
    Ok(program)
}

/// The fifo is open for reading and writing here, so this waits for a byte and not for a writer.
fn wait_for_start(kit: &mut Kit) -> Result<(), Fault> {
    kit.is_released = true;
    let Some(fifo) = &kit.fifo else { return Ok(()) };
    let mut byte = [0u8];
    files::read(fifo.as_fd(), &mut byte).map(drop).at(Stage::Wait)
}

/// The parent knows the state, and may be gone when the second one is needed.
fn ask_for_states(kit: &mut Kit) -> Result<(), Fault> {
    let socket = kit.socket.as_fd();
    for state in kit.hook_states.iter_mut().filter(|state| !state.is_empty()) {
        let answer = send(socket, &Report::StateForHooks).and_then(|()| files::read(socket, state));
        match answer {
            Ok(0) | Err(_) => descriptors::exit_now(SETUP_FAILED),
            Ok(length) => state.truncate(length),
        }
    }
    Ok(())
}

/// After start nobody reads the socket: what remains is the container's own standard error.
fn say_on_stderr(plan: &Plan, fault: &Fault) {
    if fault.stage == Stage::Hook {
        let _ = files::write(descriptors::STANDARD_STREAMS[2], b"startContainer hook failed\n"); // as below
        return;
    }
    let name = plan.process.program.name.as_bytes();
    let why: &[u8] = match fault.errno {
        8 => b": exec format error\n",
        13 => b": permission denied\n",
        2 => b": no such file or directory\n",
        _ => b": cannot be executed\n",
    };
    let stderr = descriptors::STANDARD_STREAMS[2];
    for part in [b"exec ".as_slice(), name, why] {
        let _ = files::write(stderr, part); // there is nowhere else to say it
    }
}

/// The root tree and what is attached in it, borrowed apart from each other.
pub(super) struct Rest<'k> {
    pub binds: &'k mut [Option<super::binds::BindSource>],
    pub made: &'k mut [Option<std::os::fd::OwnedFd>],
    pub device_binds: &'k mut [Option<std::os::fd::OwnedFd>],
}

impl Kit {
    fn root_and_rest(&mut self) -> (Root<'_>, Rest<'_>) {
        let root = Root { tree: &self.tree, dev: &self.dev, parent: &self.socket, network: &self.network };
        let rest = Rest { binds: &mut self.binds, made: &mut self.made, device_binds: &mut self.device_binds };
        (root, rest)
    }
}
