//! Facts of a file system: how much is free (statvfs(3)), whether it gives types with names (getdents64(2));
//! and its shut-down, a power cut for tests.

use std::{
    ffi::CString,
    fs::File,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use crate::{cvt, cvt_int};

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Its size.
    pub total_bytes: u64,
    /// What an unprivileged process may still write.
    pub free_bytes: u64,
    /// How many files it can hold; 0 where it does not count them (btrfs).
    pub total_files: u64,
    /// How many more it can hold.
    pub free_files: u64,
}

/// How full the file system that holds `path` is.
///
/// # Errors
/// The kernel's, when `path` does not exist or cannot be reached.
pub fn usage(path: &Path) -> io::Result<Usage> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut facts = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in NUL and the buffer has the structure's size.
    cvt(unsafe { libc::statvfs(path.as_ptr(), facts.as_mut_ptr()) }.into())?;
    // SAFETY: statvfs fills the whole structure when it succeeds.
    Ok(Usage::of(&unsafe { facts.assume_init() }))
}

/// How full the file system that `file` lies on is.
///
/// # Errors
/// The kernel's (fstatvfs(3)).
pub fn usage_of(file: BorrowedFd<'_>) -> io::Result<Usage> {
    let mut facts = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the buffer has the structure's size.
    cvt(unsafe { libc::fstatvfs(file.as_raw_fd(), facts.as_mut_ptr()) }.into())?;
    // SAFETY: fstatvfs fills the whole structure when it succeeds.
    Ok(Usage::of(&unsafe { facts.assume_init() }))
}

/// Asks the file system to keep the trees below `directory` apart from one another (ioctl_iflags(2), `FS_TOPDIR_FL`).
///
/// Without it ext4 puts each where the last one was; where files were removed a moment ago, it steps over every one of
/// their inodes to make a new one, which takes up to eight times as long.
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` of a file system without such flags.
pub fn spread_subdirectories(directory: BorrowedFd<'_>) -> io::Result<()> {
    const FS_TOPDIR_FL: libc::c_int = 0x0002_0000;
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes one integer (the request's name says long, its meaning is int).
    cvt_int(unsafe { libc::ioctl(directory.as_raw_fd(), libc::FS_IOC_GETFLAGS as _, &raw mut flags) })?;
    if flags & FS_TOPDIR_FL != 0 {
        return Ok(());
    }
    flags |= FS_TOPDIR_FL;
    // SAFETY: the kernel reads one integer.
    cvt_int(unsafe { libc::ioctl(directory.as_raw_fd(), libc::FS_IOC_SETFLAGS as _, &raw const flags) }).map(drop)
}

impl Usage {
    const fn of(facts: &libc::statvfs) -> Self {
        Self {
            total_bytes: facts.f_blocks * facts.f_frsize,
            free_bytes: facts.f_bavail * facts.f_frsize,
            total_files: facts.f_files,
            free_files: facts.f_favail,
        }
    }
}

/// Whether listing `directory` tells the type of its entries; overlayfs needs that of its layers.
///
/// XFS made without `ftype=1` does not, for instance. The entries `.` and `..` suffice to see it.
///
/// # Errors
/// The kernel's, when `directory` cannot be listed.
pub fn lists_types(directory: &Path) -> io::Result<bool> {
    /// Enough for several entries of the longest name.
    const BUFFER_BYTES: usize = 4096;
    /// linux_dirent64: inode (8), offset (8), length (2), type (1), name.
    const TYPE_AT: usize = 18;
    let file = File::open(directory)?;
    let mut buffer = [0_u8; BUFFER_BYTES];
    // SAFETY: the kernel writes at most the given number of bytes into the buffer, which is ours alone.
    let read =
        cvt(unsafe { libc::syscall(libc::SYS_getdents64, file.as_raw_fd(), buffer.as_mut_ptr(), BUFFER_BYTES) })?;
    Ok(read > TYPE_AT as libc::c_long && buffer[TYPE_AT] != libc::DT_UNKNOWN)
}

/// Stops all writing of the ext4 or xfs that holds `file`, at once and without writing anything back: a power cut
/// for tests. The file system answers `EIO` from then on, until it is mounted anew.
///
/// # Errors
/// `EPERM` without CAP_SYS_ADMIN; `ENOTTY` on a file system without the call (`EXT4_IOC_SHUTDOWN`, Linux 4.10).
pub fn shut_down(file: &File) -> io::Result<()> {
    // _IOR('X', 125, __u32), the same number for both; EXT4_GOING_FLAGS_NOLOGFLUSH is 2.
    const SHUTDOWN: libc::c_ulong = 0x8004_587d;
    let without_flushing: u32 = 2;
    // SAFETY: the call reads one u32, which outlives it.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, file.as_raw_fd(), SHUTDOWN, &raw const without_flushing) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_and_the_root_give_their_facts() {
        assert!(usage(Path::new("/")).unwrap().total_bytes > 0);
        assert!(lists_types(Path::new("/proc")).unwrap());
        assert!(usage(Path::new("/no/such/path")).is_err());
        assert!(lists_types(Path::new("/no/such/path")).is_err());
    }
}
