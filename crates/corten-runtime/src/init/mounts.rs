//! Mounting in the child: every filesystem is made detached, every target is opened within the root, and the two are
//! joined by descriptor.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use corten_sys::descriptors::leave_to_exec;
use corten_sys::files;
use corten_sys::mount::{self, Change, Extent, Propagation, attr};
use corten_sys::openat2::{self, Resolve};
use corten_sys::syscall::HERE;
use corten_sys::{copy_tree, rootfs, xattr};

use super::binds::{self, BindSource};
use super::remount;
use super::report::{At, Fault, Operation, Report, Stage, ask};
use super::spawn::Root;
use crate::plan::{Last, MountStep, Plan, Source, Step};

/// Walks the steps. `binds` has an entry per step, and so has `made`, where the mounts are kept.
pub(super) fn all(
    place: &Root<'_>,
    plan: &Plan,
    binds: &mut [Option<BindSource>],
    made: &mut [Option<OwnedFd>],
) -> Result<(), Fault> {
    let (root, parent) = (place.tree.as_fd(), place.parent.as_fd());
    // The step whose filesystem is the current directory.
    let mut here = None;
    for (index, step) in plan.steps.iter().enumerate() {
        place.network.enter_before(step, parent)?;
        match step {
            Step::Link { target, directory, name } => {
                let directory =
                    rootfs::open_handle(root, directory).at_index(Stage::Mount, Operation::Target, index)?;
                match files::make_symlink(target, directory.as_fd(), name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    result => result.at_index(Stage::Mount, Operation::Create, index)?,
                }
            }
            Step::Mount(step) if step.is_remount => {
                here = None;
                let tree = remount::remount(root, step, index)?;
                propagate(step, &tree, index)?;
                made[index] = Some(tree);
            }
            Step::Mount(step) => {
                let bind = match &step.source {
                    Source::Inside { path, extent } => {
                        let bind = binds::inside(root, path, step, *extent, plan, |tree| {
                            let number = tree.as_raw_fd();
                            ask(parent, &Report::IdMap { number, step: u32::try_from(index).unwrap_or(u32::MAX) });
                        });
                        Some(bind.at_index(Stage::Mount, Operation::Source, index)?)
                    }
                    _ => binds.get_mut(index).and_then(Option::take),
                };
                let tree = match try_inside(step, bind.as_ref(), made, index, &mut here)? {
                    Some(new) => new.or(bind.map(|bind| bind.tree)),
                    None => {
                        here = None;
                        one(root, step, bind, index)?
                    }
                };
                if let Some(tree) = &tree {
                    propagate(step, tree, index)?;
                }
                made[index] = tree;
            }
        }
    }
    Ok(())
}

/// Gives what could not be given while something was made in it.
pub(super) fn protect(
    steps: &[Step],
    made: &[Option<OwnedFd>],
    bind_propagation: Option<Propagation>,
) -> Result<(), Fault> {
    for (index, (step, tree)) in steps.iter().zip(made.iter()).enumerate() {
        let (Step::Mount(step), Some(tree)) = (step, tree) else { continue };
        let (change, extent) = match step.last {
            Last::Nothing | Last::WithParent => continue,
            Last::ReadOnly => (Change { set: attr::RDONLY, ..Change::default() }, Extent::Single),
            Last::AllBelow => {
                let propagation = bind_propagation.filter(|_| step.propagation.is_none());
                (Change { propagation, ..step.attributes }, Extent::Recursive)
            }
        };
        let changed = mount::set_attributes(tree.as_fd(), change, extent);
        changed.at_index(Stage::Mount, Operation::Attributes, index)?;
    }
    Ok(())
}

/// Attaches a step in the empty filesystem an earlier one made, by its name there; `None` when that is not how it is.
/// What is returned is the new filesystem, or `None` for one that nobody needs again and for a bind, which the caller has.
fn try_inside(
    step: &MountStep,
    bind: Option<&BindSource>,
    made: &[Option<OwnedFd>],
    index: usize,
    here: &mut Option<usize>,
) -> Result<Option<Option<OwnedFd>>, Fault> {
    let Some((number, name)) = &step.inside else { return Ok(None) };
    let Some(parent) = made.get(*number).and_then(Option::as_ref) else { return Ok(None) };
    if bind.is_some_and(|bind| !bind.is_directory) {
        return Ok(None);
    }
    match files::make_directory(parent.as_fd(), name, 0o755) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        result => result.at_index(Stage::Mount, Operation::Target, index)?,
    }
    if step.one_call.is_some() {
        let entered = *here == Some(*number) || files::change_directory(parent.as_fd()).is_ok();
        *here = entered.then_some(*number);
        if entered && in_one_call(step, name) {
            return Ok(Some(None));
        }
    }
    let new = match bind {
        Some(_) => None,
        None => Some(new_filesystem(step, parent.as_fd(), false, index)?),
    };
    let tree = new.as_ref().or(bind.map(|bind| &bind.tree));
    if let Some(tree) = tree {
        let attached = mount::attach_in(tree.as_fd(), parent.as_fd(), name);
        attached.at_index(Stage::Mount, Operation::Attach, index)?;
    }
    Ok(Some(new))
}

