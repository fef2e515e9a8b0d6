//! The file system of a container that does not run, mounted where nobody else sees it.
//!
//! A thread of its own takes a private mount namespace, mounts there what a start would mount, and waits. The mounts are
//! used through a descriptor of their root; the namespace goes with the thread, and the thread with the engine.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use corten_proto::containerd::types::Mount;
use corten_sys::clone::{self, Namespaces};
use corten_sys::mount::{self, Change, Extent, Propagation, attr};
use corten_sys::openat2::InRootfs;
use corten_sys::{at, files, handle, mount_options, rootfs};

use crate::spec::UserMount;

/// The directory of the private root that the container's file system is mounted on.
const PLACE: &str = "tree";

/// A mounted file system.
pub struct Mounted {
    release: Sender<()>,
    released: Receiver<()>,
}

impl Mounted {
    /// Unmounts it, once every descriptor of it is closed. The kernel has let go of the overlay when this returns.
    pub fn unmount(self) {
        let Self { release, released } = self;
        drop(release);
        // An error is the thread's end, which is what is waited for.
        let _ = released.recv();
    }
}

/// Mounts `overlay` and, in it, `binds`, and opens the root. `scratch` is a directory of ours on the host: it is only
/// covered in the thread's own namespace.
///
/// # Errors
/// What was being mounted, with the kernel's reason; nothing is left.
pub fn mount(overlay: Vec<Mount>, binds: Vec<UserMount>, scratch: PathBuf) -> io::Result<(OwnedFd, Mounted)> {
    let (opened, open) = channel();
    let (release, wait) = channel::<()>();
    let (done, released) = channel();
    let hold = move || {
        let result = mount_all(&overlay, &binds, &scratch);
        let place = result.as_ref().map(|(_, place)| place.clone()).unwrap_or_default();
        // Who asked may be gone; the next wait ends at once then.
        let _ = opened.send(result.map(|(root, _)| root));
        // Nothing is ever sent: this ends when the other end is dropped.
        let _ = wait.recv();
        // With the last mount the overlay itself goes, before this call returns.
        let _ = mount::detach(&place);
        let _ = done.send(());
    };
    std::thread::Builder::new().name("stopped-tree".to_owned()).spawn(hold)?;
    let root = open.recv().map_err(io::Error::other)??;
    Ok((root, Mounted { release, released }))
}

/// Mounts everything in a new mount namespace of this thread; the root, and where it is to be unmounted.
fn mount_all(overlay: &[Mount], binds: &[UserMount], scratch: &Path) -> io::Result<(OwnedFd, CString)> {
    clone::unshare(Namespaces::MOUNT).map_err(while_doing("take a mount namespace"))?;
    mount::set_propagation(c"/", Propagation::Private, Extent::Recursive).map_err(while_doing("isolate mounts"))?;
    // Before the scratch directory is covered: the engine's own files of the container lie in it.
    let mut sources = Vec::new();
    for bind in binds {
        sources.push(source_of(bind).map_err(while_doing(&format!("open {}", bind.source)))?);
    }
    // A file system of ours is the root of the namespace, so that it holds none of the host's mounts.
    let context = mount::fsopen(c"tmpfs")?;
    mount::set_string(context.as_fd(), c"mode", c"0700")?;
    let private = mount::create(context.as_fd(), attr::NOSUID | attr::NODEV | attr::NOEXEC)?;
    at::mkdir(private.as_fd(), OsStr::new(PLACE), 0o700)?;
    mount::attach_at(private.as_fd(), &c_path(scratch)?).map_err(while_doing("mount a private root"))?;
    let place = scratch.join(PLACE);
    for one in overlay {
        let (fstype, source, options) = (one.r#type.clone(), one.source.clone(), one.options.clone());
        let prepared = mount_options::Mount { fstype, source, options };
        if let Some(what) = prepared.unsupported() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("a mount with {}: not supported yet", what.0),
            ));
        }
        prepared.mount(&place).map_err(while_doing("mount the layers"))?;
    }
    let here = at::open_root(&place)?;
    let root = handle::open(here.as_fd(), OsStr::new("."))?;
    drop(here);
    for (bind, source) in binds.iter().zip(sources) {
        put(bind, source, root.as_fd()).map_err(while_doing(&format!("mount {}", bind.target)))?;
    }
    let place =
        leave_the_host(private.as_fd()).map_or_else(|_| c_path(&place), |()| c_path(&Path::new("/").join(PLACE)))?;
    Ok((root, place))
}

/// Makes `private` the root and takes every mount of the host away from this namespace: a container that ends meanwhile
/// must not find its own mount kept here.
///
/// # Errors
/// `EINVAL` where the host's root cannot be moved (an initramfs): the mounts then stay here a while.
fn leave_the_host(private: BorrowedFd<'_>) -> io::Result<()> {
    files::change_directory(private)?;
    mount::pivot_root_here()?;
    mount::detach(c".")
}

/// A detached copy of what is to be mounted, and whether it is a directory.
struct Source {
    tree: OwnedFd,
    is_directory: bool,
}

fn source_of(bind: &UserMount) -> io::Result<Source> {
    if bind.kind == "tmpfs" {
        // What a tmpfs holds lives as long as the container runs: now it is empty, and keeps nothing.
        let context = mount::fsopen(c"tmpfs")?;
        let tree = mount::create(context.as_fd(), attr::RDONLY | attr::NODEV)?;
        return Ok(Source { tree, is_directory: true });
    }
    let source = Path::new(&bind.source);
    let is_directory = source.metadata()?.is_dir();
    let extent = if bind.recursive { Extent::Recursive } else { Extent::Single };
    let slash = at::open_root(Path::new("/"))?;
    let tree = mount::clone_tree(slash.as_fd(), &c_path(source)?, extent)?;
    let set = if bind.read_only { attr::RDONLY } else { 0 };
    let change = Change { set, clear: 0, propagation: Some(Propagation::Private) };
    mount::set_attributes(tree.as_fd(), change, extent)?;
    Ok(Source { tree, is_directory })
}

/// Mounts `bind` into the tree at `root`, as a start would; nothing of it is ever executed or seen by the host.
fn put(bind: &UserMount, source: Source, root: BorrowedFd<'_>) -> io::Result<()> {
    let target = InRootfs::new(&bind.target)?;
    let Source { tree, is_directory } = source;
    let onto =
        if is_directory { rootfs::make_directories(root, &target, 0o755)? } else { rootfs::make_file(root, &target)? };
    mount::attach(tree.as_fd(), onto.as_fd())
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

fn while_doing(what: &str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}
