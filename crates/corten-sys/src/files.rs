//! Files by directory descriptor: open, make, stat, read and write, without allocating.
//!
//! What a clone child needs between clone and exec: paths come as `CStr`, results go to the stack.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::{
    cvt, cvt_int,
    syscall::{check_fd, empty_path, raw},
};

pub use libc::{
    O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR,
    O_SYNC, O_TRUNC, O_WRONLY, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG,
};

/// What [`stat`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The device number of a node.
    pub rdev: (u32, u32),
    /// The device number of the filesystem.
    pub dev: u64,
    /// The inode number.
    pub inode: u64,
}

impl Stat {
    /// Whether the type bits are `kind`, one of the `S_IF` constants.
    #[must_use]
    pub const fn is(&self, kind: u32) -> bool {
        self.mode & S_IFMT == kind
    }
}

/// Opens `path` below `dir`; `O_CLOEXEC` is always added.
///
/// # Errors
/// Those of openat(2).
pub fn open(dir: BorrowedFd<'_>, path: &CStr, flags: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    // SAFETY: `path` is NUL-terminated and only read.
    let result = unsafe { libc::openat(raw(dir), path.as_ptr(), flags | O_CLOEXEC, mode) };
    // SAFETY: openat returns a new descriptor.
    unsafe { check_fd(libc::c_long::from(result)) }
}

