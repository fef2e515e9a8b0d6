//! Handles on files of a tree somebody else changes meanwhile (open(2), `O_PATH`).
//!
//! A handle is the file itself whatever its name leads to later, and taking one has no effect on a device or a pipe.
//! So who must open, or change, only what it has looked at takes a handle, looks at that, and goes on from it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use crate::at::{self, FileType, Stat};
use crate::openat2::{self, InRootfs, Resolve};
use crate::{cvt_int, files};

/// A handle on `name` in `dir`, on the link itself when it is one.
///
/// # Errors
/// openat(2); `EINVAL` for a name with a NUL byte.
pub fn open(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let name = std::ffi::CString::new(name.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    files::open(dir, &name, libc::O_PATH | libc::O_NOFOLLOW, 0)
}

/// A handle on `path` with `root` as `/`. A final symlink is followed only when the path ends in a slash or a dot.
///
/// # Errors
/// Those of [`openat2::open`].
pub fn open_in_root(root: BorrowedFd<'_>, path: &InRootfs) -> io::Result<OwnedFd> {
    openat2::open(root, path, libc::O_PATH | libc::O_NOFOLLOW, 0, Resolve::IN_ROOT)
}

/// Opens the ordinary file `name` for reading, and says what it is; `None` when it is of another kind, which is then
/// not opened at all.
///
/// # Errors
/// openat(2); `ENOENT` also where /proc is not mounted.
pub fn open_regular(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<(File, Stat)>> {
    let handle = open(dir, name)?;
    let stat = at::fstat(handle.as_fd())?;
    if stat.file_type != FileType::Regular {
        return Ok(None);
    }
    File::open(link_to(handle.as_fd())).map(|file| Some((file, stat)))
}

/// Opens the directory that `handle` refers to for listing.
///
/// # Errors
/// `ENOTDIR` for anything else.
pub fn open_dir(handle: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    files::open(handle, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)
}

/// Sets the permission bits of the file that `handle` refers to.
///
/// # Errors
/// chmod(2); `EOPNOTSUPP` for a symbolic link.
pub fn chmod(handle: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    let path = std::ffi::CString::new(link_to(handle)).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: `path` is NUL-terminated and outlives the call.
    cvt_int(unsafe { libc::chmod(path.as_ptr(), mode) }).map(drop)
}

/// The name under which /proc shows a descriptor of this process; following it reaches the very file.
fn link_to(handle: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_ordinary_files_are_opened_and_only_the_file_itself_is_changed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("file"), "text").expect("write");
        symlink("file", directory.path().join("link")).expect("symlink");
        let dir = at::open_root(directory.path()).expect("opens");
        let (mut file, stat) = open_regular(dir.as_fd(), OsStr::new("file")).expect("opens").expect("is ordinary");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!((text.as_str(), stat.size), ("text", 4));
        assert!(open_regular(dir.as_fd(), OsStr::new("link")).expect("a link is no error").is_none());
        let link = open(dir.as_fd(), OsStr::new("link")).expect("opens");
        assert!(chmod(link.as_fd(), 0o777).is_err());
        let file = open(dir.as_fd(), OsStr::new("file")).expect("opens");
        chmod(file.as_fd(), 0o640).expect("chmod");
        let mode = fs::metadata(directory.path().join("file")).expect("stat").permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }

    #[test]
    fn a_slash_at_the_end_follows_the_link() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("real")).expect("mkdir");
        symlink("/real", directory.path().join("link")).expect("symlink");
        let root = at::open_root(directory.path()).expect("opens");
        let kind = |path: &str| {
            let handle = open_in_root(root.as_fd(), &InRootfs::new(path).expect("no NUL")).expect("opens");
            at::fstat(handle.as_fd()).expect("stat").file_type
        };
        assert_eq!(kind("/link"), FileType::Symlink);
        assert_eq!(kind("/link/"), FileType::Directory);
        assert_eq!(kind("/link/."), FileType::Directory);
    }
}
