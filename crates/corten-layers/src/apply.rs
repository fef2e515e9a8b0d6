//! Writing a layer into a directory (image-spec layer.md, "Applying Changesets").
//!
//! Entries are applied in order. For overlayfs the directory is an upper directory and whiteouts become what the
//! kernel reads as such; for a plain directory they remove what was there before the layer. Nothing is ever written
//! outside: see [`crate::tree`]. What a failed apply leaves in the directory is the caller's to remove with it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use corten_sys::at::{self, FileType};
use corten_sys::xattr;
use corten_types::{Digest, ErrorKind};

use crate::archive::{Archive, ArchiveError, Entry, Kind};
use crate::codec::Codec;
use crate::copy;
use crate::name::{Marker, Name, NameError, marker};
use crate::pipe;
use crate::tree::{self, Dir, Tree, is_missing};

/// Most entries of one layer: ten times the largest image seen; bounds the time a hostile one takes.
const ENTRIES_MAX: u64 = 10_000_000;
/// Most bytes of directory names remembered for their times, and in the plain form of all names.
const REMEMBERED_MAX: usize = 64 << 20;
/// Times are clamped to what every file system stores: the year 1970 to 2242.
const TIME_MAX: i64 = (1 << 33) - 1;
/// What is written at once.
const BUFFER: usize = 256 << 10;

/// How the directory is used later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As one layer of an overlay: whiteouts become devices 0:0 and opaque attributes.
    Overlay,
    /// On its own: it already holds what lies below, and whiteouts remove from it.
    Plain,
}

/// Where a layer goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// The directory written into.
    pub dir: PathBuf,
    /// Directories of the layers below, topmost first; only for [`Form::Overlay`].
    pub lowers: Vec<PathBuf>,
    /// What whiteouts become.
    pub form: Form,
}

impl Target {
    /// The upper directory `dir` over `lowers`, topmost first.
    pub fn overlay(dir: impl Into<PathBuf>, lowers: Vec<PathBuf>) -> Self {
        Self { dir: dir.into(), lowers, form: Form::Overlay }
    }

    /// The directory `dir` on its own.
    pub fn plain(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), lowers: Vec::new(), form: Form::Plain }
    }

    /// The target behind mounts as a snapshotter gives them: the upper directory of an overlay, or a bind's source.
    ///
    /// # Errors
    /// What kind of mount a layer cannot be written through.
    pub fn from_mount(kind: &str, source: &str, options: &[String]) -> Result<Self, String> {
        let option = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
        match kind {
            "overlay" => {
                let upper = option("upperdir=").ok_or("an overlay without upperdir is read-only")?;
                let lowers = option("lowerdir=").unwrap_or_default();
                let lowers = lowers.split(':').filter(|lower| !lower.is_empty()).map(PathBuf::from).collect();
                Ok(Self::overlay(upper, lowers))
            }
            "bind" if options.iter().any(|option| option == "ro") => Err("the bind mount is read-only".to_owned()),
            "bind" => Ok(Self::plain(source)),
            other => Err(format!("a mount of type {other:?}: not supported yet")),
        }
    }
}

/// What was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Size of the uncompressed archive.
    pub size: u64,
    /// Digest of the stream as given.
    pub compressed: Digest,
    /// Size of the stream as given.
    pub compressed_size: u64,
    /// How the stream was compressed.
    pub codec: Codec,
    /// Number of entries written.
    pub entries: u64,
}

/// Why a layer was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The directory or one below it cannot be opened.
    #[error("open layer directory {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
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
    /// The target of a hard link cannot be used.
    #[error("archive entry {number} {path:?}: hard link to {target:?}: {why}")]
    HardLink {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// What it links to.
        target: String,
        /// Why.
        why: String,
    },
    /// An entry would make something a layer must not hold.
    #[error("archive entry {number} {path:?}: {why}")]
    Refused {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// The archive is over a bound.
    #[error("archive has {what}")]
    Bound {
        /// Which bound.
        what: String,
    },
    /// The kernel refused.
    #[error("{operation} {path:?}")]
    Write {
        /// What was being done.
        operation: &'static str,
        /// To which entry.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl ApplyError {
    /// The archive's fault or the machine's.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Archive(ArchiveError::Read(source)) => match source.kind() {
                // What decompressors answer to damaged input.
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                    ErrorKind::InvalidArgument
                }
                io::ErrorKind::Unsupported => ErrorKind::Unimplemented,
                _ => ErrorKind::Unknown,
            },
            Self::Archive(_)
            | Self::Name { .. }
            | Self::HardLink { .. }
            | Self::Refused { .. }
            | Self::Bound { .. } => ErrorKind::InvalidArgument,
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
                io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
                    ErrorKind::InvalidArgument
                }
                _ => ErrorKind::Unknown,
            },
            Self::Open { .. } => ErrorKind::Unknown,
        }
    }
}

