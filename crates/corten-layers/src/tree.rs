//! The directory a layer is written into, reached by descriptor only.
//!
//! A path is used once: its directory is opened with the tree as `/` (links inside an image are legal, leaving it
//! is not possible), its last component only with calls that do not follow. The directory last used stays open,
//! since archives list files directory by directory.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use corten_sys::at::{self, FileType, Stat};
use corten_sys::xattr;

use crate::name::Name;

/// Links followed while missing directories are made; the kernel's own bound.
const LINKS_MAX: usize = 40;
/// overlayfs' mark of a directory that hides what lies below.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// An open directory of the tree.
#[derive(Clone)]
pub struct Dir {
    fd: Rc<OwnedFd>,
    /// Files made in a set-group-id directory get its group instead of ours.
    pub gives_group: bool,
}

impl Dir {
    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The tree being written and, for overlayfs, the layers below it, topmost first.
pub struct Tree {
    root: OwnedFd,
    lowers: Vec<OwnedFd>,
    cached: Option<(Name, Dir)>,
}

impl Tree {
    /// Opens the directory and the layers below it.
    ///
    /// # Errors
    /// The path that could not be opened, with the reason.
    pub fn open(dir: &Path, lowers: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let open = |path: &Path| at::open_root(path).map_err(|error| (path.to_owned(), error));
        let lowers = lowers.iter().map(|lower| open(lower)).collect::<Result<_, _>>()?;
        Ok(Self { root: open(dir)?, lowers, cached: None })
    }

    /// The root's descriptor.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// True when something lies below.
    pub fn has_lowers(&self) -> bool {
        !self.lowers.is_empty()
    }

    /// The directory `name`; made, with its parents, where missing.
    ///
    /// A made directory takes owner, mode and attributes of the same directory below, since in an overlay the upper
    /// one's count; without one it is ours and 0755, with the set-group-id bit of its parent.
    ///
    /// # Errors
    /// `ENOTDIR` when a file of this layer is in the way, `ELOOP` after 40 links.
    pub fn directory(&mut self, name: &Name) -> io::Result<Dir> {
        match self.known(name) {
            Err(error) if is_missing(&error) => {
                let fd = self.make_directories(name)?;
                self.keep(name, fd)
            }
            found => found,
        }
    }

    /// The directory `name`, which must be there.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`.
    pub fn known(&mut self, name: &Name) -> io::Result<Dir> {
        if let Some((cached, dir)) = &self.cached
            && cached == name
        {
            return Ok(dir.clone());
        }
        let fd = at::open_dir_in_root(self.root.as_fd(), name.as_os_str())?;
        self.keep(name, fd)
    }

    fn keep(&mut self, name: &Name, fd: OwnedFd) -> io::Result<Dir> {
        let gives_group = at::fstat(fd.as_fd())?.mode & 0o2000 != 0;
        let dir = Dir { fd: Rc::new(fd), gives_group };
        self.cached = Some((name.clone(), dir.clone()));
        Ok(dir)
    }

    /// The directory `name` when it is there.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`.
    pub fn existing(&self, name: &Name) -> io::Result<OwnedFd> {
        at::open_dir_in_root(self.root.as_fd(), name.as_os_str())
    }

    /// Forgets the directory last used; needed after anything was removed or replaced.
    pub fn forget(&mut self) {
        self.cached = None;
    }

    fn make_directories(&mut self, name: &Name) -> io::Result<OwnedFd> {
        let mut resolved: Vec<OsString> = Vec::new();
        let mut todo: VecDeque<OsString> = name.components().map(OsStr::to_owned).collect();
        let mut links = 0;
        let mut here = at::open_dir_in_root(self.root.as_fd(), OsStr::new(""))?;
        while let Some(part) = todo.pop_front() {
            match part.as_bytes() {
                b"" | b"." => continue,
                b".." => {
                    resolved.pop();
                    here = self.open_resolved(&resolved)?;
                    continue;
                }
                _ => {}
            }
            here = match at::open_dir(here.as_fd(), &part) {
                Ok(next) => {
                    resolved.push(part);
                    next
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    resolved.push(part.clone());
                    self.make_directory(here.as_fd(), &part, &resolved)?
                }
                Err(error) => {
                    let stat = at::stat(here.as_fd(), &part)?;
                    if stat.is_whiteout() {
                        at::unlink(here.as_fd(), &part)?;
                        at::mkdir(here.as_fd(), &part, 0o755)?;
                        let made = at::open_dir(here.as_fd(), &part)?;
                        make_opaque(made.as_fd())?;
                        resolved.push(part);
                        made
                    } else if stat.file_type == FileType::Symlink {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err(error);
                        }
                        let target = at::readlink(here.as_fd(), &part)?;
                        if target.as_bytes().starts_with(b"/") {
                            resolved.clear();
                        }
                        for part in target.as_bytes().split(|byte| *byte == b'/').rev() {
                            todo.push_front(OsStr::from_bytes(part).to_owned());
                        }
                        self.open_resolved(&resolved)?
                    } else {
                        return Err(error);
                    }
                }
            };
        }
        Ok(here)
    }

    fn open_resolved(&self, parts: &[OsString]) -> io::Result<OwnedFd> {
        let path = parts.join(OsStr::new("/"));
        at::open_dir_in_root(self.root.as_fd(), &path)
    }

