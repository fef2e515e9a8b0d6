//! Copying what a directory holds into another one, without allocating: getdents64(2), sendfile(2) and their kin.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::files;
use crate::{cvt, cvt_int, syscall::raw};

/// How deep directories may lie in each other: each takes its buffers on the stack.
const DEPTH_MAX: u32 = 128;

/// Copies everything in the directory `from` into the directory `to`: directories, files, symlinks, nodes and fifos,
/// with modes and owners. Sockets are left out. No symlink is followed.
///
/// # Errors
/// Those of the calls; `EEXIST` for a name that `to` has already; `ENAMETOOLONG` beyond 128 levels.
pub fn copy_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let from = files::open(from, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let to = files::open(to, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    directory(from.as_fd(), to.as_fd(), DEPTH_MAX)
}

/// One batch of entries, aligned as the kernel writes them.
#[repr(C, align(8))]
struct Entries([u8; 2048]);

fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> io::Result<()> {
    let depth = depth.checked_sub(1).ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?;
    let mut entries = Entries([0; 2048]);
    loop {
        // SAFETY: pointer and length describe `entries`, which is writable.
        let length =
            cvt(unsafe { libc::syscall(libc::SYS_getdents64, raw(from), entries.0.as_mut_ptr(), entries.0.len()) })?
                as usize;
        if length == 0 {
            return Ok(());
        }
        let mut rest = &entries.0[..length];
        while let Some((name, after)) = next_name(rest) {
            rest = after;
            if name != c"." && name != c".." {
                entry(from, to, name, depth)?;
            }
        }
    }
}

/// The name of the first record and the records after it: inode and offset of 8 bytes each, length of 2, type of 1.
fn next_name(records: &[u8]) -> Option<(&CStr, &[u8])> {
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let length = usize::from(u16::from_ne_bytes([*records.get(LENGTH)?, *records.get(LENGTH + 1)?]));
    let name = CStr::from_bytes_until_nul(records.get(NAME..length)?).ok()?;
    Some((name, records.get(length..)?))
}

fn entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> io::Result<()> {
    let stat = stat(from, name)?;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => {
            files::make_directory(to, name, 0o700)?;
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let (source, copy) = (files::open(from, name, flags, 0)?, files::open(to, name, flags, 0)?);
            directory(source.as_fd(), copy.as_fd(), depth)?;
            own(&copy, &stat)
        }
        libc::S_IFREG => {
            let source = files::open(from, name, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
            let copy = files::open(to, name, flags, 0o600)?;
            content(&source, &copy)?;
            own(&copy, &stat)
        }
        libc::S_IFLNK => {
            let mut buffer = [0u8; 4096];
            let target = read_link(from, name, &mut buffer)?;
            files::make_symlink(target, to, name)?;
            files::change_owner_at(to, name, stat.st_uid, stat.st_gid)
        }
        libc::S_IFSOCK => Ok(()),
        _ => {
            // SAFETY: the name ends with a NUL and is only read.
            cvt_int(unsafe { libc::mknodat(raw(to), name.as_ptr(), stat.st_mode, stat.st_rdev) })?;
            files::change_owner_at(to, name, stat.st_uid, stat.st_gid)?;
            // The umask has taken its part.
            // SAFETY: as above.
            cvt_int(unsafe { libc::fchmodat(raw(to), name.as_ptr(), stat.st_mode & 0o7777, 0) })?;
            Ok(())
        }
    }
}

fn stat(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<libc::stat> {
    // SAFETY: `stat` is plain integers, for which zero is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the name ends with a NUL; `stat` is writable.
    cvt_int(unsafe { libc::fstatat(raw(directory), name.as_ptr(), &raw mut stat, libc::AT_SYMLINK_NOFOLLOW) })?;
    Ok(stat)
}

/// Owner first: a change of it takes set-user-ID away.
fn own(file: &OwnedFd, stat: &libc::stat) -> io::Result<()> {
    // SAFETY: fchown takes integers.
    cvt_int(unsafe { libc::fchown(raw(file.as_fd()), stat.st_uid, stat.st_gid) })?;
    // SAFETY: fchmod takes integers.
    cvt_int(unsafe { libc::fchmod(raw(file.as_fd()), stat.st_mode & 0o7777) })?;
    Ok(())
}

fn content(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    const AT_ONCE: usize = 1 << 20;
    loop {
        // SAFETY: without an offset sendfile takes integers.
        let sent = unsafe { libc::sendfile(raw(to.as_fd()), raw(from.as_fd()), std::ptr::null_mut(), AT_ONCE) };
        match cvt(sent as libc::c_long) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the symlink `name` in `directory` says.
///
/// # Errors
/// `EINVAL` when it is none; `ENAMETOOLONG` when it does not fit with its NUL.
pub(crate) fn read_link<'b>(
    directory: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'b mut [u8; 4096],
) -> io::Result<&'b CStr> {
    // SAFETY: the name ends with a NUL; pointer and length describe `buffer`, which is writable.
    let length = unsafe { libc::readlinkat(raw(directory), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let length = cvt(length as libc::c_long)? as usize;
    *buffer.get_mut(length).ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))? = 0;
    CStr::from_bytes_until_nul(buffer).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn everything_is_copied_with_its_mode_and_nothing_followed() {
        let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let source = |path: &str| from.path().join(path);
        fs::create_dir_all(source("deep/er/still")).expect("mkdir");
        fs::write(source("deep/er/file"), vec![7; 3 << 20]).expect("writes");
        fs::set_permissions(source("deep/er/file"), fs::Permissions::from_mode(0o4751)).expect("chmod");
        fs::set_permissions(source("deep"), fs::Permissions::from_mode(0o1777)).expect("chmod");
        symlink("/etc/passwd", source("deep/link")).expect("symlink");
        for number in 0..300 {
            fs::write(source(&format!("a-name-that-takes-its-room-{number}")), "").expect("writes");
        }
        let open = |directory: &tempfile::TempDir| File::open(directory.path()).expect("opens");
        copy_tree(open(&from).as_fd(), open(&to).as_fd()).expect("copies");
        let copy = |path: &str| to.path().join(path);
        assert_eq!(fs::read(copy("deep/er/file")).expect("reads").len(), 3 << 20);
        assert_eq!(fs::metadata(copy("deep/er/file")).expect("is there").mode() & 0o7777, 0o4751);
        assert_eq!(fs::metadata(copy("deep")).expect("is there").mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_link(copy("deep/link")).expect("a link").to_str(), Some("/etc/passwd"));
        assert!(copy("deep/er/still").is_dir());
        assert_eq!(fs::read_dir(to.path()).expect("reads").count(), 301);
    }

    #[test]
    fn what_lies_too_deep_is_an_error() {
        let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(from.path().join("d/".repeat(200))).expect("mkdir");
        let open = |directory: &tempfile::TempDir| File::open(directory.path()).expect("opens");
        let error = copy_tree(open(&from).as_fd(), open(&to).as_fd()).expect_err("too deep");
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
    }
}
