//! Sources of bind mounts: those of the host are opened by the parent, those in the container's own tree by the child,
//! once what comes before them is mounted.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::mount::{self, Change, Extent};
use corten_sys::openat2::{self, InRootfs, Resolve};
use corten_sys::syscall::HERE;
use corten_sys::{files, rootfs};

use super::idmap;
use super::spawn::InitError;
use crate::plan::{Last, MountStep, Plan, Source, Step};

/// A tree that a step attaches.
#[derive(Debug)]
pub struct BindSource {
    /// The detached tree.
    pub tree: OwnedFd,
    /// Whether its root is a directory.
    pub is_directory: bool,
}

/// Opens every source of the host with the host's rights and gives it its attributes, which a user namespace might not.
pub(super) fn sources(plan: &Plan) -> Result<Vec<Option<BindSource>>, InitError> {
    plan.steps.iter().map(|step| source(plan, step)).collect()
}

fn source(plan: &Plan, step: &Step) -> Result<Option<BindSource>, InitError> {
    let Step::Mount(step) = step else { return Ok(None) };
    let Source::Bind { source: path, extent, is_directory } = &step.source else { return Ok(None) };
    let opened =
        open_mapped(step, path, *extent).and_then(|tree| with_attributes(tree, step, *extent, *is_directory, plan));
    let text = || path.to_string_lossy().into_owned();
    let target = || step.described.1.clone();
    opened.map(Some).map_err(|why| match why.raw_os_error() {
        Some(EPERM) if step.of_bind.is_given() => InitError::BindOptions { path: text(), target: target(), why },
        _ => InitError::Bind { path: text(), target: target(), why },
    })
}

fn open_mapped(step: &MountStep, path: &CStr, extent: Extent) -> io::Result<OwnedFd> {
    let tree = clone(step, path, extent)?;
    step.id_map.as_ref().map_or(Ok(()), |map| idmap::apply(&tree, map))?;
    Ok(tree)
}

fn clone(step: &MountStep, path: &CStr, extent: Extent) -> io::Result<OwnedFd> {
    let clone = if step.source_nofollow { mount::clone_tree_nofollow } else { mount::clone_tree };
    clone(HERE, path, extent)
}

/// Opens a source of the host in the child, with the child's rights.
pub(super) fn open(
    step: &MountStep,
    path: &CStr,
    extent: Extent,
    is_directory: bool,
    plan: &Plan,
) -> io::Result<BindSource> {
    with_attributes(clone(step, path, extent)?, step, extent, is_directory, plan)
}

/// Opens a source in the container's tree; nothing in it leads outside. `map_owners` has the parent do so, which has the
/// right to.
pub(super) fn inside(
    root: BorrowedFd<'_>,
    path: &InRootfs,
    step: &MountStep,
    extent: Extent,
    plan: &Plan,
    map_owners: impl FnOnce(&OwnedFd),
) -> io::Result<BindSource> {
    let handle = if step.source_nofollow {
        openat2::open(root, path, files::O_PATH | files::O_NOFOLLOW, 0, Resolve::IN_ROOT)?
    } else {
        rootfs::open_handle(root, path)?
    };
    let tree = mount::clone_tree(handle.as_fd(), c"", extent)?;
    if step.id_map.is_some() {
        map_owners(&tree);
    }
    with_attributes(tree, step, extent, false, plan)
}

fn with_attributes(
    tree: OwnedFd,
    step: &MountStep,
    extent: Extent,
    is_directory: bool,
    plan: &Plan,
) -> io::Result<BindSource> {
    let is_directory = is_directory || files::stat(tree.as_fd(), c"")?.is(files::S_IFDIR);
    if step.last == Last::WithParent {
        return Ok(BindSource { tree, is_directory });
    }
    // A user namespace could not do it itself: what it must not take from the host's mounts stays.
    let is_locked = plan.namespaces.has_own_users();
    match give(&tree, step, extent, plan, is_locked) {
        // The runtime is in one, too.
        Err(error) if error.raw_os_error() == Some(EPERM) && !is_locked && step.of_bind.is_given() => {
            give(&tree, step, extent, plan, true)?;
        }
        result => result?,
    }
    Ok(BindSource { tree, is_directory })
}

pub(super) const EPERM: i32 = 1;

fn give(tree: &OwnedFd, step: &MountStep, extent: Extent, plan: &Plan, is_locked: bool) -> io::Result<()> {
    let propagation = plan.bind_propagation.filter(|_| step.propagation.is_none());
    let of_bind = if is_locked && step.of_bind.is_given() {
        let change = step.of_bind.change_locked(files::mount_flags(tree.as_fd())?);
        change.map_err(|_| io::Error::from_raw_os_error(EPERM))?
    } else {
        step.of_bind.change()
    };
    let attributes = step.attributes.then(of_bind);
    if extent == Extent::Single {
        // Nothing is below it: everything in one call.
        let change = Change { propagation, ..attributes.then(step.recursive) };
        return if change == Change::default() {
            Ok(())
        } else {
            mount::set_attributes(tree.as_fd(), change, Extent::Single)
        };
    }
    if propagation.is_some() {
        let change = Change { propagation, ..Change::default() };
        mount::set_attributes(tree.as_fd(), change, Extent::Recursive)?;
    }
    if !attributes.is_empty() {
        mount::set_attributes(tree.as_fd(), attributes, Extent::Single)?;
    }
    if !step.recursive.is_empty() {
        mount::set_attributes(tree.as_fd(), step.recursive, Extent::Recursive)?;
    }
    Ok(())
}