/// Type, owner and numbers of `path` below `dir`, or of `dir` itself when `path` is empty; symlinks are not followed.
///
/// # Errors
/// Those of fstatat(2).
pub fn stat(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<Stat> {
    stat_with(dir, path, empty_path(path) | libc::AT_SYMLINK_NOFOLLOW)
}

/// As [`stat`], following a final symlink.
///
/// # Errors
/// Those of fstatat(2).
pub fn stat_following(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<Stat> {
    stat_with(dir, path, empty_path(path))
}

fn stat_with(dir: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<Stat> {
    // SAFETY: stat is plain integers, for which zero is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is NUL-terminated, `stat` is writable.
    cvt_int(unsafe { libc::fstatat(raw(dir), path.as_ptr(), &raw mut stat, flags) })?;
    Ok(Stat {
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: (libc::major(stat.st_rdev), libc::minor(stat.st_rdev)),
        dev: stat.st_dev,
        inode: stat.st_ino,
    })
}

/// The magic number of the filesystem `fd` lies on, as in statfs(2).
///
/// # Errors
/// Those of fstatfs(2).
pub fn filesystem_type(fd: BorrowedFd<'_>) -> io::Result<i64> {
    // SAFETY: statfs is plain integers, for which zero is a value.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable.
    cvt_int(unsafe { libc::fstatfs(raw(fd), &raw mut stat) })?;
    Ok(stat.f_type as i64)
}

/// The flags of the mount `fd` lies on, as in statvfs(3): `ST_RDONLY` and the like.
///
/// # Errors
/// Those of fstatvfs(3).
pub fn mount_flags(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: statvfs is plain integers, for which zero is a value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable.
    cvt_int(unsafe { libc::fstatvfs(raw(fd), &raw mut stat) })?;
    Ok(stat.f_flag as u32)
}

/// The magic number of the filesystem at `path` (statfs(2)).
///
/// # Errors
/// Those of statfs(2).
pub fn filesystem_type_at(path: &CStr) -> io::Result<i64> {
    // SAFETY: statfs is plain integers, for which zero is a value.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is NUL-terminated, `stat` is writable.
    cvt_int(unsafe { libc::statfs(path.as_ptr(), &raw mut stat) })?;
    Ok(stat.f_type as i64)
}

/// Reads a file of /proc or of a cgroup: what the kernel shows at once, up to a page, with three calls.
///
/// # Errors
/// Those of open(2) and read(2).
pub fn read_small(path: &CStr) -> io::Result<Vec<u8>> {
    read_small_keeping(path).map(|(text, _)| text)
}

/// As [`read_small`]; the file stays open, to be closed with others in one call.
///
/// # Errors
/// As [`read_small`].
pub fn read_small_keeping(path: &CStr) -> io::Result<(Vec<u8>, OwnedFd)> {
    use std::os::fd::AsFd;
    let file = open(crate::syscall::HERE, path, O_RDONLY, 0)?;
    // On the stack, whose pages are there: what is read is mostly far less.
    let mut buffer = [0; 4096];
    let length = read(file.as_fd(), &mut buffer)?;
    Ok((buffer[..length].to_vec(), file))
}

/// Makes a directory.
///
/// # Errors
/// Those of mkdirat(2).
pub fn make_directory(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and only read.
    cvt_int(unsafe { libc::mkdirat(raw(dir), path.as_ptr(), mode) })?;
    Ok(())
}

/// Makes a node: `mode` says which kind, `major` and `minor` its number.
///
/// # Errors
/// Those of mknodat(2); `EPERM` in a user namespace.
pub fn make_node(dir: BorrowedFd<'_>, path: &CStr, mode: u32, major: u32, minor: u32) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and only read.
    cvt_int(unsafe { libc::mknodat(raw(dir), path.as_ptr(), mode, libc::makedev(major, minor)) })?;
    Ok(())
}

/// Makes a symbolic link to `target`.
///
/// # Errors
/// Those of symlinkat(2).
pub fn make_symlink(target: &CStr, dir: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    // SAFETY: both strings are NUL-terminated and only read.
    cvt_int(unsafe { libc::symlinkat(target.as_ptr(), raw(dir), path.as_ptr()) })?;
    Ok(())
}

/// Removes a file, or an empty directory when `directory`.
///
/// # Errors
/// Those of unlinkat(2).
pub fn remove(dir: BorrowedFd<'_>, path: &CStr, directory: bool) -> io::Result<()> {
    let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: `path` is NUL-terminated and only read.
    cvt_int(unsafe { libc::unlinkat(raw(dir), path.as_ptr(), flags) })?;
    Ok(())
}

/// Exchanges what two paths lead to, in one step (renameat2(2), `RENAME_EXCHANGE`): what a race for a path is tried with.
///
/// # Errors
/// Those of renameat2(2).
pub fn exchange(one: &CStr, other: &CStr) -> io::Result<()> {
    let here = libc::AT_FDCWD;
    // SAFETY: both paths are NUL-terminated and only read.
    let result =
        unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE) };
    cvt(result)?;
    Ok(())
}

/// Changes the owner of an open file; `u32::MAX` leaves one unchanged.
///
/// # Errors
/// Those of fchown(2).
pub fn change_owner(file: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: fchown takes integers.
    cvt_int(unsafe { libc::fchown(raw(file), uid, gid) })?;
    Ok(())
}

/// Changes the owner of `path` below `dir`, not following a symlink.
///
/// # Errors
/// Those of fchownat(2).
pub fn change_owner_at(dir: BorrowedFd<'_>, path: &CStr, uid: u32, gid: u32) -> io::Result<()> {
    let flags = empty_path(path) | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: `path` is NUL-terminated and only read.
    cvt_int(unsafe { libc::fchownat(raw(dir), path.as_ptr(), uid, gid, flags) })?;
    Ok(())
}

/// Changes the permission bits of an open file.
///
/// # Errors
/// Those of fchmod(2).
pub fn change_mode(file: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: fchmod takes integers.
    cvt_int(unsafe { libc::fchmod(raw(file), mode) })?;
    Ok(())
}

/// Makes a named pipe.
///
/// # Errors
/// Those of mkfifoat(3).
pub fn make_fifo(dir: BorrowedFd<'_>, path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and only read.
    cvt_int(unsafe { libc::mkfifoat(raw(dir), path.as_ptr(), mode) })?;
    Ok(())
}

/// Reads once; `EINTR` is retried.
///
/// # Errors
/// Those of read(2).
pub fn read(file: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: pointer and length describe `buffer`, which is writable.
        let length = unsafe { libc::read(raw(file), buffer.as_mut_ptr().cast(), buffer.len()) };
        match cvt(length as libc::c_long) {
            Ok(length) => return Ok(length as usize),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// As [`read`], in words of this machine; how many, where a part of a word counts as none.
///
/// # Errors
/// read(2).
pub fn read_words(file: BorrowedFd<'_>, words: &mut [u64]) -> io::Result<usize> {
    // SAFETY: the same memory, all of which is initialised; any bytes make a word.
    let bytes = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of_val(words)) };
    read(file, bytes).map(|length| length / size_of::<u64>())
}

/// Writes all of `bytes` in one call, as files in /proc and /sys need it; a short write is `EIO`.
///
/// # Errors
/// Those of write(2).
pub fn write(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    loop {
        // SAFETY: pointer and length describe `bytes`, which is only read.
        let length = unsafe { libc::write(raw(file), bytes.as_ptr().cast(), bytes.len()) };
        match cvt(length as libc::c_long) {
            Ok(length) if length as usize == bytes.len() => return Ok(()),
            Ok(_) => return Err(io::Error::from_raw_os_error(libc::EIO)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes once, perhaps only a part; how much.
///
/// # Errors
/// Those of write(2); `EINTR` is retried.
pub fn write_some(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let length = crate::retry(|| {
        // SAFETY: pointer and length describe `bytes`, which is only read.
        cvt(unsafe { libc::write(raw(file), bytes.as_ptr().cast(), bytes.len()) } as libc::c_long)
    })?;
    Ok(length as usize)
}

/// Opens `path` below `dir` for writing and writes `bytes` in one call.
///
/// # Errors
/// Those of openat(2) and write(2).
pub fn write_at(dir: BorrowedFd<'_>, path: &CStr, bytes: &[u8]) -> io::Result<()> {
    use std::os::fd::AsFd;
    let file = open(dir, path, O_WRONLY, 0)?;
    write(file.as_fd(), bytes)
}

/// Changes the current directory to `dir`.
///
/// # Errors
/// Those of fchdir(2).
pub fn change_directory(dir: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fchdir takes an integer.
    cvt_int(unsafe { libc::fchdir(raw(dir)) })?;
    Ok(())
}

/// Changes the current directory to `path`.
///
/// # Errors
/// Those of chdir(2).
pub fn change_directory_to(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and only read.
    cvt_int(unsafe { libc::chdir(path.as_ptr()) })?;
    Ok(())
}

/// Whether the current directory is below the root: the kernel says `(unreachable)/…` otherwise (CVE-2024-21626).
///
/// # Errors
/// `ENOENT` when it was removed; `ERANGE` beyond 4096 bytes.
pub fn is_inside_root() -> io::Result<bool> {
    let mut buffer = [0u8; 4096];
    // SAFETY: pointer and length describe `buffer`, which is writable; the raw call, since C libraries turn an
    // unreachable directory into ENOENT.
    cvt(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    Ok(buffer[0] == b'/')
}

/// Whether the caller may execute `path`, by its effective ids (faccessat2(2), Linux 5.8).
///
/// # Errors
/// `EACCES`, `ENOENT`, `ENOTDIR`, `ELOOP`.
pub fn may_execute(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and only read.
    cvt(unsafe { libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) })?;
    Ok(())
}
