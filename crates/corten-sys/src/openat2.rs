//! Opening what lies inside a container's tree (openat2(2), Linux 5.6).
//!
//! Everything below a root file system is foreign: an image or a running container may have put a
//! symlink anywhere. So such paths are never joined to a host path. They are an [`InRootfs`], which has
//! no `AsRef<Path>`, and are resolved by the kernel beneath a descriptor of the root.

use std::{
    ffi::{CStr, CString, OsStr},
    fmt, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use crate::{cvt, retry};

/// A path as the container sees it: absolute within its root, whatever was written.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InRootfs(CString);

impl InRootfs {
    /// The path `text`, taken from the container's root.
    ///
    /// # Errors
    /// `EINVAL` when it holds a NUL byte.
    pub fn new(text: impl AsRef<OsStr>) -> io::Result<Self> {
        let bytes = text.as_ref().as_bytes();
        let text = if bytes.is_empty() { b"/" } else { bytes };
        CString::new(text).map(Self).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
    }

    /// The path's components but `.` and empty ones; `..` stays, for the kernel to resolve.
    pub fn components(&self) -> impl Iterator<Item = &OsStr> {
        self.0
            .as_bytes()
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
            .map(OsStr::from_bytes)
    }

    /// The path of the directory it lies in, and its last component; `None` for the root itself and
    /// for a path that ends in `..`.
    pub fn split(&self) -> Option<(Self, CString)> {
        let mut parts: Vec<&OsStr> = self.components().collect();
        let last = parts.pop().filter(|last| *last != "..")?;
        let mut parent = Vec::new();
        for part in &parts {
            parent.push(b'/');
            parent.extend_from_slice(part.as_bytes());
        }
        if parts.is_empty() {
            parent.push(b'/');
        }
        // Both come from a C string, so neither can hold a NUL byte.
        Some((Self(CString::new(parent).ok()?), CString::new(last.as_bytes()).ok()?))
    }

    /// Whether it is the root itself, by its text.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.components().next().is_none()
    }

    /// The path as the kernel takes it.
    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// The path for messages.
    pub fn display(&self) -> impl fmt::Display + '_ {
        String::from_utf8_lossy(self.0.as_bytes())
    }
}

impl fmt::Debug for InRootfs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

/// How the kernel walks a path (openat2(2), `resolve`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolve(pub(crate) u64);

impl Resolve {
    /// The descriptor is the root: absolute paths and symlinks start there, `..` stops there. Magic
    /// links of /proc are refused.
    pub const IN_ROOT: Self = Self(libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS);
    /// Anywhere, but not through the links of /proc that lead where no path leads.
    pub const NO_MAGICLINKS: Self = Self(libc::RESOLVE_NO_MAGICLINKS);
    /// As [`Resolve::IN_ROOT`], and no symlink is followed at all.
    pub const IN_ROOT_NO_SYMLINKS: Self =
        Self(libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_SYMLINKS);
    /// As [`Resolve::IN_ROOT`], and no other mount is entered: for trees on disk, where a mount is not part of them.
    pub const IN_ROOT_SAME_MOUNT: Self =
        Self(libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_XDEV);
    /// Leaving the descriptor's tree is an error (`EXDEV`) instead of being clamped; no magic links.
    pub const BENEATH: Self = Self(libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS);
    /// As [`Resolve::BENEATH`], without symlinks and without crossing a mount: for files of procfs,
    /// which a mount on top could redirect (CVE-2025-52881).
    pub const BENEATH_SAME_MOUNT: Self =
        Self(libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV);

    /// The same, and no other mount is entered: `EXDEV`.
    #[must_use]
    pub const fn on_same_mount(self) -> Self {
        Self(self.0 | libc::RESOLVE_NO_XDEV)
    }
}

/// Opens `path` under `root` with `flags` (`libc::O_*`; `O_CLOEXEC` is added) and, for `O_CREAT`, `mode`.
///
/// # Errors
/// `EXDEV` when the walk left what `resolve` allows, `ELOOP` for a forbidden link, `EAGAIN` is retried
/// (a rename raced with `..`), else as open(2).
pub fn open(root: impl AsFd, path: &InRootfs, flags: i32, mode: u32, resolve: Resolve) -> io::Result<OwnedFd> {
    open_raw(root.as_fd(), &path.0, flags, mode, resolve.0)
}

/// As [`open`], for a path that was prepared before a clone: nothing is allocated.
///
/// # Errors
/// As [`open`].
pub fn open_c(root: impl AsFd, path: &CStr, flags: i32, resolve: Resolve) -> io::Result<OwnedFd> {
    open_raw(root.as_fd(), path, flags, 0, resolve.0)
}

/// Opens `path` beneath the directory `base`; for trees that are ours, where a symlink is a defect.
///
/// # Errors
/// As [`open`], and `EINVAL` for a path with a NUL byte.
pub fn open_beneath(base: impl AsFd, path: impl AsRef<Path>, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let path =
        CString::new(path.as_ref().as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    open_raw(base.as_fd(), &path, flags, mode, Resolve::BENEATH.0)
}

/// How often a walk that raced with a rename is tried again before the error is returned: each try
/// needs a new rename at the same instant, so an attacker cannot keep it up this long by chance.
const RACE_RETRIES: usize = 128;

pub(crate) fn open_raw(root: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    // SAFETY: an all-zero open_how is valid (openat2(2)); the kernel structure may grow, hence zeroed().
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    // openat2 refuses a mode without O_CREAT or O_TMPFILE.
    how.mode = if flags & (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) != 0 { u64::from(mode) } else { 0 };
    how.resolve = resolve;
    let mut tries = 0;
    let fd = loop {
        let result = retry(|| {
            // SAFETY: path is NUL-terminated and how is a valid structure of the size given; both
            // outlive the call.
            cvt(unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    root.as_raw_fd(),
                    path.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                )
            })
        });
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && tries < RACE_RETRIES => tries += 1,
            result => break result?,
        }
    };
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, os::unix::fs::symlink};

    use super::*;

    fn root() -> (tempfile::TempDir, File) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = File::open(directory.path()).expect("opens");
        (directory, root)
    }

    #[test]
    fn a_symlink_to_the_host_stays_in_the_root() {
        let (directory, root) = root();
        symlink("/etc", directory.path().join("link")).expect("symlink");
        let path = InRootfs::new("/link/passwd").expect("no NUL");
        let error = open(&root, &path, libc::O_PATH, 0, Resolve::IN_ROOT).expect_err("etc is not in the root");
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn dot_dot_stops_at_the_root() {
        let (directory, root) = root();
        fs::write(directory.path().join("file"), "inside").expect("write");
        let path = InRootfs::new("/../../../file").expect("no NUL");
        assert!(open(&root, &path, libc::O_RDONLY, 0, Resolve::IN_ROOT).is_ok());
        let error = open(&root, &path, libc::O_RDONLY, 0, Resolve::BENEATH).expect_err("leaves the tree");
        assert_eq!(error.raw_os_error(), Some(libc::EXDEV));
    }

    #[test]
    fn a_path_splits_into_directory_and_name() {
        let path = InRootfs::new("a//./b/c").expect("no NUL");
        let (parent, name) = path.split().expect("has a name");
        assert_eq!((parent.display().to_string().as_str(), name.as_bytes()), ("/a/b", &b"c"[..]));
        assert!(InRootfs::new("/").expect("no NUL").split().is_none());
        assert!(InRootfs::new("a/..").expect("no NUL").split().is_none());
    }
}