/// Writes the layer in `reader`, an archive compressed or not, into `target`.
///
/// The stream is read to its end, so that the digests cover all of it. Memory stays under 16 MiB whatever the
/// layer's size, but for what it takes to remember directories.
///
/// # Errors
/// [`ApplyError`]; the directory then holds a part of the layer.
pub fn apply(reader: impl Read + Send, target: &Target) -> Result<Applied, ApplyError> {
    let tree = Tree::open(&target.dir, &target.lowers).map_err(|(path, source)| ApplyError::Open { path, source })?;
    // In an empty directory there is nothing to remove, so no name has to be remembered for it.
    let is_empty = at::read_dir(tree.root()).is_ok_and(|names| names.is_empty());
    let form = if is_empty { Form::Overlay } else { target.form };
    let (entries, streamed) = pipe::run(reader, |stream| {
        let mut writer = Writer::new(tree, form);
        let mut archive = Archive::new(stream);
        while let Some(entry) = archive.next_entry()? {
            writer.write(&entry, &mut archive)?;
        }
        archive.drain()?;
        writer.finish()
    })?;
    let streamed = streamed
        .ok_or_else(|| ApplyError::Archive(ArchiveError::Read(io::Error::from(io::ErrorKind::UnexpectedEof))))?;
    Ok(Applied {
        diff_id: streamed.diff_id,
        size: streamed.size,
        compressed: streamed.compressed,
        compressed_size: streamed.compressed_size,
        codec: streamed.codec,
        entries,
    })
}

/// Owner and umask of this process, which decide what can be left unsaid for an ordinary file.
struct Creds {
    uid: u32,
    gid: u32,
    umask: u32,
}

impl Creds {
    fn read() -> Self {
        let (uid, gid) = std::fs::metadata("/proc/self").map_or((u32::MAX, u32::MAX), |stat| (stat.uid(), stat.gid()));
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        // Unknown: as if everything were masked, so that every mode is set explicitly.
        let umask = umask.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o777);
        Self { uid, gid, umask }
    }
}

struct Writer {
    tree: Tree,
    form: Form,
    creds: Creds,
    /// Directories whose times are set last, since every file made in one changes them.
    directories: Vec<(Name, (i64, u32))>,
    /// Plain form: names of this layer, which its own whiteouts spare.
    written: HashSet<Name>,
    remembered: usize,
    entries: u64,
    buffer: Vec<u8>,
}

impl Writer {
    fn new(tree: Tree, form: Form) -> Self {
        Self {
            tree,
            form,
            creds: Creds::read(),
            directories: Vec::new(),
            written: HashSet::new(),
            remembered: 0,
            entries: 0,
            buffer: vec![0; BUFFER],
        }
    }

