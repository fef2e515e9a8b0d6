//! Running from a copy of the own executable that nobody can write (CVE-2019-5736).
//!
//! A container's process can reach the program that sets it up through /proc/PID/exe, and overwrite it on the host
//! once it is no longer running. So the program first executes itself again, from a detached read-only mount of its own
//! file (open_tree(2)): what /proc/PID/exe then leads to cannot be opened for writing. Without the privilege to mount
//! it runs from a sealed memfd, which is a copy.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use crate::descriptors::{StringList, execute_file};
use crate::mount::{Change, Extent, attr, clone_tree, set_attributes};
use crate::syscall::HERE;
use crate::{cvt, cvt_int};

const SELF: &CStr = c"/proc/self/exe";
const ALL_SEALS: libc::c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Executes this program again from a sealed copy, with the same arguments and environment; returns when it already
/// runs from one.
///
/// # Errors
/// Those of the calls above: neither way of sealing worked. The caller must not go on to start a container.
pub fn seal_self() -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let sealed = read_only_mount().or_else(|_| sealed_copy())?;
    let arguments = std::env::args_os().map(c_string).collect::<io::Result<_>>()?;
    let environment = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            c_string(name)
        })
        .collect::<io::Result<_>>()?;
    Err(execute_file(sealed.as_fd(), &StringList::new(arguments), &StringList::new(environment)))
}

fn c_string(text: std::ffi::OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Whether /proc/self/exe lies on a detached read-only mount, or in a memfd with every seal.
///
/// A file that is the root of a mount nobody can reach by path has the path `/`; no program on a mounted filesystem
/// can have that one.
fn is_sealed() -> io::Result<bool> {
    let link = std::fs::read_link("/proc/self/exe")?;
    if link.as_os_str() == "/" {
        return is_read_only();
    }
    if !link.as_os_str().as_encoded_bytes().starts_with(b"/memfd:") {
        return Ok(false);
    }
    let file = File::open("/proc/self/exe")?;
    // SAFETY: F_GET_SEALS takes nothing.
    let seals = cvt_int(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) }).unwrap_or(0);
    Ok(seals & ALL_SEALS == ALL_SEALS)
}

fn is_read_only() -> io::Result<bool> {
    // SAFETY: statvfs is plain integers, for which zero is a value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a literal and `stat` is writable.
    cvt_int(unsafe { libc::statvfs(SELF.as_ptr(), &raw mut stat) })?;
    Ok(stat.f_flag & libc::ST_RDONLY != 0)
}

fn read_only_mount() -> io::Result<OwnedFd> {
    let tree = clone_tree(HERE, SELF, Extent::Single)?;
    let change = Change { set: attr::RDONLY | attr::NODEV | attr::NOSUID, ..Change::default() };
    set_attributes(tree.as_fd(), change, Extent::Single)?;
    Ok(tree)
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a literal.
    let raw = cvt(unsafe { libc::syscall(libc::SYS_memfd_create, c"corten-runtime".as_ptr(), flags) })?;
    // SAFETY: the kernel just returned this descriptor.
    let mut copy = unsafe { File::from_raw_fd(raw as i32) };
    let mut content = Vec::new();
    File::open("/proc/self/exe")?.read_to_end(&mut content)?;
    copy.write_all(&content)?;
    seal(copy.as_fd())?;
    Ok(copy.into())
}

fn seal(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_ADD_SEALS takes an integer.
    cvt_int(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, ALL_SEALS) })?;
    Ok(())
}