fn propagate(step: &MountStep, tree: &OwnedFd, index: usize) -> Result<(), Fault> {
    let Some((propagation, extent)) = step.propagation else { return Ok(()) };
    let change = Change { propagation: Some(propagation), ..Change::default() };
    mount::set_attributes(tree.as_fd(), change, extent).at_index(Stage::Mount, Operation::Attributes, index)
}

/// Makes the filesystem and attaches it at `path` from the current directory; `false` when that is done the long way, or
/// said there why not.
fn in_one_call(step: &MountStep, path: &CStr) -> bool {
    let (Source::New { fstype, source, .. }, Some(data)) = (&step.source, &step.one_call) else { return false };
    let data = (!data.is_empty()).then_some(data.as_c_str());
    mount::mount_new(fstype, source.as_deref(), path, step.attributes.set, data, 0).is_ok()
}

/// What is returned is the tree, unless nobody needs it again.
fn one(
    root: BorrowedFd<'_>,
    step: &MountStep,
    bind: Option<BindSource>,
    index: usize,
) -> Result<Option<OwnedFd>, Fault> {
    let is_directory = bind.as_ref().is_none_or(|bind| bind.is_directory);
    let opened = open_target(root, step, is_directory).at_index(Stage::Mount, Operation::Target, index)?;
    let Target { handle: target, existed, is_in_procfs } = opened;
    if is_in_procfs != Some(false) && !step.may_cover_proc {
        refuse_proc(target.as_fd()).map_err(|error| {
            Fault::new(Stage::Mount, Operation::Target, index, &error).with_message(b"it lies inside a procfs")
        })?;
    }
    if step.counts_versions {
        return remount::count_versions(root, step, &target, existed, index).map(Some);
    }
    // The current directory is the handle: a path is not walked twice.
    if step.one_call.is_some() && files::change_directory(target.as_fd()).is_ok() && in_one_call(step, c".") {
        leave_to_exec(target);
        return Ok(None);
    }
    let tree = match bind {
        Some(bind) => bind.tree,
        None => new_filesystem(step, target.as_fd(), existed, index)?,
    };
    if existed && matches!(step.source, Source::New { copies_up: true, .. }) {
        let copied = copy_tree::copy_tree(target.as_fd(), tree.as_fd());
        copied.map_err(|error| {
            Fault::new(Stage::Mount, Operation::Create, index, &error).with_message(b"copying what it covers")
        })?;
    }
    let attached = mount::attach(tree.as_fd(), target.as_fd());
    let attached =
        attached.map_err(|error| if is_of_other_kind(&target, is_directory) { no_directory() } else { error });
    attached.at_index(Stage::Mount, Operation::Attach, index)?;
    leave_to_exec(target);
    Ok(Some(tree))
}

/// A directory does not go onto a file, nor a file onto a directory. move_mount(2) has `EINVAL` for it as for much else;
/// mount(2), and so docker's hint to its user, has `ENOTDIR`.
fn is_of_other_kind(target: &OwnedFd, is_directory: bool) -> bool {
    files::stat(target.as_fd(), c"").is_ok_and(|found| found.is(files::S_IFDIR) != is_directory)
}

fn no_directory() -> io::Error {
    io::Error::from_raw_os_error(ENOTDIR)
}

/// By what the target is, not by its path: a symlink of the image may lead there.
pub(super) fn refuse_proc(target: BorrowedFd<'_>) -> io::Result<()> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    match files::filesystem_type(target)? {
        PROC_SUPER_MAGIC => Err(io::Error::from_raw_os_error(EPERM)),
        _ => Ok(()),
    }
}

const EPERM: i32 = 1;
const ENOTDIR: i32 = 20;

/// Where a step is attached.
struct Target {
    handle: OwnedFd,
    /// Whether it was there.
    existed: bool,
    /// Whether it lies in a procfs; `None` when nobody has looked.
    is_in_procfs: Option<bool>,
}

/// How a target is opened.
pub(super) fn how(step: &MountStep) -> (i32, Resolve) {
    let resolve = if step.needs_real_directory { Resolve::IN_ROOT_NO_SYMLINKS } else { Resolve::IN_ROOT };
    let mut flags = if step.target_nofollow { files::O_PATH | files::O_NOFOLLOW } else { files::O_PATH };
    if step.needs_real_directory {
        flags |= files::O_DIRECTORY;
    }
    (flags, resolve)
}