    fn write(&mut self, entry: &Entry, archive: &mut Archive<impl Read>) -> Result<(), ApplyError> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(ApplyError::Bound { what: format!("more than {ENTRIES_MAX} entries") });
        }
        let named = |source| ApplyError::Name { number: entry.number, path: entry.name(), source };
        let refused = |why| ApplyError::Refused { number: entry.number, path: entry.name(), why };
        let name = Name::clean(&entry.path).map_err(named)?;
        let failed = |operation| move |source| ApplyError::Write { operation, path: entry.name(), source };

        let Some((parent, last)) = name.split() else {
            if entry.kind != Kind::Directory {
                return Err(refused("the root filesystem can only be a directory"));
            }
            let root = self.tree.directory(&name).map_err(failed("open"))?;
            self.finish_directory(&root, entry, &name)?;
            return Ok(());
        };
        let dir = self.tree.directory(&parent).map_err(failed("create the directory of"))?;
        match marker(last).map_err(named)? {
            Marker::None => {}
            Marker::Ignored => return Ok(()),
            Marker::Opaque => return self.hide_all(&dir, &parent).map_err(failed("apply whiteout")),
            Marker::Whiteout(hidden) => {
                return self.hide(&dir, &parent.join(&hidden), &hidden).map_err(failed("apply whiteout"));
            }
        }
        self.remember_written(&name, &parent)?;
        match entry.kind {
            Kind::Directory => self.make_directory(&dir, last, entry, &name),
            Kind::File => self.write_file(&dir, last, entry, archive),
            Kind::Symlink => {
                let link = OsStr::from_bytes(&entry.link);
                self.create(&dir, last, |dir| at::symlink(link, dir.fd(), last)).map_err(failed("create"))?;
                self.set_metadata_by_name(&dir, last, entry)
            }
            Kind::HardLink => self.hard_link(&dir, last, entry),
            Kind::CharDevice if entry.rdev == (0, 0) => {
                Err(refused("a character device 0:0 would hide a file of a lower layer"))
            }
            Kind::CharDevice => self.make_node(&dir, last, entry, FileType::CharDevice),
            Kind::BlockDevice => self.make_node(&dir, last, entry, FileType::BlockDevice),
            Kind::Fifo => self.make_node(&dir, last, entry, FileType::Fifo),
        }
    }

    /// Runs `make`; when something of that name is in the way, removes it and runs `make` again.
    fn create<T>(&mut self, dir: &Dir, last: &OsStr, make: impl Fn(&Dir) -> io::Result<T>) -> io::Result<T> {
        match make(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                at::remove_all(dir.fd(), last)?;
                self.tree.forget();
                make(dir)
            }
            result => result,
        }
    }

    fn write_file(
        &mut self,
        dir: &Dir,
        last: &OsStr,
        entry: &Entry,
        archive: &mut Archive<impl Read>,
    ) -> Result<(), ApplyError> {
        let failed = |operation| move |source| ApplyError::Write { operation, path: entry.name(), source };
        let mut file = self
            .create(dir, last, |dir| at::create_file(dir.fd(), last, entry.mode & 0o777))
            .map_err(failed("create"))?;
        match &entry.segments {
            None => self.copy_data(&mut file, archive, u64::MAX, entry)?,
            Some(segments) => {
                for (offset, length) in segments {
                    file.seek(SeekFrom::Start(*offset)).map_err(failed("write"))?;
                    self.copy_data(&mut file, archive, *length, entry)?;
                }
                file.set_len(entry.size).map_err(failed("write"))?;
            }
        }
        let owner_differs = (entry.uid, entry.gid) != (self.creds.uid, self.creds.gid) || dir.gives_group;
        if owner_differs {
            at::fchown(file.as_fd(), entry.uid, entry.gid).map_err(failed("set the owner of"))?;
        }
        set_xattrs(entry, |key, value| xattr::fset(file.as_fd(), key, value)).map_err(failed("set attributes of"))?;
        if entry.mode & (self.creds.umask | 0o7000) != 0 {
            at::fchmod(file.as_fd(), entry.mode).map_err(failed("set the mode of"))?;
        }
        let time = clamped(entry.mtime);
        at::set_file_times(file.as_fd(), time, time).map_err(failed("set the times of"))
    }

    fn copy_data(
        &mut self,
        file: &mut File,
        archive: &mut Archive<impl Read>,
        length: u64,
        entry: &Entry,
    ) -> Result<(), ApplyError> {
        let mut left = length;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = archive.read_data(&mut self.buffer[..want])?;
            if read == 0 {
                break;
            }
            file.write_all(&self.buffer[..read]).map_err(|source| ApplyError::Write {
                operation: "write",
                path: entry.name(),
                source,
            })?;
            left -= read as u64;
        }
        Ok(())
    }

    fn make_directory(&mut self, dir: &Dir, last: &OsStr, entry: &Entry, name: &Name) -> Result<(), ApplyError> {
        let failed = |operation| move |source| ApplyError::Write { operation, path: entry.name(), source };
        match at::mkdir(dir.fd(), last, entry.mode & 0o777) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = at::stat(dir.fd(), last).map_err(failed("create"))?;
                if there.file_type != FileType::Directory {
                    at::unlink(dir.fd(), last).map_err(failed("create"))?;
                    self.tree.forget();
                    at::mkdir(dir.fd(), last, entry.mode & 0o777).map_err(failed("create"))?;
                }
                if there.is_whiteout() {
                    // The layer removes a directory and makes it anew: nothing of the old one may show through.
                    let made = at::open_dir(dir.fd(), last).map_err(failed("create"))?;
                    tree::make_opaque(made.as_fd()).map_err(failed("create"))?;
                }
            }
            Err(error) => return Err(failed("create")(error)),
        }
        let made = self.tree.directory(name).map_err(failed("create"))?;
        self.finish_directory(&made, entry, name)
    }

    fn finish_directory(&mut self, made: &Dir, entry: &Entry, name: &Name) -> Result<(), ApplyError> {
        let failed = |operation| move |source| ApplyError::Write { operation, path: entry.name(), source };
        at::fchown(made.fd(), entry.uid, entry.gid).map_err(failed("set the owner of"))?;
        set_xattrs(entry, |key, value| xattr::fset(made.fd(), key, value)).map_err(failed("set attributes of"))?;
        at::fchmod(made.fd(), entry.mode).map_err(failed("set the mode of"))?;
        if entry.mode & 0o2000 != 0 || made.gives_group {
            // The open directory's memory of its set-group-id bit is out of date.
            self.tree.forget();
        }
        self.remember(name)?;
        self.directories.push((name.clone(), clamped(entry.mtime)));
        Ok(())
    }

    fn make_node(&mut self, dir: &Dir, last: &OsStr, entry: &Entry, kind: FileType) -> Result<(), ApplyError> {
        let failed = |operation| move |source| ApplyError::Write { operation, path: entry.name(), source };
        self.create(dir, last, |dir| at::mknod(dir.fd(), last, kind, entry.mode & 0o777, entry.rdev))
            .map_err(failed("create"))?;
        self.set_metadata_by_name(dir, last, entry)?;
        at::chmod(dir.fd(), last, entry.mode).map_err(failed("set the mode of"))?;
        let time = clamped(entry.mtime);
        at::set_times(dir.fd(), last, time, time).map_err(failed("set the times of"))
    }

    fn set_metadata_by_name(&mut self, dir: &Dir, last: &OsStr, entry: &Entry) -> Result<(), ApplyError> {
        let failed = |operation| move |source| ApplyError::Write { operation, path: entry.name(), source };
        at::chown(dir.fd(), last, entry.uid, entry.gid).map_err(failed("set the owner of"))?;
        set_xattrs(entry, |key, value| xattr::set(dir.fd(), last, key, value)).map_err(failed("set attributes of"))?;
        let time = clamped(entry.mtime);
        at::set_times(dir.fd(), last, time, time).map_err(failed("set the times of"))
    }

    /// Links to a file of this layer as archived, or copies one up from a layer below first, as overlayfs would.
    fn hard_link(&mut self, dir: &Dir, last: &OsStr, entry: &Entry) -> Result<(), ApplyError> {
        let refused = |why: String| ApplyError::HardLink {
            number: entry.number,
            path: entry.name(),
            target: String::from_utf8_lossy(&entry.link).into_owned(),
            why,
        };
        let failed = |source| ApplyError::Write { operation: "link", path: entry.name(), source };
        let target = Name::clean(&entry.link).map_err(|error| refused(error.to_string()))?;
        let Some((target_parent, target_last)) = target.split() else {
            return Err(refused("a directory has one name only".to_owned()));
        };
        let there = match self.tree.existing(&target_parent) {
            Ok(parent) => match at::stat(parent.as_fd(), target_last) {
                Ok(stat) => Some((parent, stat)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(failed(error)),
            },
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(failed(error)),
        };
        let (target_dir, stat) = match there {
            Some((_, stat)) if stat.is_whiteout() => return Err(refused("no such file".to_owned())),
            Some(found) => found,
            None => self.copy_up(&target).map_err(failed)?.ok_or_else(|| refused("no such file".to_owned()))?,
        };
        if stat.file_type == FileType::Directory {
            return Err(refused("a directory has one name only".to_owned()));
        }
        if at::stat(dir.fd(), last).is_ok_and(|here| (here.device, here.inode) == (stat.device, stat.inode)) {
            return Ok(());
        }
        let linked = self.create(dir, last, |dir| at::link(target_dir.as_fd(), target_last, dir.fd(), last));
        match linked {
            // ext4 allows 65000 names of a file: beyond, a copy is the nearest to what was archived.
            Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
                copy::file(target_dir.as_fd(), target_last, dir.fd(), last).map_err(failed)
            }
            result => result.map_err(failed),
        }
    }

    fn copy_up(&mut self, name: &Name) -> io::Result<Option<(std::os::fd::OwnedFd, at::Stat)>> {
        let Some((below, stat)) = self.tree.find_below(name)? else { return Ok(None) };
        let Some((parent, last)) = name.split() else { return Ok(None) };
        if stat.file_type != FileType::Directory {
            let dir = self.tree.directory(&parent)?;
            copy::file(below.as_fd(), last, dir.fd(), last)?;
        }
        let made = self.tree.existing(&parent)?;
        let stat = at::stat(made.as_fd(), last)?;
        Ok(Some((made, stat)))
    }

    /// Hides `last` of the layers below.
    fn hide(&mut self, dir: &Dir, name: &Name, last: &OsStr) -> io::Result<()> {
        if self.form == Form::Plain {
            if self.written.contains(name) {
                return self.prune(name);
            }
            self.tree.forget();
            return at::remove_all(dir.fd(), last);
        }
        if !self.tree.has_lowers() {
            return Ok(());
        }
        match at::mknod(dir.fd(), last, FileType::CharDevice, 0, (0, 0)) {
            // The layer also makes it: its own file wins, a directory stays without what was in the old one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match at::open_dir(dir.fd(), last) {
                Ok(own) => tree::make_opaque(own.as_fd()),
                Err(_) => Ok(()),
            },
            result => result,
        }
    }

    /// Hides everything the layers below have in a directory.
    fn hide_all(&mut self, dir: &Dir, name: &Name) -> io::Result<()> {
        if self.form == Form::Plain {
            return self.prune(name);
        }
        if self.tree.has_lowers() { tree::make_opaque(dir.fd()) } else { Ok(()) }
    }

    /// Plain form: removes from a directory what this layer did not write.
    fn prune(&mut self, name: &Name) -> io::Result<()> {
        let dir = match self.tree.existing(name) {
            Ok(dir) => dir,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.tree.forget();
        for last in at::read_dir(dir.as_fd())? {
            let child = name.join(&last);
            if !self.written.contains(&child) {
                at::remove_all(dir.as_fd(), &last)?;
            } else if at::stat(dir.as_fd(), &last)?.file_type == FileType::Directory {
                self.prune(&child)?;
            }
        }
        Ok(())
    }

    fn remember_written(&mut self, name: &Name, parent: &Name) -> Result<(), ApplyError> {
        if self.form != Form::Plain {
            return Ok(());
        }
        let mut above = parent.clone();
        while !above.is_root() && self.written.insert(above.clone()) {
            self.remember(&above)?;
            above = above.split().map_or_else(Name::root, |(parent, _)| parent);
        }
        self.remember(name)?;
        self.written.insert(name.clone());
        Ok(())
    }

    fn remember(&mut self, name: &Name) -> Result<(), ApplyError> {
        // 64 bytes: what the containers cost beside the bytes of the name.
        self.remembered += name.as_bytes().len() + 64;
        if self.remembered > REMEMBERED_MAX {
            return Err(ApplyError::Bound { what: "more directories than can be remembered in 64 MiB".to_owned() });
        }
        Ok(())
    }

    /// Sets the directories' times, deepest first, and tells how many entries were written.
    fn finish(mut self) -> Result<u64, ApplyError> {
        self.directories.sort_by_key(|(name, _)| std::cmp::Reverse(name.depth()));
        for (name, time) in &self.directories {
            // A later entry may have replaced the directory, or a link on the way to it.
            let Ok(dir) = self.tree.existing(name) else { continue };
            at::set_file_times(dir.as_fd(), *time, *time).map_err(|source| ApplyError::Write {
                operation: "set the times of",
                path: name.display(),
                source,
            })?;
        }
        Ok(self.entries)
    }
}

