//! Masked and read-only paths, in the child, before the root is changed: the masks come from the host's own /dev/null
//! and from an empty tmpfs of ours, never from what the container's tree shows (CVE-2025-31133).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::descriptors::leave_to_exec;
use corten_sys::files::{self, S_IFCHR, S_IFDIR};
use corten_sys::mount::{self, Change, Extent, attr};
use corten_sys::openat2::InRootfs;
use corten_sys::rootfs;
use corten_sys::syscall::HERE;

use super::report::{At, Fault, Operation, Stage};

/// The number of the null device on every Linux.
const NULL_DEVICE: (u32, u32) = (1, 3);

const READ_ONLY: Change = Change { set: attr::RDONLY, clear: 0, propagation: None };

/// Masks every path that exists: a directory by an empty read-only one, anything else by the null device.
pub(super) fn mask(root: BorrowedFd<'_>, masked: &[InRootfs], label: Option<&CStr>) -> Result<(), Fault> {
    if masked.is_empty() {
        return Ok(());
    }
    let null = null_device().at(Stage::Mask)?;
    let mut empty: Option<OwnedFd> = None;
    for (index, path) in masked.iter().enumerate() {
        let Some(target) = existing(root, path).at_index(Stage::Mask, Operation::Target, index)? else { continue };
        let covered = mask_one(target.as_fd(), null.as_fd(), &mut empty, label);
        covered.at_index(Stage::Mask, Operation::Attach, index)?;
        leave_to_exec(target);
    }
    [Some(null), empty].into_iter().flatten().for_each(leave_to_exec);
    Ok(())
}

fn mask_one(
    target: BorrowedFd<'_>,
    null: BorrowedFd<'_>,
    empty: &mut Option<OwnedFd>,
    label: Option<&CStr>,
) -> io::Result<()> {
    if !files::stat(target, c"")?.is(S_IFDIR) {
        let tree = mount::clone_tree(null, c"", Extent::Single)?;
        mount::attach(tree.as_fd(), target)?;
        leave_to_exec(tree);
        return Ok(());
    }
    // One filesystem serves all: after the first directory its mount is cloned.
    let tree = match empty {
        Some(first) => mount::clone_tree(first.as_fd(), c"", Extent::Single)?,
        None => empty_directory(label)?,
    };
    mount::attach(tree.as_fd(), target)?;
    match empty {
        Some(_) => leave_to_exec(tree),
        None => *empty = Some(tree),
    }
    Ok(())
}

fn empty_directory(label: Option<&CStr>) -> io::Result<OwnedFd> {
    let context = mount::fsopen(c"tmpfs")?;
    mount::set_string(context.as_fd(), c"source", c"tmpfs")?;
    mount::set_string(context.as_fd(), c"mode", c"0755")?;
    mount::set_string(context.as_fd(), c"nr_blocks", c"1")?;
    mount::set_string(context.as_fd(), c"nr_inodes", c"1")?;
    if let Some(label) = label {
        mount::set_string(context.as_fd(), c"context", label)?;
    }
    let tree = mount::create(context.as_fd(), attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC);
    leave_to_exec(context);
    tree
}

/// The host's null device, checked by number: something else under that name would be readable in the container.
fn null_device() -> io::Result<OwnedFd> {
    let null = files::open(HERE, c"/dev/null", files::O_PATH | files::O_NOFOLLOW, 0)?;
    let stat = files::stat(null.as_fd(), c"")?;
    if !stat.is(S_IFCHR) || stat.rdev != NULL_DEVICE {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(null)
}

/// Makes every path that exists read-only by binding it onto itself.
pub(super) fn read_only(root: BorrowedFd<'_>, paths: &[(InRootfs, Extent)]) -> Result<(), Fault> {
    for (index, (path, extent)) in paths.iter().enumerate() {
        let Some(target) = existing(root, path).at_index(Stage::Readonly, Operation::Target, index)? else { continue };
        let tree = match extent {
            Extent::Single => mount::clone_tree_changed(target.as_fd(), c"", Extent::Single, READ_ONLY),
            // What is mounted below keeps what it has.
            Extent::Recursive => mount::clone_tree(target.as_fd(), c"", Extent::Recursive).and_then(|tree| {
                mount::set_attributes(tree.as_fd(), READ_ONLY, Extent::Single)?;
                Ok(tree)
            }),
        };
        let result = tree.and_then(|tree| {
            mount::attach(tree.as_fd(), target.as_fd())?;
            leave_to_exec(tree);
            Ok(())
        });
        result.at_index(Stage::Readonly, Operation::Attach, index)?;
        leave_to_exec(target);
    }
    Ok(())
}

/// A handle on what is there; a path that does not exist needs no protection.
fn existing(root: BorrowedFd<'_>, path: &InRootfs) -> io::Result<Option<OwnedFd>> {
    match rootfs::open_handle(root, path) {
        Ok(handle) => Ok(Some(handle)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
