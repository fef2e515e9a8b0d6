//! Copies of files and trees with everything that can be kept: owner, mode, times, attributes, holes, hard links.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use corten_sys::at::{self, FileType, Stat};
use corten_sys::xattr;

use crate::tree::is_overlay_xattr;

/// Copies anything but a directory to the new name `to`.
///
/// # Errors
/// `EEXIST` when the name is taken; sockets are left out without an error, as they are no part of an image.
pub fn file(from_dir: BorrowedFd<'_>, from: &OsStr, to_dir: BorrowedFd<'_>, to: &OsStr) -> io::Result<()> {
    let stat = at::stat(from_dir, from)?;
    match stat.file_type {
        FileType::Regular => {
            let mut source = at::open_file(from_dir, from)?;
            let mut copy = at::create_file(to_dir, to, 0o600)?;
            // io::copy uses copy_file_range(2), which clones on xfs and btrfs.
            io::copy(&mut source, &mut copy)?;
            return finish_file(from_dir, from, &copy, &stat);
        }
        FileType::Symlink => at::symlink(&at::readlink(from_dir, from)?, to_dir, to)?,
        FileType::CharDevice | FileType::BlockDevice | FileType::Fifo => {
            at::mknod(to_dir, to, stat.file_type, stat.mode & 0o777, stat.rdev)?;
        }
        FileType::Socket => return Ok(()),
        FileType::Directory => return Err(io::Error::from(io::ErrorKind::IsADirectory)),
    }
    at::chown(to_dir, to, stat.uid, stat.gid)?;
    copy_xattrs(from_dir, from, |key, value| xattr::set(to_dir, to, key, value))?;
    if stat.file_type != FileType::Symlink {
        at::chmod(to_dir, to, stat.mode)?;
    }
    at::set_times(to_dir, to, stat.atime, stat.mtime)
}

fn finish_file(from_dir: BorrowedFd<'_>, from: &OsStr, copy: &File, stat: &Stat) -> io::Result<()> {
    at::fchown(copy.as_fd(), stat.uid, stat.gid)?;
    copy_xattrs(from_dir, from, |key, value| xattr::fset(copy.as_fd(), key, value))?;
    at::fchmod(copy.as_fd(), stat.mode)?;
    at::set_file_times(copy.as_fd(), stat.atime, stat.mtime)
}

fn copy_xattrs(
    from_dir: BorrowedFd<'_>,
    from: &OsStr,
    set: impl Fn(&OsStr, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    for key in xattr::list(from_dir, from)? {
        if is_overlay_xattr(key.as_bytes()) {
            continue;
        }
        let Some(value) = xattr::get(from_dir, from, &key)? else { continue };
        match set(&key, &value) {
            Err(error) if xattr::is_unsupported(&error) || error.kind() == io::ErrorKind::PermissionDenied => {}
            result => result?,
        }
    }
    Ok(())
}

/// Deepest tree that is copied; one descriptor pair is held per level.
const DEPTH_MAX: usize = 1000;

/// Copies everything in the directory `from` into the directory `to`, whose own owner, mode and times follow.
///
/// # Errors
/// The first thing that could not be copied; the copy then is partial and the caller's to remove.
pub fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut links = HashMap::new();
    let to_root = to.try_clone_to_owned()?;
    copy_directory(from, to, &mut links, &to_root, &mut Vec::new())?;
    finish_directory(from, to)
}

fn finish_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = at::fstat(from)?;
    at::fchown(to, stat.uid, stat.gid)?;
    copy_xattrs(from, OsStr::new("."), |key, value| xattr::fset(to, key, value))?;
    at::fchmod(to, stat.mode)?;
    at::set_file_times(to, stat.atime, stat.mtime)
}

/// `links` holds where in the copy a file with several names first was put.
fn copy_directory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    links: &mut HashMap<(u64, u64), Vec<std::ffi::OsString>>,
    to_root: &OwnedFd,
    path: &mut Vec<std::ffi::OsString>,
) -> io::Result<()> {
    if path.len() > DEPTH_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "directories are nested more than 1000 deep"));
    }
    for name in at::read_dir(from)? {
        let stat = at::stat(from, &name)?;
        path.push(name.clone());
        if stat.file_type == FileType::Directory {
            at::mkdir(to, &name, 0o700)?;
            let (inside, copy) = (at::open_dir(from, &name)?, at::open_dir(to, &name)?);
            copy_directory(inside.as_fd(), copy.as_fd(), links, to_root, path)?;
            finish_directory(inside.as_fd(), copy.as_fd())?;
        } else if stat.links > 1
            && let Some(first) = links.get(&(stat.device, stat.inode))
        {
            let (last, parents) = first.split_last().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            let dir = at::open_dir_in_root(to_root.as_fd(), &parents.join(OsStr::new("/")))?;
            at::link(dir.as_fd(), last, to, &name)?;
        } else {
            file(from, &name, to, &name)?;
            if stat.links > 1 {
                links.insert((stat.device, stat.inode), path.clone());
            }
        }
        path.pop();
    }
    Ok(())
}