fn clamped((seconds, nanoseconds): (i64, u32)) -> (i64, u32) {
    match seconds {
        ..0 => (0, 0),
        0..=TIME_MAX => (seconds, nanoseconds),
        _ => (TIME_MAX, 0),
    }
}

/// Sets an entry's attributes but overlayfs' own; those the file or the file system cannot carry are left out.
fn set_xattrs(entry: &Entry, set: impl Fn(&OsStr, &[u8]) -> io::Result<()>) -> io::Result<()> {
    for (key, value) in &entry.xattrs {
        if tree::is_overlay_xattr(key) {
            tracing::debug!(path = entry.name(), "attribute of overlayfs in an archive left out");
            continue;
        }
        let is_user = key.starts_with(b"user.");
        match set(OsStr::from_bytes(key), value) {
            Err(error) if xattr::is_unsupported(&error) => {}
            // user.* is for files and directories only (xattr(7)).
            Err(error) if is_user && error.kind() == io::ErrorKind::PermissionDenied => {}
            result => result?,
        }
    }
    Ok(())
}

/// Writes a layer into `dir` on its own: [`apply`] for tests and for callers without layers below.
///
/// # Errors
/// As [`apply`].
pub fn apply_plain(reader: impl Read + Send, dir: &Path) -> Result<Applied, ApplyError> {
    apply(reader, &Target::plain(dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::{Writer as Tar, blank};
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, symlink};

    fn entry(path: &str, kind: Kind) -> Entry {
        let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
        Entry { path: path.into(), mode, mtime: (1_000_000_000, 0), ..blank(kind, 0) }
    }

    fn file(path: &str) -> Entry {
        Entry { size: 4, ..entry(path, Kind::File) }
    }

    fn link(path: &str, kind: Kind, target: &str) -> Entry {
        Entry { link: target.into(), ..entry(path, kind) }
    }

    fn archive(entries: &[Entry]) -> Vec<u8> {
        let mut tar = Tar::new(Vec::new());
        for entry in entries {
            tar.append(entry, &mut &b"data"[..]).unwrap();
        }
        tar.finish().unwrap()
    }

    /// A host with something to attack beside the directory applied to.
    struct Host {
        dir: tempfile::TempDir,
    }

    impl Host {
        fn new() -> Self {
            let dir = tempfile::Builder::new().prefix("corten-layers-").tempdir().unwrap();
            for name in ["upper", "lower", "outside"] {
                fs::create_dir(dir.path().join(name)).unwrap();
            }
            fs::write(dir.path().join("outside/secret"), "host").unwrap();
            Self { dir }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn overlay(&self, entries: &[Entry]) -> Result<Applied, ApplyError> {
            apply(&archive(entries)[..], &Target::overlay(self.path("upper"), vec![self.path("lower")]))
        }

        fn plain(&self, entries: &[Entry]) -> Result<Applied, ApplyError> {
            apply_plain(&archive(entries)[..], &self.path("upper"))
        }

        fn assert_outside_untouched(&self) {
            assert_eq!(fs::read_dir(self.path("outside")).unwrap().count(), 1);
            assert_eq!(fs::read_to_string(self.path("outside/secret")).unwrap(), "host");
        }
    }

    #[test]
    fn escapes_are_refused_or_stay_inside() {
        let device = Entry { rdev: (0, 0), ..entry("gone", Kind::CharDevice) };
        let outside = "../outside";
        for (entries, message) in [
            (vec![file("../outside/x")], "entry 1 \"../outside/x\": leaves the root filesystem"),
            (vec![file("a/../../outside/x")], "leaves the root filesystem"),
            (vec![link("l", Kind::HardLink, "../outside/secret")], "hard link to \"../outside/secret\": leaves"),
            (vec![link("l", Kind::HardLink, "missing")], "hard link to \"missing\": no such file"),
            (vec![entry("d/", Kind::Directory), link("l", Kind::HardLink, "d")], "a directory has one name only"),
            (vec![entry("../../outside/.wh.secret", Kind::File)], "leaves the root filesystem"),
            (vec![entry("a/.wh...", Kind::File)], "the whiteout names no file"),
            (vec![entry(".wh.", Kind::File)], "the whiteout names no file"),
            (vec![device], "would hide a file of a lower layer"),
            (vec![entry("./", Kind::Fifo)], "can only be a directory"),
            (vec![link(".", Kind::Symlink, outside)], "can only be a directory"),
            (vec![file("f"), file("f/x")], "Not a directory"),
            (vec![link("a", Kind::Symlink, "b"), link("b", Kind::Symlink, "a"), file("a/x")], "symbolic links"),
        ] {
            for form in [Form::Overlay, Form::Plain] {
                let host = Host::new();
                let result = if form == Form::Overlay { host.overlay(&entries) } else { host.plain(&entries) };
                let error = corten_types::error::chain(&result.unwrap_err());
                assert!(error.contains(message), "{error} instead of {message}");
                host.assert_outside_untouched();
            }
        }
    }

    #[test]
    fn links_out_of_the_tree_lead_nowhere_else() {
        let host = Host::new();
        let absolute = host.path("outside").display().to_string();
        host.overlay(&[
            link("up", Kind::Symlink, "../outside"),
            file("up/one"),
            link("abs", Kind::Symlink, &absolute),
            file("abs/two"),
            entry("abs/.wh.secret", Kind::File),
            link("hard", Kind::HardLink, "/up/one"),
        ])
        .unwrap();
        host.assert_outside_untouched();
        assert_eq!(fs::read_to_string(host.path("upper/outside/one")).unwrap(), "data");
        assert_eq!(fs::read_to_string(host.path("upper/hard")).unwrap(), "data");
    }

    #[test]
    fn a_symlink_swapped_in_for_a_directory_is_not_followed_out() {
        let host = Host::new();
        let absolute = host.path("outside").display().to_string();
        host.overlay(&[
            entry("d/", Kind::Directory),
            file("d/a"),
            link("d", Kind::Symlink, &absolute),
            file("d/secret"),
        ])
        .unwrap();
        host.assert_outside_untouched();
    }

    #[test]
    fn whiteouts_hide_what_lies_below_and_spare_the_layers_own() {
        let host = Host::new();
        fs::create_dir_all(host.path("lower/d")).unwrap();
        fs::write(host.path("lower/gone"), "").unwrap();
        host.overlay(&[
            entry(".wh.gone", Kind::File),
            file("kept"),
            entry(".wh.kept", Kind::File),
            entry(".wh.d", Kind::File),
            file("d/new"),
            entry("o/", Kind::Directory),
            entry("o/.wh..wh..opq", Kind::File),
            entry(".wh..wh.plnk", Kind::File),
        ])
        .unwrap();
        let upper = at::open_root(&host.path("upper")).unwrap();
        assert!(at::stat(upper.as_fd(), OsStr::new("gone")).unwrap().is_whiteout());
        assert_eq!(fs::read_to_string(host.path("upper/kept")).unwrap(), "data");
        assert!(tree::is_opaque(upper.as_fd(), OsStr::new("d")).unwrap());
        assert!(tree::is_opaque(upper.as_fd(), OsStr::new("o")).unwrap());
        assert!(!host.path("upper/.wh..wh.plnk").exists());
    }

    #[test]
    fn whiteouts_in_a_plain_directory_remove() {
        let host = Host::new();
        fs::create_dir_all(host.path("upper/o/old")).unwrap();
        fs::write(host.path("upper/gone"), "").unwrap();
        host.plain(&[entry(".wh.gone", Kind::File), file("o/new"), entry("o/.wh..wh..opq", Kind::File)]).unwrap();
        assert!(!host.path("upper/gone").exists());
        assert!(!host.path("upper/o/old").exists());
        assert!(host.path("upper/o/new").exists());
    }

    #[test]
    fn a_hard_link_to_a_lower_file_copies_it_up() {
        let host = Host::new();
        fs::create_dir(host.path("lower/bin")).unwrap();
        fs::write(host.path("lower/bin/tool"), "lower").unwrap();
        host.overlay(&[link("bin/alias", Kind::HardLink, "bin/tool")]).unwrap();
        let ids = |name: &str| fs::metadata(host.path(name)).unwrap().ino();
        assert_eq!(ids("upper/bin/alias"), ids("upper/bin/tool"));
        assert_eq!(fs::read_to_string(host.path("upper/bin/alias")).unwrap(), "lower");

        let hidden =
            host.overlay(&[entry("bin/.wh.tool", Kind::File), link("bin/other", Kind::HardLink, "bin/missing")]);
        assert!(hidden.is_err());
    }

    #[test]
    fn metadata_is_kept() {
        let host = Host::new();
        host.overlay(&[
            Entry { mode: 0o4750, uid: 12, gid: 34, mtime: (77, 5), ..file("setuid") },
            Entry {
                xattrs: vec![(b"user.k".to_vec(), b"v".to_vec()), (b"trusted.overlay.opaque".to_vec(), b"y".to_vec())],
                ..file("attr")
            },
            Entry { mode: 0o1777, mtime: (99, 0), ..entry("tmp/", Kind::Directory) },
            file("tmp/inside"),
            Entry { mode: 0o2755, gid: 50, ..entry("shared/", Kind::Directory) },
            file("shared/file"),
            Entry { mtime: (55, 0), uid: 7, ..link("sym", Kind::Symlink, "nowhere") },
            Entry { rdev: (1, 3), mode: 0o666, ..entry("null", Kind::CharDevice) },
            entry("pipe", Kind::Fifo),
            Entry { mtime: (-5, 0), ..file("old") },
        ])
        .unwrap();
        let stat = |name: &str| fs::symlink_metadata(host.path("upper").join(name)).unwrap();
        let setuid = stat("setuid");
        assert_eq!((setuid.mode() & 0o7777, setuid.uid(), setuid.gid()), (0o4750, 12, 34));
        assert_eq!((setuid.mtime(), setuid.mtime_nsec()), (77, 5));
        assert_eq!((stat("tmp").mode() & 0o7777, stat("tmp").mtime()), (0o1777, 99));
        assert_eq!(stat("shared/file").gid(), 0);
        assert_eq!((stat("sym").mtime(), stat("sym").uid()), (55, 7));
        assert_eq!((stat("null").rdev(), stat("null").mode() & 0o777), (0x103, 0o666));
        assert!(stat("pipe").file_type().is_fifo());
        assert_eq!(stat("old").mtime(), 0);
        let upper = at::open_root(&host.path("upper")).unwrap();
        let name = OsStr::new("attr");
        assert_eq!(xattr::list(upper.as_fd(), name).unwrap(), ["user.k"]);
    }

    #[test]
    fn a_later_entry_of_the_same_name_wins() {
        let host = Host::new();
        host.overlay(&[
            entry("a/", Kind::Directory),
            file("a/x"),
            file("a"),
            file("b"),
            entry("b/", Kind::Directory),
            file("b/y"),
            file("c"),
            link("c", Kind::HardLink, "c"),
        ])
        .unwrap();
        assert!(host.path("upper/a").is_file());
        assert!(host.path("upper/b/y").is_file());
        assert!(host.path("upper/c").is_file());
    }

    #[test]
    fn missing_parents_take_after_the_lower_ones() {
        let host = Host::new();
        fs::create_dir_all(host.path("lower/var/spool")).unwrap();
        fs::set_permissions(host.path("lower/var/spool"), std::os::unix::fs::PermissionsExt::from_mode(0o1770))
            .unwrap();
        symlink("/usr/lib", host.path("lower/lib")).unwrap();
        host.overlay(&[file("var/spool/job"), link("lib64", Kind::Symlink, "usr/lib64"), file("lib64/ld")]).unwrap();
        assert_eq!(fs::metadata(host.path("upper/var/spool")).unwrap().mode() & 0o7777, 0o1770);
        assert!(host.path("upper/usr/lib64/ld").is_file());
    }

    #[test]
    fn truncated_and_damaged_archives_are_told_apart_from_short_ones() {
        let host = Host::new();
        let whole = archive(&[file("one"), file("two")]);
        let target = Target::plain(host.path("upper"));
        for (bytes, message) in [
            (&whole[..whole.len() - 1024 - 512 + 2], "truncated in entry 2 \"two\""),
            (&whole[..700], "truncated in entry 1 \"one\""),
            (&whole[..1024 + 100], "truncated in entry 2"),
            (&b"this is no archive, whatever it calls itself".repeat(30)[..], "entry 1: invalid tar header"),
        ] {
            let error = apply(bytes, &target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            let text = corten_types::error::chain(&error);
            assert!(text.contains(message), "{text} instead of {message}");
        }
        // docker accepts an archive without its end marker.
        assert_eq!(apply(&whole[..whole.len() - 1024], &target).unwrap().entries, 2);
        assert_eq!(apply(&b""[..], &target).unwrap().entries, 0);
    }

    #[test]
    fn digests_cover_the_whole_stream() {
        let host = Host::new();
        let whole = archive(&[file("one")]);
        let compressed = zstd::encode_all(&whole[..], 1).unwrap();
        let target = Target::plain(host.path("upper"));
        let plain = apply(&whole[..], &target).unwrap();
        let packed = apply(&compressed[..], &target).unwrap();
        assert_eq!(plain.diff_id, packed.diff_id);
        assert_eq!((plain.size, packed.compressed_size), (whole.len() as u64, compressed.len() as u64));
        assert_eq!((plain.compressed == plain.diff_id, packed.compressed == packed.diff_id), (true, false));
    }
}
