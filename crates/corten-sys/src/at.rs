//! Names relative to a directory's descriptor: the `*at` family, never following the last component.
//!
//! A tree made by strangers (a layer, a container's rootfs) is only ever touched through these: the directory is
//! a descriptor, the name has one component, and a symbolic link under that name is the thing itself.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::cvt_int as cvt;
use crate::openat2::{self, InRootfs, Resolve};

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// An ordinary file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
}

/// What stat(2) tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Device the file lies on.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Number of hard links.
    pub links: u64,
    /// What it is.
    pub file_type: FileType,
    /// Permission bits with set-id and sticky, without the type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes in use.
    pub blocks: u64,
    /// Major and minor number of a device node.
    pub rdev: (u32, u32),
    /// Last access, seconds and nanoseconds since 1970.
    pub atime: (i64, u32),
    /// Last modification, seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
}

impl Stat {
    /// True of overlayfs' whiteout: a character device 0:0.
    #[must_use]
    pub const fn is_whiteout(&self) -> bool {
        matches!(self.file_type, FileType::CharDevice) && self.rdev.0 == 0 && self.rdev.1 == 0
    }
}

fn c_name(name: &OsStr) -> io::Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "name holds a NUL byte"))
}

fn open_flags(dir: BorrowedFd<'_>, name: &OsStr, flags: libc::c_int, mode: u32) -> io::Result<OwnedFd> {
    let name = c_name(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    let fd = cvt(unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC, mode) })?;
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Creates the file `name` for writing; `mode` is narrowed by the umask.
///
/// # Errors
/// `EEXIST` whatever stands there already, also a symbolic link (openat(2)).
pub fn create_file(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<File> {
    open_flags(dir, name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW, mode).map(File::from)
}

/// Opens the ordinary file `name` for reading; a pipe under that name does not block.
///
/// # Errors
/// `ELOOP` for a symbolic link (openat(2)).
pub fn open_file(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    open_flags(dir, name, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY, 0).map(File::from)
}

/// Opens the directory `name` for listing.
///
/// # Errors
/// `ENOTDIR` for anything else, also a symbolic link to a directory (openat(2)).
pub fn open_dir(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    open_flags(dir, name, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
}

/// Opens the directory `path` of the host, links followed; the way in for everything else here.
///
/// # Errors
/// openat(2).
pub fn open_root(path: &std::path::Path) -> io::Result<OwnedFd> {
    let name = c_name(path.as_os_str())?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    let fd = cvt(unsafe { libc::open(name.as_ptr(), flags) })?;
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens the directory `path` with `root` as `/`: absolute links and `..` stay inside, other mounts are not entered.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `EXDEV` at a mount point, `ELOOP` after 40 links (openat2(2), Linux 5.6).
pub fn open_dir_in_root(root: BorrowedFd<'_>, path: &OsStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    openat2::open(root, &InRootfs::new(path)?, flags, 0, Resolve::IN_ROOT_SAME_MOUNT)
}

/// Creates the directory `name`; `mode` is narrowed by the umask.
///
/// # Errors
/// mkdirat(2).
pub fn mkdir(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    cvt(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// Creates the device node or pipe `name`; `mode` is narrowed by the umask.
///
/// # Errors
/// `EINVAL` for a type that mknodat(2) does not make, `EPERM` without CAP_MKNOD.
pub fn mknod(dir: BorrowedFd<'_>, name: &OsStr, file_type: FileType, mode: u32, rdev: (u32, u32)) -> io::Result<()> {
    let kind = match file_type {
        FileType::CharDevice => libc::S_IFCHR,
        FileType::BlockDevice => libc::S_IFBLK,
        FileType::Fifo => libc::S_IFIFO,
        FileType::Socket => libc::S_IFSOCK,
        _ => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
    };
    let name = c_name(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    cvt(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), kind | mode, libc::makedev(rdev.0, rdev.1)) }).map(drop)
}

/// Creates `name` as a symbolic link that says `target`.
///
/// # Errors
/// symlinkat(2).
pub fn symlink(target: &OsStr, dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let (target, name) = (c_name(target)?, c_name(name)?);
    // SAFETY: both strings are NUL-terminated and outlive the call.
    cvt(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// Creates `to` as another name of the file `from`; a symbolic link is linked itself.
///
/// # Errors
/// linkat(2): `EMLINK`, `EXDEV`, `EPERM` for directories.
pub fn link(from_dir: BorrowedFd<'_>, from: &OsStr, to_dir: BorrowedFd<'_>, to: &OsStr) -> io::Result<()> {
    let (from, to) = (c_name(from)?, c_name(to)?);
    // SAFETY: both strings are NUL-terminated and outlive the call.
    cvt(unsafe { libc::linkat(from_dir.as_raw_fd(), from.as_ptr(), to_dir.as_raw_fd(), to.as_ptr(), 0) }).map(drop)
}

/// What the symbolic link `name` says.
///
/// # Errors
/// `EINVAL` when it is no symbolic link (readlinkat(2)).
pub fn readlink(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OsString> {
    let name = c_name(name)?;
    let mut buffer = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is writable for the length given; `name` is NUL-terminated.
    let length = unsafe { libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    buffer.truncate(length);
    Ok(OsString::from_vec(buffer))
}

/// Removes the name of anything but a directory.
///
/// # Errors
/// `EISDIR` for a directory (unlinkat(2)).
pub fn unlink(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    cvt(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// Removes the empty directory `name`.
///
/// # Errors
/// `ENOTEMPTY` (unlinkat(2)).
pub fn rmdir(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    cvt(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) }).map(drop)
}

/// Removes `name` and, of a directory, all that is in it, however deep; links are removed, never followed.
///
/// A missing name is no error. One descriptor is held per level; deeper than 4000 levels is refused. A mount is not
/// entered: what lies in it belongs to somebody else.
///
/// # Errors
/// The first thing that could not be removed; `EXDEV` for a mount.
pub fn remove_all(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    remove_at_depth(dir, name, 0)
}

fn remove_at_depth(dir: BorrowedFd<'_>, name: &OsStr, depth: u32) -> io::Result<()> {
    match unlink(dir, name) {
        Ok(()) => return Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EISDIR) => {}
        Err(error) => return Err(error),
    }
    if depth > 4000 {
        return Err(io::Error::from_raw_os_error(libc::ELOOP));
    }
    let how = Resolve::BENEATH_SAME_MOUNT;
    let inside = openat2::open(dir, &InRootfs::new(name)?, libc::O_RDONLY | libc::O_DIRECTORY, 0, how)?;
    let inside = std::os::fd::AsFd::as_fd(&inside);
    for entry in read_dir(inside)? {
        remove_at_depth(inside, &entry, depth + 1)?;
    }
    rmdir(dir, name)
}

/// The names in a directory opened by [`open_dir`], in no order, without `.` and `..`.
///
/// # Errors
/// getdents(2).
pub fn read_dir(dir: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
    std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// Sets owner and group of `name`, of the link itself when it is one.
///
/// # Errors
/// fchownat(2).
pub fn chown(dir: BorrowedFd<'_>, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    cvt(unsafe { libc::fchownat(dir.as_raw_fd(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

/// Sets owner and group of an open file.
///
/// # Errors
/// fchown(2).
pub fn fchown(file: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: fchown takes integers only.
    cvt(unsafe { libc::fchown(file.as_raw_fd(), uid, gid) }).map(drop)
}

/// Sets the permission bits of a device or pipe the caller just created; follows a link, so only for those.
///
/// # Errors
/// fchmodat(2).
pub fn chmod(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = c_name(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    cvt(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) }).map(drop)
}

/// Sets the permission bits of an open file, set-id and sticky included.
///
/// # Errors
/// fchmod(2).
pub fn fchmod(file: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: fchmod takes integers only.
    cvt(unsafe { libc::fchmod(file.as_raw_fd(), mode) }).map(drop)
}

fn timespecs(atime: (i64, u32), mtime: (i64, u32)) -> [libc::timespec; 2] {
    [atime, mtime].map(|(seconds, nanoseconds)| libc::timespec { tv_sec: seconds, tv_nsec: i64::from(nanoseconds) })
}

/// Sets both times of `name`, of the link itself when it is one; seconds and nanoseconds since 1970.
///
/// # Errors
/// utimensat(2).
pub fn set_times(dir: BorrowedFd<'_>, name: &OsStr, atime: (i64, u32), mtime: (i64, u32)) -> io::Result<()> {
    let (name, times) = (c_name(name)?, timespecs(atime, mtime));
    // SAFETY: `name` is NUL-terminated and `times` has the two elements the call reads.
    cvt(unsafe { libc::utimensat(dir.as_raw_fd(), name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

/// Sets both times of an open file.
///
/// # Errors
/// futimens(3).
pub fn set_file_times(file: BorrowedFd<'_>, atime: (i64, u32), mtime: (i64, u32)) -> io::Result<()> {
    let times = timespecs(atime, mtime);
    // SAFETY: `times` has the two elements the call reads.
    cvt(unsafe { libc::futimens(file.as_raw_fd(), times.as_ptr()) }).map(drop)
}

/// What `name` is, of the link itself when it is one.
///
/// # Errors
/// fstatat(2).
pub fn stat(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Stat> {
    let name = c_name(name)?;
    // SAFETY: all-zero is a valid stat; the call fills it.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is NUL-terminated and `stat` is writable.
    cvt(unsafe { libc::fstatat(dir.as_raw_fd(), name.as_ptr(), &raw mut stat, libc::AT_SYMLINK_NOFOLLOW) })?;
    Ok(from_raw(&stat))
}

/// What an open file is.
///
/// # Errors
/// fstat(2).
pub fn fstat(file: BorrowedFd<'_>) -> io::Result<Stat> {
    // SAFETY: all-zero is a valid stat; the call fills it.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable.
    cvt(unsafe { libc::fstat(file.as_raw_fd(), &raw mut stat) })?;
    Ok(from_raw(&stat))
}

#[allow(clippy::unnecessary_cast)] // widths differ between architectures
fn from_raw(stat: &libc::stat) -> Stat {
    let file_type = match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        libc::S_IFIFO => FileType::Fifo,
        libc::S_IFSOCK => FileType::Socket,
        _ => FileType::Regular,
    };
    Stat {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        links: stat.st_nlink as u64,
        file_type,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        rdev: (libc::major(stat.st_rdev), libc::minor(stat.st_rdev)),
        atime: (stat.st_atime as i64, stat.st_atime_nsec as u32),
        mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
    }
}

/// Writes back everything of the file system `file` lies on.
///
/// # Errors
/// An error of write-back since the descriptor was opened (syncfs(2), Linux 5.8).
pub fn syncfs(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: syncfs takes one integer.
    cvt(unsafe { libc::syncfs(file.as_raw_fd()) }).map(drop)
}

/// Begins to write back `length` bytes of `file` from `offset` on, and waits for none of them (sync_file_range(2)): a
/// later fsync has less left to do. It makes nothing durable.
///
/// # Errors
/// Those of sync_file_range(2).
pub fn begin_writing_back(file: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    let signed = |value: u64| i64::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let (offset, length) = (signed(offset)?, signed(length)?);
    // SAFETY: sync_file_range takes integers only.
    cvt(unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) }).map(drop)
}

/// Begins to read `length` bytes of `file` from `offset` on into the page cache, and waits for none of them
/// (posix_fadvise(2), `POSIX_FADV_WILLNEED`).
///
/// # Errors
/// Those of posix_fadvise(2).
pub fn begin_reading(file: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    let signed = |value: u64| i64::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let (offset, length) = (signed(offset)?, signed(length)?);
    // SAFETY: posix_fadvise takes integers only.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, length, libc::POSIX_FADV_WILLNEED) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The magic number of the file system `file` lies on (statfs(2), `f_type`).
///
/// # Errors
/// fstatfs(2).
#[allow(clippy::unnecessary_cast)] // widths differ between architectures
pub fn file_system(file: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: all-zero is a valid statfs; the call fills it.
    let mut statfs: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `statfs` is writable.
    cvt(unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut statfs) })?;
    Ok(statfs.f_type as u64 & 0xffff_ffff)
}

/// True when listing a directory tells what each name is (readdir(3), `d_type`); the directory must not be empty.
///
/// # Errors
/// getdents64(2).
pub fn lists_types(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let mut buffer = vec![0_u8; 64 << 10];
    // SAFETY: the buffer is writable for the length given.
    let length = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let mut entries = &buffer[..length];
    // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name.
    while entries.len() > 19 {
        let record = usize::from(u16::from_ne_bytes([entries[16], entries[17]]));
        let (kind, name) = (entries[18], &entries[19..]);
        let is_dots = name.starts_with(b".\0") || name.starts_with(b"..\0");
        if !is_dots {
            return Ok(kind != libc::DT_UNKNOWN);
        }
        entries = entries.get(record..).unwrap_or_default();
    }
    Ok(false)
}

/// Renames `from` to `to`, which is replaced; with both on one file system.
///
/// # Errors
/// renameat(2).
pub fn rename(from_dir: BorrowedFd<'_>, from: &OsStr, to_dir: BorrowedFd<'_>, to: &OsStr) -> io::Result<()> {
    let (from, to) = (c_name(from)?, c_name(to)?);
    // SAFETY: both strings are NUL-terminated and outlive the call.
    cvt(unsafe { libc::renameat(from_dir.as_raw_fd(), from.as_ptr(), to_dir.as_raw_fd(), to.as_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_directory_behind_an_absolute_link_is_found_inside_the_root() {
        let tree = tempfile::Builder::new().prefix("corten-").tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("usr/lib")).unwrap();
        std::os::unix::fs::symlink("/usr/lib", tree.path().join("lib")).unwrap();
        let root = open_root(tree.path()).unwrap();

        let lib = open_dir_in_root(root.as_fd(), OsStr::new("lib/../../lib")).unwrap();

        let expected = stat(root.as_fd(), OsStr::new("usr")).unwrap();
        assert_eq!(fstat(open_dir(lib.as_fd(), OsStr::new("..")).unwrap().as_fd()).unwrap().inode, expected.inode);
    }

    #[test]
    fn removing_a_tree_leaves_what_its_links_point_to() {
        let tree = tempfile::Builder::new().prefix("corten-").tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("a/b/c")).unwrap();
        std::fs::write(tree.path().join("kept"), "x").unwrap();
        std::os::unix::fs::symlink("../../kept", tree.path().join("a/b/link")).unwrap();
        let root = open_root(tree.path()).unwrap();

        remove_all(root.as_fd(), OsStr::new("a")).unwrap();

        assert!(!tree.path().join("a").exists());
        assert!(tree.path().join("kept").exists());
        remove_all(root.as_fd(), OsStr::new("a")).unwrap();
    }

    #[test]
    fn removing_a_tree_stops_at_a_mount() {
        // procfs is mounted wherever tests run; its entries must not even be tried.
        let root = open_root(std::path::Path::new("/")).unwrap();
        let error = remove_all(root.as_fd(), OsStr::new("proc")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EXDEV));
    }
}
