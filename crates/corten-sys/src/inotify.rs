//! Being told when files change (inotify(7)).

use std::{
    ffi::{CString, OsString},
    io,
    ops::BitOr,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::Path,
};

use crate::{cvt, cvt_int, retry};

/// What to be told about, and what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask(u32);

impl Mask {
    /// The file was written to.
    pub const MODIFY: Self = Self(libc::IN_MODIFY);
    /// A name was made in the directory.
    pub const CREATE: Self = Self(libc::IN_CREATE);
    /// A name was removed from the directory.
    pub const DELETE: Self = Self(libc::IN_DELETE);
    /// A name was moved into the directory.
    pub const MOVED_TO: Self = Self(libc::IN_MOVED_TO);
    /// The watched file itself was renamed.
    pub const MOVE_SELF: Self = Self(libc::IN_MOVE_SELF);
    /// The watched file itself was removed.
    pub const DELETE_SELF: Self = Self(libc::IN_DELETE_SELF);
    /// The link count or another attribute changed.
    pub const ATTRIB: Self = Self(libc::IN_ATTRIB);
    /// The watch is gone (with its file, or by [`Inotify::remove`]).
    pub const IGNORED: Self = Self(libc::IN_IGNORED);
    /// Events were lost: look at everything again.
    pub const OVERFLOW: Self = Self(libc::IN_Q_OVERFLOW);

    /// Whether any of `other` is in this.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Mask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Names one watch of an [`Inotify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watch(i32);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which watch saw it.
    pub watch: Watch,
    /// What happened.
    pub mask: Mask,
    /// The name in the watched directory, when it is one.
    pub name: OsString,
}

/// A queue of changes; readable while there are some. Non-blocking.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

impl Inotify {
    /// An empty queue.
    ///
    /// # Errors
    /// `EMFILE` also when the user has too many (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Self> {
        // SAFETY: inotify_init1 takes one integer.
        let fd = cvt_int(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches the file or directory at `path`.
    ///
    /// # Errors
    /// `ENOENT`; `ENOSPC` when the user has too many watches (`fs.inotify.max_user_watches`).
    pub fn add(&self, path: &Path, mask: Mask) -> io::Result<Watch> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        // SAFETY: path is NUL-terminated and outlives the call.
        let watch = cvt_int(unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask.0) })?;
        Ok(Watch(watch))
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// `EINVAL` when it is gone already.
    pub fn remove(&self, watch: Watch) -> io::Result<()> {
        // SAFETY: inotify_rm_watch takes two integers.
        cvt_int(unsafe { libc::inotify_rm_watch(self.0.as_raw_fd(), watch.0) }).map(drop)
    }

    /// Takes what has happened; empty when nothing has.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self) -> io::Result<Vec<Event>> {
        let mut buffer = [0u8; 4096];
        let result = retry(|| {
            // SAFETY: buffer has room for the bytes asked for and outlives the call.
            cvt(unsafe { libc::read(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } as libc::c_long)
        });
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(count) => Ok(parse(&buffer[..count as usize])),
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Inotify {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// Takes `struct inotify_event`s apart: wd, mask, cookie, len, then `len` bytes of a padded name.
fn parse(mut bytes: &[u8]) -> Vec<Event> {
    const HEADER: usize = size_of::<libc::inotify_event>();
    let mut events = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let Some((name, next)) = rest.split_at_checked(word(12) as usize) else { break };
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        let name = OsString::from_vec(name[..end].to_vec());
        events.push(Event { watch: Watch(word(0) as i32), mask: Mask(word(4)), name });
        bytes = next;
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_and_renamed_file_is_told() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a");
        std::fs::write(&path, "").expect("written");
        let inotify = Inotify::new().expect("a descriptor");
        let watch = inotify.add(&path, Mask::MODIFY | Mask::MOVE_SELF).expect("the file exists");
        assert!(inotify.read().expect("read").is_empty());
        std::fs::write(&path, "x").expect("written");
        std::fs::rename(&path, directory.path().join("b")).expect("renamed");
        let events = inotify.read().expect("read");
        assert!(events.iter().all(|event| event.watch == watch));
        assert!(events.first().is_some_and(|event| event.mask.intersects(Mask::MODIFY)));
        assert!(events.last().is_some_and(|event| event.mask.intersects(Mask::MOVE_SELF)));
    }

    #[test]
    fn names_in_a_directory_are_told_without_their_padding() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let inotify = Inotify::new().expect("a descriptor");
        inotify.add(directory.path(), Mask::CREATE).expect("the directory exists");
        std::fs::write(directory.path().join("hello"), "").expect("written");
        std::fs::write(directory.path().join("a-longer-name-than-that"), "").expect("written");
        let names: Vec<_> = inotify.read().expect("read").into_iter().map(|event| event.name).collect();
        assert_eq!(names, ["hello", "a-longer-name-than-that"]);
    }
}
