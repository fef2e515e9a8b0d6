//! Making a layer: what a directory has that the layers below it have not (image-spec layer.md, "Creating").

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use corten_sys::at::{self, FileType, Stat};
use corten_sys::xattr;

use crate::archive::{Entry, Kind};
use crate::name::{Name, opaque, whiteout_of};
use crate::tree::{is_opaque, is_overlay_xattr};
use crate::writer::{Writer, blank};

/// Deepest tree that is read; a descriptor or two are held per level.
const DEPTH_MAX: usize = 1000;

/// What a layer is made from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The upper directory of an overlay: it holds exactly the changes.
    Upper(PathBuf),
    /// Two whole trees, of which the first may be missing: what the second has, and the first has not.
    Trees(Option<PathBuf>, PathBuf),
}

/// Why a layer was not made.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A file could not be read.
    #[error("read {path:?}")]
    Read {
        /// Its name in the tree.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("write the layer")]
    Write(#[source] io::Error),
}

/// Writes the layer to `out` as an uncompressed archive: names in byte order, hard links by inode, no sockets.
///
/// # Errors
/// [`DiffError`]; what was written then is no whole archive.
pub fn diff(source: &Source, out: impl Write) -> Result<(), DiffError> {
    let open = |path: &Path| {
        at::open_root(path).map_err(|source| DiffError::Read { path: path.display().to_string(), source })
    };
    let mut differ = Differ { out: Writer::new(out), links: HashMap::new(), pending: Vec::new() };
    match source {
        Source::Upper(upper) => differ.upper(open(upper)?.as_fd(), &Name::root())?,
        Source::Trees(lower, upper) => {
            let lower = lower.as_deref().map(open).transpose()?;
            differ.trees(lower.as_ref().map(AsFd::as_fd), open(upper)?.as_fd(), &Name::root())?;
        }
    }
    differ.out.finish().map_err(DiffError::Write).map(drop)
}

struct Differ<W> {
    out: Writer<W>,
    /// Where a file with several names was first written.
    links: HashMap<(u64, u64), Name>,
    /// Unchanged directories above the place walked, written only when something in them changed.
    pending: Vec<Entry>,
}

impl<W: Write> Differ<W> {
    fn upper(&mut self, dir: BorrowedFd<'_>, name: &Name) -> Result<(), DiffError> {
        for last in sorted(dir, name)? {
            let child = name.join(&last);
            let failed = |source| DiffError::Read { path: child.display(), source };
            let stat = at::stat(dir, &last).map_err(failed)?;
            if stat.is_whiteout() {
                self.whiteout(name, &whiteout_of(&last))?;
                continue;
            }
            self.entry(dir, &last, &child, &stat)?;
            if stat.file_type == FileType::Directory {
                if is_opaque(dir, &last).map_err(failed)? {
                    self.whiteout(&child, opaque())?;
                }
                let inside = descend(dir, &last, &child)?;
                self.upper(inside.as_fd(), &child)?;
            }
        }
        Ok(())
    }

    fn trees(&mut self, lower: Option<BorrowedFd<'_>>, upper: BorrowedFd<'_>, name: &Name) -> Result<(), DiffError> {
        let mut names: BTreeSet<OsString> = sorted(upper, name)?.into_iter().collect();
        if let Some(lower) = lower {
            names.extend(sorted(lower, name)?);
        }
        for last in names {
            let child = name.join(&last);
            let failed = |source| DiffError::Read { path: child.display(), source };
            let below = lower.map(|lower| optional(at::stat(lower, &last))).transpose().map_err(failed)?.flatten();
            let Some(above) = optional(at::stat(upper, &last)).map_err(failed)? else {
                self.whiteout(name, &whiteout_of(&last))?;
                continue;
            };
            let is_directory = above.file_type == FileType::Directory;
            let same = match (&below, lower) {
                (Some(below), Some(lower)) => is_same(lower, below, upper, &above, &last).map_err(failed)?,
                _ => false,
            };
            if !is_directory {
                if !same {
                    self.entry(upper, &last, &child, &above)?;
                }
                continue;
            }
            let marker = self.pending.len();
            if same {
                self.pending.push(entry_of(upper, &last, archived(&child, &above), &above).map_err(failed)?);
            } else {
                self.entry(upper, &last, &child, &above)?;
            }
            let inside = descend(upper, &last, &child)?;
            let inside_lower = match (lower, below.map(|below| below.file_type)) {
                (Some(lower), Some(FileType::Directory)) => Some(at::open_dir(lower, &last).map_err(failed)?),
                _ => None,
            };
            self.trees(inside_lower.as_ref().map(AsFd::as_fd), inside.as_fd(), &child)?;
            self.pending.truncate(marker);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiffError> {
        for entry in self.pending.drain(..) {
            self.out.append(&entry, &mut io::empty()).map_err(DiffError::Write)?;
        }
        Ok(())
    }

    fn whiteout(&mut self, dir: &Name, last: &OsStr) -> Result<(), DiffError> {
        self.flush()?;
        let entry = Entry { path: dir.join(last).as_bytes().to_vec(), ..blank(Kind::File, 0) };
        self.out.append(&entry, &mut io::empty()).map_err(DiffError::Write)
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, last: &OsStr, name: &Name, stat: &Stat) -> Result<(), DiffError> {
        if stat.file_type == FileType::Socket {
            return Ok(());
        }
        self.flush()?;
        let failed = |source| DiffError::Read { path: name.display(), source };
        let mut entry = entry_of(dir, last, archived(name, stat), stat).map_err(failed)?;
        if stat.links > 1 && stat.file_type != FileType::Directory {
            if let Some(first) = self.links.get(&(stat.device, stat.inode)) {
                entry.kind = Kind::HardLink;
                entry.link = first.as_bytes().to_vec();
                entry.size = 0;
                entry.xattrs.clear();
            } else {
                self.links.insert((stat.device, stat.inode), name.clone());
            }
        }
        let mut data: Box<dyn Read> = match entry.kind {
            Kind::File => Box::new(at::open_file(dir, last).map_err(failed)?),
            _ => Box::new(io::empty()),
        };
        self.out.append(&entry, &mut data).map_err(DiffError::Write)
    }
}

fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn sorted(dir: BorrowedFd<'_>, name: &Name) -> Result<Vec<OsString>, DiffError> {
    let mut names = at::read_dir(dir).map_err(|source| DiffError::Read { path: name.display(), source })?;
    names.sort_unstable();
    Ok(names)
}

fn descend(dir: BorrowedFd<'_>, last: &OsStr, name: &Name) -> Result<OwnedFd, DiffError> {
    let failed = |source| DiffError::Read { path: name.display(), source };
    if name.depth() > DEPTH_MAX {
        let why = "directories are nested more than 1000 deep";
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, why)));
    }
    at::open_dir(dir, last).map_err(failed)
}

