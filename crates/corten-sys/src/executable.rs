//! Running from a copy of the own executable that nobody can write (CVE-2019-5736).
//!
//! A container's process can reach the program that sets it up through /proc/PID/exe, and overwrite it on the host
//! once it is no longer running. So the program first executes itself again, from a detached read-only mount of its own
//! file (open_tree(2)): what /proc/PID/exe then leads to cannot be opened for writing. A container that is
//! administrator of the host's namespaces could make such a mount writable again, so for it the file is shown through
//! a detached read-only overlay, whose copy of the file is its own. Without the privilege to mount the program runs
//! from a sealed memfd, which is a copy, too.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use crate::descriptors::{StringList, execute_file};
use crate::files::{O_NOFOLLOW, O_PATH, open, stat_following};
use crate::mount::{Change, Extent, attr, clone_tree_changed, create, fsopen, set_string};
use crate::syscall::HERE;
use crate::{cvt, cvt_int};

const SELF: &CStr = c"/proc/self/exe";
const ALL_SEALS: libc::c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// What the container may do to the mount the program runs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Nothing: it holds no CAP_SYS_ADMIN over the host's user namespace.
    Ordinary,
    /// It may change mounts.
    Administrator,
}

/// Executes this program again from a sealed copy, with `arguments` and the same environment; returns when it already
/// runs from one. `container` is asked only when it does not.
///
/// # Errors
/// Those of the calls above: no way of sealing worked. The caller must not go on to start a container.
pub fn seal_self(arguments: &[OsString], container: impl FnOnce() -> Container) -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let sealed = match container() {
        Container::Ordinary => read_only_mount().or_else(|_| sealed_copy())?,
        Container::Administrator => read_only_overlay().or_else(|_| sealed_copy())?,
    };
    let arguments = arguments.iter().cloned().map(c_string).collect::<io::Result<_>>()?;
    let environment = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            c_string(name)
        })
        .collect::<io::Result<_>>()?;
    Err(execute_file(sealed.as_fd(), &StringList::new(arguments), &StringList::new(environment)))
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Whether /proc/self/exe lies on a detached read-only mount, or in a memfd with every seal.
///
/// A detached mount is known by its file not being found where its path says it is.
fn is_sealed() -> io::Result<bool> {
    let link = std::fs::read_link("/proc/self/exe")?;
    if link.as_os_str().as_encoded_bytes().starts_with(b"/memfd:") {
        let file = File::open("/proc/self/exe")?;
        // SAFETY: F_GET_SEALS takes nothing.
        let seals = cvt_int(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) }).unwrap_or(0);
        return Ok(seals & ALL_SEALS == ALL_SEALS);
    }
    if !is_read_only()? {
        return Ok(false);
    }
    // The root of a mount that is attached nowhere: what every path calls so is a directory.
    if link.as_os_str() == "/" {
        return Ok(true);
    }
    let own = stat_following(HERE, SELF)?;
    let at_path = stat_following(HERE, &c_string(link.into_os_string())?);
    Ok(at_path.map_or(true, |there| (there.dev, there.inode) != (own.dev, own.inode)))
}

fn is_read_only() -> io::Result<bool> {
    // SAFETY: statvfs is plain integers, for which zero is a value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a literal and `stat` is writable.
    cvt_int(unsafe { libc::statvfs(SELF.as_ptr(), &raw mut stat) })?;
    Ok(stat.f_flag & libc::ST_RDONLY != 0)
}

/// The program's directory under an overlay without an upper layer. Such an overlay needs two lower ones, neither
/// above the other: the second is /dev, which is there early and everywhere. Nobody sees either: only the program's
/// file is ever opened. A detached filesystem of our own would do, but not before Linux 6.15.
fn read_only_overlay() -> io::Result<OwnedFd> {
    let program = std::env::current_exe()?;
    let (Some(directory), Some(name)) = (program.parent(), program.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let overlay = fsopen(c"overlay")?;
    let directory = std::fs::File::open(directory)?;
    // By descriptor: a path could be longer than an option, or hold a colon.
    let lower = format!("/proc/self/fd/{}:/dev", directory.as_raw_fd());
    set_string(overlay.as_fd(), c"lowerdir", &c_string(lower.into())?)?;
    let tree = create(overlay.as_fd(), attr::RDONLY | attr::NODEV | attr::NOSUID)?;
    open(tree.as_fd(), &c_string(name.to_owned())?, O_PATH | O_NOFOLLOW, 0)
}

fn read_only_mount() -> io::Result<OwnedFd> {
    let change = Change { set: attr::RDONLY | attr::NODEV | attr::NOSUID, ..Change::default() };
    clone_tree_changed(HERE, SELF, Extent::Single, change)
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
