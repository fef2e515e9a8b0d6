//! Writing an archive into a directory that others use meanwhile: copying into a container, or out of one.
//!
//! Not a layer: names that mean a whiteout there are ordinary here. Each name's directory is opened with the tree as
//! `/`, its last component is only touched with calls that do not follow, so whatever a running container makes of its
//! own tree, or an archive of its links, nothing outside is reached (CVE-2018-15664, CVE-2021-41089).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use corten_sys::at::{self, FileType, Stat};
use corten_sys::openat2::{self, InRootfs, Resolve};
use corten_sys::{handle, xattr};

use crate::apply::writer::{clamped, set_xattrs};
use crate::archive::{Archive, ArchiveError, Entry, Kind};
use crate::name::{Name, NameError};

/// Most entries of one archive, as of a layer.
const ENTRIES_MAX: u64 = 10_000_000;
/// Most bytes of directory names remembered for their times.
const REMEMBERED_MAX: usize = 64 << 20;
/// Deepest tree that is removed; a descriptor is held per level.
const DEPTH_MAX: usize = 1000;
/// What is written at once.
const BUFFER: usize = 256 << 10;
/// `O_RDONLY | O_DIRECTORY`.
const DIRECTORY: i32 = 0o200_000;

/// Where an archive is written.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The directory that is `/` to every link.
    pub root: BorrowedFd<'a>,
    /// The directory written into, from there.
    pub path: &'a [u8],
    /// Whether links on the way to a name are followed.
    pub links: Links,
}

/// What happens at a link on the way to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is followed, inside the root.
    Follow,
    /// The archive is refused.
    Refuse,
}

/// What happens where a directory stands in the place of something else, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// What is there is removed.
    Any,
    /// The archive is refused.
    SameKind,
}

/// Whose the files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As archived.
    Archived,
    /// This user's and group's.
    Fixed(u32, u32),
    /// Whoever extracts.
    Ours,
}

/// How an archive is written.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// What may be replaced.
    pub replace: Replace,
    /// Whose the files become.
    pub owner: Owner,
    /// What an archived name, or hard link's target, is called here.
    pub rename: &'a dyn Fn(Vec<u8>) -> Vec<u8>,
}

/// Why an archive was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive itself is bad.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry's name cannot be used.
    #[error("archive entry {number} {path:?}")]
    Name {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// Why.
        source: NameError,
    },
    /// Docker's words for a file that would take a directory's place.
    #[error("cannot overwrite directory {name:?} with non-directory {destination:?}")]
    OverDirectory {
        /// The name.
        name: String,
        /// Where it was to go.
        destination: String,
    },
    /// Docker's words for a directory that would take a file's place.
    #[error("cannot overwrite non-directory {name:?} with directory {destination:?}")]
    OverFile {
        /// The name.
        name: String,
        /// Where it was to go.
        destination: String,
    },
    /// The archive is over a bound.
    #[error("archive has {0}")]
    Bound(String),
    /// The kernel refused.
    #[error("{operation} {path}")]
    Write {
        /// What was being done.
        operation: &'static str,
        /// To which name.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Writes the archive in `reader`, which is not compressed, and says how many entries it had.
///
/// # Errors
/// [`ExtractError`]; what was written before stays, as with tar(1).
pub fn extract(reader: impl Read, to: Destination<'_>, rules: Rules<'_>) -> Result<u64, ExtractError> {
    let mut extractor =
        Extractor { to, rules, cached: None, directories: Vec::new(), remembered: 0, buffer: vec![0; BUFFER] };
    let mut archive = Archive::new(reader);
    let mut entries = 0;
    while let Some(mut entry) = archive.next_entry()? {
        entries += 1;
        if entries > ENTRIES_MAX {
            return Err(ExtractError::Bound(format!("more than {ENTRIES_MAX} entries")));
        }
        entry.path = (rules.rename)(entry.path);
        if entry.kind == Kind::HardLink {
            entry.link = (rules.rename)(entry.link);
        }
        extractor.write(&entry, &mut archive)?;
    }
    archive.drain()?;
    extractor.finish()?;
    Ok(entries)
}

struct Extractor<'a> {
    to: Destination<'a>,
    rules: Rules<'a>,
    /// The directory last used.
    cached: Option<(Name, OwnedFd)>,
    /// Directories whose times are set last, since every file made in one changes them.
    directories: Vec<(Name, (i64, u32))>,
    remembered: usize,
    buffer: Vec<u8>,
}

