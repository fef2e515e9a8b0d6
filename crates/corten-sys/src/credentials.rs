//! Users, groups and capability sets of the calling process, by the raw system calls.
//!
//! The C library's setuid family signals every other thread. The programs that use this have one thread, and
//! between clone and exec nothing else is wanted.

use std::io;

use crate::{cvt, cvt_int};

/// The five capability sets of capabilities(7), each as a bit per capability number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// The limit of what an execve can give.
    pub bounding: u64,
    /// What counts in permission checks.
    pub effective: u64,
    /// What the effective set may be raised to.
    pub permitted: u64,
    /// What survives an execve of a program with inheritable file capabilities.
    pub inheritable: u64,
    /// What survives an execve of an ordinary program.
    pub ambient: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// Sets effective, permitted and inheritable of the calling thread (capset(2)).
///
/// # Errors
/// `EPERM` when a capability not in the permitted set is asked for.
pub fn set_capabilities(sets: &CapabilitySets) -> io::Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads one header and two data structures, which these are.
    cvt(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })?;
    Ok(())
}

/// Effective, permitted and inheritable sets of the calling thread; the other two are left empty (capget(2)).
///
/// # Errors
/// None in practice.
pub fn capabilities() -> io::Result<CapabilitySets> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 reads one header and writes two data structures, which these are.
    cvt(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(CapabilitySets {
        effective: join(data[0].effective, data[1].effective),
        permitted: join(data[0].permitted, data[1].permitted),
        inheritable: join(data[0].inheritable, data[1].inheritable),
        ..CapabilitySets::default()
    })
}

/// Sets real, effective and saved user id.
///
/// # Errors
/// `EINVAL` when the user namespace does not map `uid`; `EPERM`; `EAGAIN` at the user's process limit.
pub fn set_user(uid: u32) -> io::Result<()> {
    // SAFETY: setresuid takes three integers.
    cvt(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    Ok(())
}

/// Sets real, effective and saved group id.
///
/// # Errors
/// `EINVAL` when the user namespace does not map `gid`; `EPERM`.
pub fn set_group(gid: u32) -> io::Result<()> {
    // SAFETY: setresgid takes three integers.
    cvt(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    Ok(())
}

/// Replaces the supplementary groups.
///
/// # Errors
/// `EPERM`, also where /proc/self/setgroups says `deny`; `EINVAL` for an unmapped group.
pub fn set_supplementary_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and count describe `groups`, which is only read; gid_t is u32 on every Linux.
    cvt(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    Ok(())
}

/// The effective user id.
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: geteuid cannot fail and takes nothing.
    unsafe { libc::geteuid() }
}

/// The effective group id of this process.
#[must_use]
pub fn effective_group() -> u32 {
    // SAFETY: getegid cannot fail and takes nothing.
    unsafe { libc::getegid() }
}

/// Sets the file mode creation mask and returns the old one.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: umask cannot fail and takes an integer.
    unsafe { libc::umask(mask) }
}

/// Starts a session with the caller as its leader.
///
/// # Errors
/// `EPERM` when the caller leads a process group already.
pub fn new_session() -> io::Result<()> {
    // SAFETY: setsid takes nothing.
    cvt_int(unsafe { libc::setsid() })?;
    Ok(())
}

/// Joins a new session keyring of that name, labelled for nobody else (keyctl(2)).
///
/// # Errors
/// `ENOSYS` where the kernel has no key retention service; `EDQUOT`.
pub fn join_session_keyring(name: &std::ffi::CStr) -> io::Result<i64> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: `name` is NUL-terminated and only read.
    let key = cvt(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    Ok(key)
}
