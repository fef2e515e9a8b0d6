//! Writing entries into the tree, one at a time.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use corten_sys::at::{self, FileType};
use corten_sys::xattr;

use super::{ApplyError, Form};
use crate::archive::{Archive, Entry, Kind};
use crate::budget::Budget;
use crate::copy;
use crate::name::{Marker, Name, marker};
use crate::tree::{self, Dir, Tree, is_missing};

/// Most entries of one layer: ten times the largest image seen; bounds the time a hostile one takes.
const ENTRIES_MAX: u64 = 10_000_000;
/// Most bytes of directory names remembered for their times, and in the plain form of all names.
const REMEMBERED_MAX: usize = 64 << 20;
/// Times are clamped to what every file system stores: the year 1970 to 2242.
const TIME_MAX: i64 = (1 << 33) - 1;
/// What is written at once.
const BUFFER: usize = 256 << 10;

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

/// Writes one layer.
pub(super) struct Writer {
    tree: Tree,
    form: Form,
    creds: Creds,
    /// Directories whose times are set last, since every file made in one changes them.
    directories: Vec<(Name, (i64, u32))>,
    /// Plain form: names of this layer, which its own whiteouts spare.
    written: HashSet<Name>,
    remembered: usize,
    entries: u64,
    budget: Budget,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(tree: Tree, form: Form) -> Self {
        Self {
            tree,
            form,
            creds: Creds::read(),
            directories: Vec::new(),
            written: HashSet::new(),
            remembered: 0,
            entries: 0,
            budget: Budget::default(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Writes the entry just read, with its data.
    pub(super) fn write(&mut self, entry: &Entry, archive: &mut Archive<impl Read>) -> Result<(), ApplyError> {
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
        let (size, stored) = if entry.kind == Kind::File { (entry.size, archive.data_left()) } else { (0, 0) };
        self.budget.spend(self.tree.root(), size, stored).map_err(failed("write"))?;
        let dir = match self.form {
            // A directory that no entry makes is the one of a layer below.
            Form::Staged => match self.tree.known(&parent) {
                Err(error) if is_missing(&error) => return Err(needs_lower(entry)),
                found => found,
            },
            Form::Overlay | Form::Plain => self.tree.directory(&parent),
        };
        let dir = dir.map_err(failed("create the directory of"))?;
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
            None if self.form == Form::Staged => return Err(needs_lower(entry)),
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
                copy::file(target_dir.as_fd(), target_last, dir.fd(), last).map_err(failed)?;
            }
            result => result.map_err(failed)?,
        }
        self.set_link_metadata(dir, last, entry, &stat)
    }

    /// What the entry of a hard link says of the file counts for all its names, as in docker; most say the same.
    fn set_link_metadata(&self, dir: &Dir, last: &OsStr, entry: &Entry, stat: &at::Stat) -> Result<(), ApplyError> {
        let failed = |operation| move |source| ApplyError::Write { operation, path: entry.name(), source };
        let owner_differs = (entry.uid, entry.gid) != (stat.uid, stat.gid);
        if owner_differs {
            at::chown(dir.fd(), last, entry.uid, entry.gid).map_err(failed("set the owner of"))?;
        }
        if stat.file_type != FileType::Regular {
            return Ok(());
        }
        let set = |key: &OsStr, value: &[u8]| xattr::set(dir.fd(), last, key, value);
        set_xattrs(entry, set).map_err(failed("set attributes of"))?;
        if owner_differs || entry.mode != stat.mode {
            at::chmod(dir.fd(), last, entry.mode).map_err(failed("set the mode of"))?;
        }
        let time = clamped(entry.mtime);
        if time == stat.mtime {
            return Ok(());
        }
        at::set_times(dir.fd(), last, time, time).map_err(failed("set the times of"))
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
        if !self.hides_lower() {
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

    /// Whether there is, or may come to be, something below.
    fn hides_lower(&self) -> bool {
        self.form == Form::Staged || self.tree.has_lowers()
    }

    /// Hides everything the layers below have in a directory.
    fn hide_all(&mut self, dir: &Dir, name: &Name) -> io::Result<()> {
        if self.form == Form::Plain {
            return self.prune(name);
        }
        if self.hides_lower() { tree::make_opaque(dir.fd()) } else { Ok(()) }
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
    pub(super) fn finish(mut self) -> Result<u64, ApplyError> {
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

pub(crate) fn needs_lower(entry: &Entry) -> ApplyError {
    ApplyError::NeedsLower { number: entry.number, path: entry.name() }
}

pub(crate) fn clamped((seconds, nanoseconds): (i64, u32)) -> (i64, u32) {
    match seconds {
        ..0 => (0, 0),
        0..=TIME_MAX => (seconds, nanoseconds),
        _ => (TIME_MAX, 0),
    }
}

/// Sets an entry's attributes but overlayfs' own; those the file or the file system cannot carry are left out.
pub(crate) fn set_xattrs(entry: &Entry, set: impl Fn(&OsStr, &[u8]) -> io::Result<()>) -> io::Result<()> {
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
