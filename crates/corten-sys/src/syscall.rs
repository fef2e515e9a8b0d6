//! Small pieces every wrapper by descriptor needs: `AT_FDCWD`, an empty path, a returned descriptor.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::cvt;

/// The directory argument that means "relative to the current directory".
pub const HERE: BorrowedFd<'static> = {
    // SAFETY: AT_FDCWD is no descriptor and cannot be closed, so the borrow never dangles; -1 alone is forbidden.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
};

/// Takes the descriptor a system call just returned.
///
/// # Safety
/// `result` must be the return value of a call that hands a new descriptor to its caller.
pub(crate) unsafe fn check_fd(result: libc::c_long) -> io::Result<OwnedFd> {
    let raw = RawFd::try_from(cvt(result)?).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the caller says that the kernel just returned this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// `AT_EMPTY_PATH` when `path` is empty: the descriptor itself is meant.
pub(crate) fn empty_path(path: &CStr) -> libc::c_int {
    if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 }
}

/// The number of a borrowed descriptor, as the kernel takes it.
pub(crate) fn raw(fd: BorrowedFd<'_>) -> libc::c_int {
    fd.as_raw_fd()
}