/// Opens where a step is attached, making what is missing.
fn open_target(root: BorrowedFd<'_>, step: &MountStep, is_directory: bool) -> io::Result<Target> {
    let (flags, resolve) = how(step);
    // What is on the root's own mount is in no other: it need not be asked what it is.
    if step.is_on_root
        && !step.may_cover_proc
        && let Ok(handle) = openat2::open(root, &step.target, flags, 0, resolve.on_same_mount())
    {
        return Ok(Target { handle, existed: true, is_in_procfs: Some(false) });
    }
    let (handle, existed) = match openat2::open(root, &step.target, flags, 0, resolve) {
        Ok(target) => (target, true),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_directory => {
            (rootfs::make_directories(root, &step.target, 0o755)?, false)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (rootfs::make_file(root, &step.target)?, false),
        Err(error) => return Err(error),
    };
    Ok(Target { handle, existed, is_in_procfs: None })
}

pub(super) fn new_filesystem(
    step: &MountStep,
    target: BorrowedFd<'_>,
    existed: bool,
    index: usize,
) -> Result<OwnedFd, Fault> {
    let Source::New { fstype, source, options, takes_mode, .. } = &step.source else {
        let error = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(Fault::new(Stage::Mount, Operation::Source, index, &error));
    };
    let opened = match mount::fsopen(fstype) {
        // The view of a network that this user namespace does not own.
        Err(error) if error.raw_os_error() == Some(EPERM) && fstype.as_c_str() == c"sysfs" => {
            return host_sysfs(step).or(Err(error)).at_index(Stage::Mount, Operation::It, index);
        }
        opened => opened.at_index(Stage::Mount, Operation::It, index)?,
    };
    let context = opened.as_fd();
    let said = |operation| move |error: io::Error| explain(context, operation, index, &error);
    if let Some(source) = source {
        mount::set_string(context, c"source", source).map_err(said(Operation::Option))?;
    }
    for (name, value) in options {
        let result = match value {
            Some(value) => mount::set_string(context, name, value),
            None => mount::set_flag(context, name),
        };
        result.map_err(said(Operation::Option))?;
    }
    if *takes_mode && existed {
        let mode = files::stat(target, c"").at_index(Stage::Mount, Operation::Target, index)?.mode & 0o7777;
        mount::set_string(context, c"mode", Octal::new(mode).as_c_str()).map_err(said(Operation::Option))?;
    }
    // Attributes of a new mount start empty, so there is nothing to clear.
    let attributes = if step.last == Last::AllBelow { 0 } else { step.attributes.set };
    let tree = mount::create(context, attributes).map_err(said(Operation::Create));
    leave_to_exec(opened);
    if let (Ok(tree), Some(label)) = (&tree, &step.root_label) {
        let labelled = xattr::fset_c(tree.as_fd(), c"security.selinux", label.to_bytes_with_nul());
        labelled.at_index(Stage::Mount, Operation::Attributes, index)?;
    }
    tree
}

/// What is mounted at /sys on the host, read-only all through: there may be cgroups below (CVE-2023-25809).
fn host_sysfs(step: &MountStep) -> io::Result<OwnedFd> {
    let tree = mount::clone_tree(HERE, c"/sys", Extent::Recursive)?;
    let set = step.attributes.set | attr::RDONLY;
    let change = Change { set, clear: 0, propagation: Some(Propagation::Slave) };
    mount::set_attributes(tree.as_fd(), change, Extent::Recursive)?;
    Ok(tree)
}

/// The error with what the filesystem said about it (fsopen(2): messages are read from the context).
fn explain(context: BorrowedFd<'_>, operation: Operation, index: usize, error: &io::Error) -> Fault {
    let mut buffer = [0u8; 200];
    let length = mount::context_message(context, &mut buffer);
    // The first two bytes are the level and a space.
    let message = buffer.get(2..length).unwrap_or_default();
    Fault::new(Stage::Mount, operation, index, error).with_message(message)
}

/// Four octal digits with a NUL, on the stack.
pub(super) struct Octal([u8; 6]);

impl Octal {
    pub(super) fn new(mode: u32) -> Self {
        let digit = |shift: u32| b'0' + (mode >> shift & 7) as u8;
        Self([b'0', digit(9), digit(6), digit(3), digit(0), 0])
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.0).unwrap_or(c"0755")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_written_in_octal() {
        assert_eq!(Octal::new(0o1777).as_c_str(), c"01777");
        assert_eq!(Octal::new(0o755).as_c_str(), c"00755");
    }
}