impl Extractor<'_> {
    fn write(&mut self, entry: &Entry, archive: &mut Archive<impl Read>) -> Result<(), ExtractError> {
        let named = |source| ExtractError::Name { number: entry.number, path: entry.name(), source };
        let name = Name::clean(&entry.path).map_err(named)?;
        // The destination itself is the caller's.
        let Some((parent, last)) = name.split() else { return Ok(()) };
        let dir = self.directory(&parent).map_err(failed("open the directory of", &name))?;
        let is_directory = entry.kind == Kind::Directory;
        if let Some(there) = optional(at::stat(dir.as_fd(), last)).map_err(failed("look at", &name))? {
            let was_directory = there.file_type == FileType::Directory;
            self.check_kind(&name, was_directory, is_directory)?;
            if !(was_directory && is_directory) {
                self.cached = None;
                remove(dir.as_fd(), last, &there, 0).map_err(failed("remove", &name))?;
            }
        }
        let made = match entry.kind {
            Kind::Directory => return self.make_directory(dir.as_fd(), last, entry, name.clone()),
            Kind::File => return self.make_file(dir.as_fd(), last, entry, &name, archive),
            Kind::HardLink => {
                let target = Name::clean(&entry.link).map_err(named)?;
                return self.make_link(dir.as_fd(), last, &target, &name);
            }
            Kind::Symlink => at::symlink(OsStr::from_bytes(&entry.link), dir.as_fd(), last),
            Kind::CharDevice => at::mknod(dir.as_fd(), last, FileType::CharDevice, entry.mode & 0o777, entry.rdev),
            Kind::BlockDevice => at::mknod(dir.as_fd(), last, FileType::BlockDevice, entry.mode & 0o777, entry.rdev),
            Kind::Fifo => at::mknod(dir.as_fd(), last, FileType::Fifo, entry.mode & 0o777, (0, 0)),
        };
        made.map_err(failed("create", &name))?;
        self.finish_node(dir.as_fd(), last, entry, &name)
    }

    fn check_kind(&self, name: &Name, was_directory: bool, is_directory: bool) -> Result<(), ExtractError> {
        let path = String::from_utf8_lossy(self.to.path);
        let destination = if path.is_empty() { "/".to_owned() } else { path.to_string() };
        let name = format!("{}/{}", path.trim_end_matches('/'), name.display());
        match (self.rules.replace, was_directory, is_directory) {
            (Replace::SameKind, true, false) => Err(ExtractError::OverDirectory { name, destination }),
            (Replace::SameKind, false, true) => Err(ExtractError::OverFile { name, destination }),
            _ => Ok(()),
        }
    }

    /// The directory `name` below the destination; made, with its parents, where missing.
    fn directory(&mut self, name: &Name) -> io::Result<OwnedFd> {
        if let Some((cached, fd)) = &self.cached
            && cached == name
        {
            return fd.try_clone();
        }
        let fd = match self.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let Some((parent, last)) = name.split() else { return Err(error) };
                let above = self.directory(&parent)?;
                at::mkdir(above.as_fd(), last, 0o755)?;
                at::open_dir(above.as_fd(), last)?
            }
            opened => opened?,
        };
        self.cached = Some((name.clone(), fd.try_clone()?));
        Ok(fd)
    }

    fn open(&self, name: &Name) -> io::Result<OwnedFd> {
        let path = [self.to.path, b"/", name.as_bytes()].concat();
        let resolve = match self.to.links {
            Links::Follow => Resolve::IN_ROOT,
            Links::Refuse => Resolve::IN_ROOT_NO_SYMLINKS,
        };
        openat2::open(self.to.root, &InRootfs::new(OsStr::from_bytes(&path))?, DIRECTORY, 0, resolve)
    }

    fn make_file(
        &mut self,
        dir: BorrowedFd<'_>,
        last: &OsStr,
        entry: &Entry,
        name: &Name,
        archive: &mut Archive<impl Read>,
    ) -> Result<(), ExtractError> {
        let mut file = at::create_file(dir, last, entry.mode & 0o777).map_err(failed("create", name))?;
        match &entry.segments {
            None => self.copy_data(&mut file, archive, u64::MAX, name)?,
            Some(segments) => {
                for (offset, length) in segments {
                    file.seek(SeekFrom::Start(*offset)).map_err(failed("write", name))?;
                    self.copy_data(&mut file, archive, *length, name)?;
                }
                file.set_len(entry.size).map_err(failed("write", name))?;
            }
        }
        self.finish_open(file.as_fd(), entry, name)?;
        let time = clamped(entry.mtime);
        at::set_file_times(file.as_fd(), time, time).map_err(failed("set the times of", name))
    }

    fn copy_data(
        &mut self,
        file: &mut File,
        archive: &mut Archive<impl Read>,
        mut left: u64,
        name: &Name,
    ) -> Result<(), ExtractError> {
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = archive.read_data(&mut self.buffer[..want])?;
            if read == 0 {
                break;
            }
            file.write_all(&self.buffer[..read]).map_err(failed("write", name))?;
            left -= read as u64;
        }
        Ok(())
    }

    fn make_directory(
        &mut self,
        dir: BorrowedFd<'_>,
        last: &OsStr,
        entry: &Entry,
        name: Name,
    ) -> Result<(), ExtractError> {
        match at::mkdir(dir, last, entry.mode & 0o777) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed("create", &name))?,
        }
        let made = at::open_dir(dir, last).map_err(failed("open", &name))?;
        self.finish_open(made.as_fd(), entry, &name)?;
        self.remembered += name.as_bytes().len() + 64;
        if self.remembered > REMEMBERED_MAX {
            return Err(ExtractError::Bound("more directories than can be remembered in 64 MiB".to_owned()));
        }
        self.directories.push((name, clamped(entry.mtime)));
        Ok(())
    }

    fn make_link(&mut self, dir: BorrowedFd<'_>, last: &OsStr, target: &Name, name: &Name) -> Result<(), ExtractError> {
        let linked = match target.split() {
            None => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Some((parent, target)) => self.open(&parent).and_then(|parent| at::link(parent.as_fd(), target, dir, last)),
        };
        linked.map_err(failed("link", name))
    }

    /// Owner, attributes and mode of an open file or directory.
    fn finish_open(&self, file: BorrowedFd<'_>, entry: &Entry, name: &Name) -> Result<(), ExtractError> {
        if let Some((uid, gid)) = self.owner(entry) {
            at::fchown(file, uid, gid).map_err(failed("set the owner of", name))?;
        }
        self.attributes(entry, |key, value| xattr::fset(file, key, value), name)?;
        at::fchmod(file, entry.mode).map_err(failed("set the mode of", name))
    }

    /// The same and the times, of what cannot be opened.
    fn finish_node(&self, dir: BorrowedFd<'_>, last: &OsStr, entry: &Entry, name: &Name) -> Result<(), ExtractError> {
        if let Some((uid, gid)) = self.owner(entry) {
            at::chown(dir, last, uid, gid).map_err(failed("set the owner of", name))?;
        }
        self.attributes(entry, |key, value| xattr::set(dir, last, key, value), name)?;
        if entry.kind != Kind::Symlink {
            // A handle, since a name is followed: a link of the container's may have taken its place.
            let node = handle::open(dir, last).map_err(failed("open", name))?;
            let stat: Stat = at::fstat(node.as_fd()).map_err(failed("look at", name))?;
            if !matches!(stat.file_type, FileType::CharDevice | FileType::BlockDevice | FileType::Fifo) {
                return Err(failed("set the mode of", name)(io::Error::from(io::ErrorKind::NotFound)));
            }
            handle::chmod(node.as_fd(), entry.mode).map_err(failed("set the mode of", name))?;
        }
        let time = clamped(entry.mtime);
        at::set_times(dir, last, time, time).map_err(failed("set the times of", name))
    }

    fn attributes(
        &self,
        entry: &Entry,
        set: impl Fn(&OsStr, &[u8]) -> io::Result<()>,
        name: &Name,
    ) -> Result<(), ExtractError> {
        // Without privilege only what is in a user's hands is copied.
        let ours = self.rules.owner == Owner::Ours;
        let set = |key: &OsStr, value: &[u8]| match set(key, value) {
            Err(error) if ours && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        };
        set_xattrs(entry, set).map_err(failed("set attributes of", name))
    }

    fn owner(&self, entry: &Entry) -> Option<(u32, u32)> {
        match self.rules.owner {
            Owner::Archived => Some((entry.uid, entry.gid)),
            Owner::Fixed(uid, gid) => Some((uid, gid)),
            Owner::Ours => None,
        }
    }

    /// Sets the directories' times, deepest first.
    fn finish(mut self) -> Result<(), ExtractError> {
        self.directories.sort_by_key(|(name, _)| std::cmp::Reverse(name.depth()));
        for (name, time) in &self.directories {
            // A later entry, or the container, may have replaced it.
            let Ok(dir) = self.open(name) else { continue };
            at::set_file_times(dir.as_fd(), *time, *time).map_err(failed("set the times of", name))?;
        }
        Ok(())
    }
}