/// The archived form of a name.
fn archived(name: &Name, stat: &Stat) -> Vec<u8> {
    let end: &[u8] = if stat.file_type == FileType::Directory { b"/" } else { b"" };
    [name.as_bytes(), end].concat()
}

/// What is archived of `last` in `dir` under the name `path`, which ends in a slash for a directory.
pub(crate) fn entry_of(dir: BorrowedFd<'_>, last: &OsStr, path: Vec<u8>, stat: &Stat) -> io::Result<Entry> {
    let kind = match stat.file_type {
        FileType::Regular | FileType::Socket => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::CharDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Fifo => Kind::Fifo,
    };
    let link = if kind == Kind::Symlink { at::readlink(dir, last)?.as_bytes().to_vec() } else { Vec::new() };
    let mut xattrs = Vec::new();
    for key in xattr::list(dir, last)? {
        // What a security module of this host labelled is no part of an image; docker keeps capabilities only.
        let travels = key == "security.capability" || key.as_bytes().starts_with(b"user.");
        if !travels || is_overlay_xattr(key.as_bytes()) {
            continue;
        }
        if let Some(value) = xattr::get(dir, last, &key)? {
            xattrs.push((key.as_bytes().to_vec(), value));
        }
    }
    xattrs.sort_unstable();
    let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
    Ok(Entry {
        path,
        link,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime,
        rdev: if is_device { stat.rdev } else { (0, 0) },
        xattrs,
        ..blank(kind, if kind == Kind::File { stat.size } else { 0 })
    })
}

/// Same type, metadata and content; content is compared only where times without nanoseconds could hide a change.
fn is_same(lower: BorrowedFd<'_>, below: &Stat, upper: BorrowedFd<'_>, above: &Stat, last: &OsStr) -> io::Result<bool> {
    let key = |stat: &Stat| (stat.file_type, stat.mode, stat.uid, stat.gid, stat.rdev);
    let capability = OsStr::new("security.capability");
    if key(below) != key(above) || xattr::get(lower, last, capability)? != xattr::get(upper, last, capability)? {
        return Ok(false);
    }
    match above.file_type {
        FileType::Directory => Ok(true),
        FileType::Symlink => Ok(at::readlink(lower, last)? == at::readlink(upper, last)?),
        _ if below.size != above.size || below.mtime != above.mtime => Ok(false),
        FileType::Regular if above.mtime.1 == 0 => {
            same_content(at::open_file(lower, last)?, at::open_file(upper, last)?)
        }
        _ => Ok(true),
    }
}