    fn make_directory(&self, parent: BorrowedFd<'_>, last: &OsStr, path: &[OsString]) -> io::Result<OwnedFd> {
        at::mkdir(parent, last, 0o755)?;
        let made = at::open_dir(parent, last)?;
        let inherited = at::fstat(made.as_fd())?;
        let gives_group = inherited.mode & 0o2000;
        if gives_group != 0 {
            // Ours all the same; that it hands its parent's group on is kept, both as dockerd does.
            at::fchown(made.as_fd(), inherited.uid, std::fs::metadata("/proc/self")?.gid())?;
        }
        at::fchmod(made.as_fd(), 0o755 | gives_group)?;
        let path = path.join(OsStr::new("/"));
        for lower in &self.lowers {
            let Ok(below) = at::open_dir_in_root(lower.as_fd(), &path) else { continue };
            let stat = at::fstat(below.as_fd())?;
            at::fchown(made.as_fd(), stat.uid, stat.gid)?;
            copy_xattrs(below.as_fd(), OsStr::new("."), made.as_fd())?;
            at::fchmod(made.as_fd(), stat.mode)?;
            break;
        }
        Ok(made)
    }

    /// Finds `name` as an overlay would show it from the layers below, without what this layer or a higher one hides.
    ///
    /// # Errors
    /// What reading the layers gave.
    pub fn find_below(&self, name: &Name) -> io::Result<Option<(OwnedFd, Stat)>> {
        let Some((parent, _)) = name.split() else { return Ok(None) };
        if hides(self.root.as_fd(), &parent)? { Ok(None) } else { self.find_in_lowers(name) }
    }

    /// As [`Self::find_below`], whatever this layer hides.
    ///
    /// # Errors
    /// What reading the layers gave.
    pub fn find_in_lowers(&self, name: &Name) -> io::Result<Option<(OwnedFd, Stat)>> {
        let Some((parent, last)) = name.split() else { return Ok(None) };
        for lower in &self.lowers {
            let hides_below = hides(lower.as_fd(), &parent)?;
            let dir = match at::open_dir_in_root(lower.as_fd(), parent.as_os_str()) {
                Ok(dir) => dir,
                Err(error) if is_missing(&error) && !hides_below => continue,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            match at::stat(dir.as_fd(), last) {
                Ok(stat) if stat.is_whiteout() => return Ok(None),
                Ok(stat) => return Ok(Some((dir, stat))),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !hides_below => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The names in the directory `name` as an overlay would show it from the layers below, whatever this layer hides.
    ///
    /// # Errors
    /// What reading the layers gave.
    pub fn list_below(&self, name: &Name) -> io::Result<BTreeSet<OsString>> {
        let (mut seen, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for lower in &self.lowers {
            match at::open_dir_in_root(lower.as_fd(), name.as_os_str()) {
                Ok(dir) => {
                    for last in at::read_dir(dir.as_fd())? {
                        if gone.contains(&last) || seen.contains(&last) {
                            continue;
                        }
                        let is_gone = at::stat(dir.as_fd(), &last)?.is_whiteout();
                        if is_gone {
                            gone.insert(last)
                        } else {
                            seen.insert(last)
                        };
                    }
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
            if hides(lower.as_fd(), name)? {
                break;
            }
        }
        Ok(seen)
    }
}

/// True when `layer` hides from the layers below it what they have under the directory `name`: a directory on the
/// way is opaque, or is no directory.
fn hides(layer: BorrowedFd<'_>, name: &Name) -> io::Result<bool> {
    let mut path = Name::root();
    for part in name.components() {
        let here = match at::open_dir_in_root(layer, path.as_os_str()) {
            Ok(here) => here,
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        match at::stat(here.as_fd(), part) {
            Ok(stat) if stat.is_whiteout() => return Ok(true),
            Ok(stat) if stat.file_type == FileType::Directory => {
                if is_opaque(here.as_fd(), part)? {
                    return Ok(true);
                }
            }
            // A link on the way leads to a place this walk does not judge; the kernel's overlay would follow it.
            Ok(stat) => return Ok(stat.file_type != FileType::Symlink),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        path = path.join(part);
    }
    Ok(false)
}

/// Marks an open directory as hiding what lies below it.
///
/// # Errors
/// `ENOTSUP` on a file system without trusted attributes, `EPERM` without CAP_SYS_ADMIN.
pub fn make_opaque(dir: BorrowedFd<'_>) -> io::Result<()> {
    xattr::fset(dir, OsStr::new(OPAQUE_XATTR), b"y")
}

/// True when the directory `name` hides what lies below it.
///
/// # Errors
/// lgetxattr(2).
pub fn is_opaque(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<bool> {
    Ok(xattr::get(dir, name, OsStr::new(OPAQUE_XATTR))?.is_some_and(|value| value == b"y"))
}

/// True of overlayfs' own attributes, which never travel: an archive that sets them could make files vanish.
pub fn is_overlay_xattr(key: &[u8]) -> bool {
    key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.")
}

/// Copies all attributes but overlayfs' own to an open file; those it cannot carry are left out.
///
/// # Errors
/// Any other failure of reading or setting one.
pub fn copy_xattrs(from_dir: BorrowedFd<'_>, from: &OsStr, to: BorrowedFd<'_>) -> io::Result<()> {
    for key in xattr::list(from_dir, from)? {
        if is_overlay_xattr(key.as_bytes()) {
            continue;
        }
        let Some(value) = xattr::get(from_dir, from, &key)? else { continue };
        match xattr::fset(to, &key, &value) {
            Err(error) if xattr::is_unsupported(&error) => {}
            result => result?,
        }
    }
    Ok(())
}

/// True when a name or a directory on the way is missing.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