/// Removes what stands in an entry's way. What is mounted below is not part of the tree and stays: a volume must not be
/// emptied because a directory above it is replaced.
fn remove(dir: BorrowedFd<'_>, last: &OsStr, stat: &Stat, depth: usize) -> io::Result<()> {
    if stat.file_type != FileType::Directory {
        return at::unlink(dir, last);
    }
    if depth > DEPTH_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "directories are nested more than 1000 deep"));
    }
    let inside = at::open_dir(dir, last)?;
    if at::fstat(inside.as_fd())?.device != at::fstat(dir)?.device {
        return Err(io::Error::from(io::ErrorKind::ResourceBusy));
    }
    for name in at::read_dir(inside.as_fd())? {
        if let Some(stat) = optional(at::stat(inside.as_fd(), &name))? {
            remove(inside.as_fd(), &name, &stat, depth + 1)?;
        }
    }
    at::rmdir(dir, last)
}

fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn failed(operation: &'static str, name: &Name) -> impl Fn(io::Error) -> ExtractError {
    let path = name.display();
    move |source| ExtractError::Write { operation, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    use super::*;
    use crate::writer::{Writer, blank};

    fn archive(entries: &[(&str, Kind, &str)]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (path, kind, text) in entries {
            let size = if *kind == Kind::File { text.len() as u64 } else { 0 };
            let link = if *kind == Kind::File { Vec::new() } else { text.as_bytes().to_vec() };
            let mode = if *kind == Kind::Directory { 0o755 } else { 0o644 };
            let entry = Entry { path: path.as_bytes().to_vec(), link, mode, mtime: (7, 0), ..blank(*kind, size) };
            writer.append(&entry, &mut text.as_bytes()).unwrap();
        }
        writer.finish().unwrap()
    }

    fn run(root: &Path, path: &str, links: Links, replace: Replace, bytes: &[u8]) -> Result<u64, String> {
        let root = at::open_root(root).unwrap();
        let to = Destination { root: root.as_fd(), path: path.as_bytes(), links };
        let rules = Rules { replace, owner: Owner::Ours, rename: &|name| name };
        extract(bytes, to, rules).map_err(|error| corten_types::error::chain(&error))
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = outside.path().join("victim");
        fs::write(&victim, "as it was").unwrap();
        fs::create_dir_all(root.path().join("to")).unwrap();
        let text = outside.path().to_str().unwrap();
        let entries = [("evil", Kind::Symlink, text), ("evil/victim", Kind::File, "changed")];
        let refused = run(root.path(), "to", Links::Refuse, Replace::Any, &archive(&entries)).unwrap_err();
        assert!(refused.contains("Too many levels of symbolic links"), "{refused}");
        // Followed, the link leads to a place of that name inside.
        let missing = run(root.path(), "to", Links::Follow, Replace::Any, &archive(&entries)).unwrap_err();
        assert!(missing.contains("open the directory of evil/victim"), "{missing}");
        let hard = [("copy", Kind::HardLink, "../../../../../../etc/passwd")];
        assert!(run(root.path(), "to", Links::Follow, Replace::Any, &archive(&hard)).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_and_something_else_replace_each_other_only_when_they_may() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let file_over = archive(&[("dir", Kind::File, "text")]);
        let dir_over = archive(&[("file", Kind::Directory, "")]);
        let run = |replace, bytes: &[u8]| run(root.path(), "", Links::Follow, replace, bytes);
        assert_eq!(
            run(Replace::SameKind, &file_over).unwrap_err(),
            "cannot overwrite directory \"/dir\" with non-directory \"/\""
        );
        assert_eq!(
            run(Replace::SameKind, &dir_over).unwrap_err(),
            "cannot overwrite non-directory \"/file\" with directory \"/\""
        );
        run(Replace::Any, &file_over).unwrap();
        run(Replace::Any, &dir_over).unwrap();
        assert!(root.path().join("dir").is_file() && root.path().join("file").is_dir());
    }

    #[test]
    fn whiteouts_are_names_and_missing_directories_are_made() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        symlink("/real", root.path().join("link")).unwrap();
        let entries = [
            ("./", Kind::Directory, ""),
            ("a/b/.wh.c", Kind::File, "text"),
            ("d/", Kind::Directory, ""),
            ("d/e", Kind::File, "e"),
            ("pipe", Kind::Fifo, ""),
            ("twice", Kind::HardLink, "d/e"),
        ];
        assert_eq!(run(root.path(), "link", Links::Follow, Replace::SameKind, &archive(&entries)).unwrap(), 6);
        let at = |name: &str| fs::symlink_metadata(root.path().join("real").join(name)).unwrap();
        assert_eq!(at("a/b/.wh.c").len(), 4);
        assert_eq!((at("d").mtime(), at("d/e").mtime(), at("pipe").mode() & 0o777), (7, 7, 0o644));
        assert_eq!(at("twice").ino(), at("d/e").ino());
    }
}
