//! Snapshots as whole copies, for hosts without overlayfs: `<root>/io.containerd.snapshotter.v1.native/snapshots/<id>`.
//!
//! Costs time and space in proportion to the image; file systems that can share blocks (xfs, btrfs) share them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use corten_sys::at;

use crate::{Kind, Mount, Usage};

/// The copying snapshotter's directories.
#[derive(Debug, Clone)]
pub struct Native {
    snapshots: PathBuf,
}

impl Native {
    /// The snapshotter under `root`, whose directories are made where missing.
    ///
    /// # Errors
    /// mkdir(2).
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        let snapshots = root.as_ref().join("io.containerd.snapshotter.v1.native/snapshots");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&snapshots)?;
        Ok(Self { snapshots })
    }

    /// The directory of snapshot `id`.
    pub fn layer(&self, id: u64) -> PathBuf {
        self.snapshots.join(id.to_string())
    }

    /// Makes snapshot `id` as a copy of its nearest parent.
    ///
    /// # Errors
    /// What copying gave; nothing is left behind.
    pub fn prepare(&self, id: u64, parents: &[u64], kind: Kind) -> io::Result<()> {
        let new = format!("new-{id}");
        let dir = at::open_root(&self.snapshots)?;
        at::remove_all(dir.as_fd(), OsStr::new(&new))?;
        self.remove(id)?;
        // A view shows its parent itself; its directory only marks that it exists.
        let copied = at::mkdir(dir.as_fd(), OsStr::new(&new), 0o755).and_then(|()| match parents.first() {
            Some(parent) if kind == Kind::Active => {
                let from = at::open_root(&self.layer(*parent))?;
                let to = at::open_dir(dir.as_fd(), OsStr::new(&new))?;
                corten_layers::copy::tree(from.as_fd(), to.as_fd())
            }
            _ => Ok(()),
        });
        let made = copied.and_then(|()| fs::rename(self.snapshots.join(&new), self.layer(id)));
        if made.is_err() {
            // The first error is the one that tells; a leftover goes with the next attempt.
            let _ = at::remove_all(dir.as_fd(), OsStr::new(&new));
        }
        made
    }

    /// The bind mount that shows snapshot `id`.
    pub fn mounts(&self, id: u64, parents: &[u64], kind: Kind) -> Vec<Mount> {
        let (source, access) = match (kind, parents.first()) {
            (Kind::Active, _) => (self.layer(id), "rw"),
            (_, Some(parent)) => (self.layer(*parent), "ro"),
            (_, None) => (self.layer(id), "ro"),
        };
        let options = vec!["rbind".to_owned(), access.to_owned()];
        vec![Mount { kind: "bind".into(), source: source.display().to_string(), options }]
    }

    /// Removes snapshot `id`; one that is not there is no error.
    ///
    /// # Errors
    /// unlinkat(2).
    pub fn remove(&self, id: u64) -> io::Result<()> {
        let dir = at::open_root(&self.snapshots)?;
        at::remove_all(dir.as_fd(), OsStr::new(&id.to_string()))
    }

    /// What snapshot `id` takes on disk.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn usage(&self, id: u64) -> io::Result<Usage> {
        Usage::of(at::open_root(&self.layer(id))?.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_links_and_modes_and_is_independent() {
        let dir = tempfile::Builder::new().prefix("corten-snapshots-").tempdir().unwrap();
        let native = Native::new(dir.path()).unwrap();
        native.prepare(1, &[], Kind::Active).unwrap();
        fs::create_dir(native.layer(1).join("etc")).unwrap();
        fs::write(native.layer(1).join("etc/a"), "one").unwrap();
        fs::hard_link(native.layer(1).join("etc/a"), native.layer(1).join("b")).unwrap();
        std::os::unix::fs::symlink("/nowhere", native.layer(1).join("etc/link")).unwrap();

        native.prepare(2, &[1], Kind::Active).unwrap();

        fs::write(native.layer(2).join("b"), "two").unwrap();
        assert_eq!(fs::read_to_string(native.layer(2).join("etc/a")).unwrap(), "two");
        assert_eq!(fs::read_to_string(native.layer(1).join("b")).unwrap(), "one");
        assert_eq!(fs::read_link(native.layer(2).join("etc/link")).unwrap(), Path::new("/nowhere"));
        native.remove(2).unwrap();
        assert!(!native.layer(2).exists());
    }
}
