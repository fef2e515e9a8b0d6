//! Extended attributes (xattr(7)), of open files and of names in a directory's descriptor.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "name holds a NUL byte"))
}

/// The path of `name` in `dir` for calls that only take one: the descriptor's magic link, then one component.
fn path_of(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<CString> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    c_string(&path)
}

fn cvt(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// True of the answers that mean "this file cannot carry such an attribute".
#[must_use]
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTSUP))
}

/// Sets `key` of an open file.
///
/// # Errors
/// `ENOTSUP` where the file system or the kind of file has no such attribute, `EPERM` (fsetxattr(2)).
pub fn fset(file: BorrowedFd<'_>, key: &OsStr, value: &[u8]) -> io::Result<()> {
    let key = c_string(key.as_bytes())?;
    // SAFETY: `key` is NUL-terminated, `value` is readable for its length; the call copies both.
    cvt(unsafe { libc::fsetxattr(file.as_raw_fd(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) } as isize)
        .map(drop)
}

/// As [`fset`], without allocating.
///
/// # Errors
/// As [`fset`].
pub fn fset_c(file: BorrowedFd<'_>, key: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: `key` is NUL-terminated, `value` is readable for its length; the call copies both.
    cvt(unsafe { libc::fsetxattr(file.as_raw_fd(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) } as isize)
        .map(drop)
}

/// Sets `key` of `name`, of the link itself when it is one.
///
/// # Errors
/// As [`fset`].
pub fn set(dir: BorrowedFd<'_>, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
    let (path, key) = (path_of(dir, name)?, c_string(key.as_bytes())?);
    // SAFETY: both strings are NUL-terminated, `value` is readable for its length; the call copies them.
    cvt(unsafe { libc::lsetxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) } as isize)
        .map(drop)
}

/// The value of `key` of `name`, none when it has no such attribute.
///
/// # Errors
/// lgetxattr(2).
pub fn get(dir: BorrowedFd<'_>, name: &OsStr, key: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let (path, key) = (path_of(dir, name)?, c_string(key.as_bytes())?);
    // XATTR_SIZE_MAX: no value is longer (xattr(7)).
    let mut value = vec![0_u8; 65536];
    // SAFETY: both strings are NUL-terminated, the buffer is writable for the length given.
    let read = unsafe { libc::lgetxattr(path.as_ptr(), key.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    match cvt(read) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::ENOTSUP)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The keys `name` has, in the file system's order; none where it cannot have any.
///
/// # Errors
/// llistxattr(2).
pub fn list(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Vec<OsString>> {
    let path = path_of(dir, name)?;
    // XATTR_LIST_MAX: no list is longer (xattr(7)).
    let mut names = vec![0_u8; 65536];
    // SAFETY: the path is NUL-terminated, the buffer is writable for the length given.
    match cvt(unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) }) {
        Ok(length) => names.truncate(length),
        Err(error) if is_unsupported(&error) => names.clear(),
        Err(error) => return Err(error),
    }
    let keys = names.split(|byte| *byte == 0).filter(|key| !key.is_empty());
    Ok(keys.map(|key| OsString::from_vec(key.to_vec())).collect())
}
