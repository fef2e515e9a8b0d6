//! Nodes and links in /dev, in the child. The directory is opened within the root first: an image whose /dev is a
//! symlink leads nowhere else (CVE-2026-41579). A /dev that was mounted here, empty, is not looked for again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::files;
use corten_sys::mount::{self, Extent};
use corten_sys::openat2::InRootfs;
use corten_sys::rootfs;
use corten_sys::syscall::HERE;

use super::report::{At, Fault, Operation, Stage};
use crate::plan::{Device, DevicePlan, LINKS};

/// Makes the nodes; `trees` has the host's nodes where they are bound.
pub(super) fn all(
    root: BorrowedFd<'_>,
    dev: &InRootfs,
    plan: &DevicePlan,
    trees: &mut [Option<OwnedFd>],
    fresh: Option<&OwnedFd>,
) -> Result<(), Fault> {
    let opened;
    let dev_directory = match fresh {
        Some(fresh) => fresh.as_fd(),
        None => {
            opened = rootfs::make_directories(root, dev, 0o755).at(Stage::DeviceLinks)?;
            opened.as_fd()
        }
    };
    for (index, node) in plan.nodes.iter().enumerate() {
        let elsewhere;
        let directory = if node.directory == *dev {
            dev_directory
        } else {
            let directory = rootfs::make_directories(root, &node.directory, 0o755);
            elsewhere = directory.at_index(Stage::Device, Operation::Target, index)?;
            elsewhere.as_fd()
        };
        match trees.get_mut(index).and_then(Option::take) {
            Some(tree) => bind(directory, node, &tree).at_index(Stage::Device, Operation::Attach, index)?,
            None => make_or_bind(directory, node).at_index(Stage::Device, Operation::Create, index)?,
        }
    }
    links(dev_directory, fresh.is_some()).at(Stage::DeviceLinks)
}

/// Root of a user namespace may not make nodes, even in a container without one of its own: it binds the host's.
fn make_or_bind(directory: BorrowedFd<'_>, node: &Device) -> io::Result<()> {
    const EPERM: i32 = 1;
    match make(directory, node) {
        Err(error) if error.raw_os_error() == Some(EPERM) => match same_on_host(node) {
            Some(tree) => bind(directory, node, &tree),
            None => Err(error),
        },
        result => result,
    }
}

/// The host's node at the same path, when it is the same device.
fn same_on_host(node: &Device) -> Option<OwnedFd> {
    let tree = mount::clone_tree(HERE, &node.host, Extent::Single).ok()?;
    let stat = files::stat(tree.as_fd(), c"").ok()?;
    (stat.is(node.mode & files::S_IFMT) && stat.rdev == node.number).then_some(tree)
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

fn links(dev: BorrowedFd<'_>, is_fresh: bool) -> io::Result<()> {
    for (target, name) in LINKS {
        link(target, dev, name)?;
    }
    // The terminal multiplexer is the container's own; a node the image brings would be the host's.
    if !is_fresh {
        match files::remove(dev, c"ptmx", false) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    link(c"pts/ptmx", dev, c"ptmx")
}

fn link(target: &std::ffi::CStr, directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<()> {
    match files::make_symlink(target, directory, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