fn same_content(mut left: File, mut right: File) -> io::Result<bool> {
    let (mut left_buffer, mut right_buffer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = left.read(&mut left_buffer)?;
        let mut filled = 0;
        while filled < read {
            match right.read(&mut right_buffer[filled..read])? {
                0 => return Ok(false),
                more => filled += more,
            }
        }
        if left_buffer[..read] != right_buffer[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(right.read(&mut right_buffer)? == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{Target, apply};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    /// Names in an archive, in order.
    fn names(archive: &[u8]) -> Vec<String> {
        let mut archive = crate::archive::Archive::new(archive);
        let mut names = Vec::new();
        while let Some(entry) = archive.next_entry().unwrap() {
            names.push(entry.name());
        }
        names
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::Builder::new().prefix("corten-layers-").tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/deep/er")).unwrap();
        fs::write(dir.path().join("a/file"), "one").unwrap();
        fs::write(dir.path().join("a/deep/er/kept"), "kept").unwrap();
        fs::write(dir.path().join("gone"), "gone").unwrap();
        symlink("a/file", dir.path().join("link")).unwrap();
        fs::hard_link(dir.path().join("a/file"), dir.path().join("second")).unwrap();
        fs::set_permissions(dir.path().join("a/file"), fs::Permissions::from_mode(0o4750)).unwrap();
        dir
    }

    #[test]
    fn a_whole_tree_survives_the_way_through_an_archive() {
        let (from, to) = (tree(), tempfile::tempdir().unwrap());
        let mut archive = Vec::new();
        diff(&Source::Trees(None, from.path().to_owned()), &mut archive).unwrap();
        let expected = ["a/", "a/deep/", "a/deep/er/", "a/deep/er/kept", "a/file", "gone", "link", "second"];
        assert_eq!(names(&archive), expected);

        apply(&archive[..], &Target::plain(to.path())).unwrap();
        let stat = |name: &str| fs::symlink_metadata(to.path().join(name)).unwrap();
        assert_eq!(stat("a/file").mode() & 0o7777, 0o4750);
        assert_eq!(stat("a/file").ino(), stat("second").ino());
        let of = |dir: &Path| fs::symlink_metadata(dir.join("a/deep")).unwrap();
        let (before, after) = (of(from.path()), of(to.path()));
        assert_eq!((after.mtime(), after.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
        let mut nothing = Vec::new();
        diff(&Source::Trees(Some(from.path().to_owned()), to.path().to_owned()), &mut nothing).unwrap();
        assert_eq!(names(&nothing), [""; 0]);
    }

    #[test]
    fn changes_are_told_from_what_stayed() {
        let (lower, upper) = (tree(), tree());
        // Times of both trees differ; only what is made equal counts as equal.
        let mut whole = Vec::new();
        diff(&Source::Trees(None, lower.path().to_owned()), &mut whole).unwrap();
        for name in ["a", "gone", "link", "second"] {
            let path = upper.path().join(name);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        apply(&whole[..], &Target::plain(upper.path())).unwrap();
        fs::remove_file(upper.path().join("gone")).unwrap();
        fs::write(upper.path().join("a/deep/er/new"), "new").unwrap();
        fs::remove_file(upper.path().join("link")).unwrap();
        fs::create_dir(upper.path().join("link")).unwrap();

        let mut archive = Vec::new();
        diff(&Source::Trees(Some(lower.path().to_owned()), upper.path().to_owned()), &mut archive).unwrap();
        assert_eq!(names(&archive), ["a/", "a/deep/", "a/deep/er/", "a/deep/er/new", ".wh.gone", "link/"]);
    }

    #[test]
    fn an_upper_directory_becomes_a_layer_that_makes_it_again() {
        let (lower, upper, again) = (tree(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let archive = {
            let mut tar = crate::writer::Writer::new(Vec::new());
            for (path, data) in [(".wh.gone", ""), ("a/deep/.wh..wh..opq", ""), ("a/deep/new", "new")] {
                tar.append_bytes(path, 0o644, data.as_bytes()).unwrap();
            }
            tar.finish().unwrap()
        };
        let lowers = vec![lower.path().to_owned()];
        apply(&archive[..], &Target::overlay(upper.path(), lowers.clone())).unwrap();
        let mut layer = Vec::new();
        diff(&Source::Upper(upper.path().to_owned()), &mut layer).unwrap();
        assert_eq!(names(&layer), ["a/", "a/deep/", "a/deep/.wh..wh..opq", "a/deep/new", ".wh.gone"]);

        apply(&layer[..], &Target::overlay(again.path(), lowers)).unwrap();
        let mut same = Vec::new();
        diff(&Source::Upper(again.path().to_owned()), &mut same).unwrap();
        assert_eq!(names(&same), names(&layer));
    }
}
