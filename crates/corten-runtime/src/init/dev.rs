//! Nodes and links in /dev, in the child. The directory is opened within the root first: an image whose /dev is a
//! symlink leads nowhere else (CVE-2026-41579).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::files;
use corten_sys::mount;
use corten_sys::openat2::InRootfs;
use corten_sys::rootfs;

use super::report::{At, Fault, Operation, Stage};
use crate::plan::{Device, DevicePlan, LINKS};

/// Makes the nodes; `trees` has the host's nodes where they are bound.
pub(super) fn all(
    root: BorrowedFd<'_>,
    dev: &InRootfs,
    plan: &DevicePlan,
    trees: &mut [Option<OwnedFd>],
) -> Result<(), Fault> {
    for (index, node) in plan.nodes.iter().enumerate() {
        let directory = rootfs::make_directories(root, &node.directory, 0o755);
        let directory = directory.at_index(Stage::Device, Operation::Target, index)?;
        match trees.get_mut(index).and_then(Option::take) {
            Some(tree) => bind(directory.as_fd(), node, &tree).at_index(Stage::Device, Operation::Attach, index)?,
            None => make(directory.as_fd(), node).at_index(Stage::Device, Operation::Create, index)?,
        }
    }
    links(root, dev).at(Stage::DeviceLinks)
}

fn make(directory: BorrowedFd<'_>, node: &Device) -> io::Result<()> {
    match files::make_node(directory, &node.name, node.mode, node.number.0, node.number.1) {
        // The image brings its own, and no filesystem covers /dev: it is left, as runc leaves it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        result => result?,
    }
    if node.owner == (0, 0) {
        return Ok(());
    }
    files::change_owner_at(directory, &node.name, node.owner.0, node.owner.1)
}

fn bind(directory: BorrowedFd<'_>, node: &Device, tree: &OwnedFd) -> io::Result<()> {
    let flags = files::O_CREAT | files::O_NOFOLLOW | files::O_RDONLY | files::O_NONBLOCK;
    let target = match files::open(directory, &node.name, flags | files::O_EXCL, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            files::open(directory, &node.name, files::O_PATH | files::O_NOFOLLOW, 0)?
        }
        result => result?,
    };
    mount::attach(tree.as_fd(), target.as_fd())
}

fn links(root: BorrowedFd<'_>, dev: &InRootfs) -> io::Result<()> {
    let dev = rootfs::make_directories(root, dev, 0o755)?;
    for (target, name) in LINKS {
        link(target, dev.as_fd(), name)?;
    }
    // The terminal multiplexer is the container's own; a node the image brings would be the host's.
    match files::remove(dev.as_fd(), c"ptmx", false) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    link(c"pts/ptmx", dev.as_fd(), c"ptmx")
}

fn link(target: &std::ffi::CStr, directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<()> {
    match files::make_symlink(target, directory, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
