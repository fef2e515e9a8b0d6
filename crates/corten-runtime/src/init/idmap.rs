//! Idmapped mounts (mount_setattr(2), `MOUNT_ATTR_IDMAP`): a mount shows other owners than its filesystem has. The
//! kernel takes the mapping from a user namespace, which is made for that and thrown away.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use corten_sys::clone::{self, Cloned, Namespaces};
use corten_sys::mount::{self, Extent};
use corten_sys::pidfd::PidFd;
use corten_sys::{descriptors, files, prctl};

use crate::plan::IdMap;

/// Gives the tree the mapping of `map`.
pub(super) fn apply(tree: &OwnedFd, map: &IdMap) -> io::Result<()> {
    let namespace = match map {
        IdMap::New { uid_map, gid_map, .. } => namespace(uid_map, gid_map)?,
        IdMap::Joined { path, .. } => File::open(path)?.into(),
    };
    let extent = if map.is_recursive() { Extent::Recursive } else { Extent::Single };
    mount::set_id_map(tree.as_fd(), namespace.as_fd(), extent)
}

/// A user namespace with these maps. Nobody is in it when this returns.
fn namespace(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    let (reader, writer) = descriptors::pipe()?;
    let (pid, pidfd) = match clone::clone(Namespaces::USER, None)? {
        Cloned::Child => {
            drop(writer);
            let _ = prctl::die_with_parent(true); // its end also shows at the pipe
            let _ = files::read(reader.as_fd(), &mut [0]); // until the other end is closed
            descriptors::exit_now(0)
        }
        Cloned::Parent { pid, pidfd } => (pid, PidFd::from_owned(pidfd)),
    };
    let write = |file: &str, map: &str| {
        let file = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/{file}"))?;
        files::write(file.as_fd(), map.as_bytes())
    };
    let opened = write("uid_map", uid_map)
        .and_then(|()| write("gid_map", gid_map))
        .and_then(|()| File::open(format!("/proc/{pid}/ns/user")));
    drop((reader, writer));
    let _ = pidfd.wait(); // it ends now, and its status says nothing
    opened.map(OwnedFd::from)
}
