//! prctl(2): the switches of one process that a container's first process sets before it becomes foreign code.

use std::ffi::CStr;
use std::io;

use crate::cvt_int;

fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<libc::c_int> {
    let zero: libc::c_ulong = 0;
    // SAFETY: every option used in this file takes integers only.
    cvt_int(unsafe { libc::prctl(option, value, zero, zero, zero) })
}

/// Keeps others of the same user from tracing this process or reading its descriptors (CVE-2016-9962).
///
/// # Errors
/// None in practice.
pub fn forbid_dump() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0).map(drop)
}

/// Takes [`forbid_dump`] back.
///
/// # Errors
/// None in practice.
pub fn allow_dump() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 1).map(drop)
}

/// Has the kernel kill this process when the thread that made it ends (PR_SET_PDEATHSIG), or no longer.
///
/// A change of user or a gain of capabilities takes it back (prctl(2)), and so does nothing else here. A parent that
/// ended before is not noticed: the caller looks afterwards.
///
/// # Errors
/// None in practice.
pub fn die_with_parent(on: bool) -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, if on { libc::SIGKILL as libc::c_ulong } else { 0 }).map(drop)
}

/// Nothing this process executes can gain privileges (PR_SET_NO_NEW_PRIVS).
///
/// # Errors
/// None in practice.
pub fn no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// Whether permitted capabilities survive the change to another user.
///
/// # Errors
/// `EPERM` when the secure bits lock it.
pub fn keep_capabilities(keep: bool) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep)).map(drop)
}

/// Removes one capability from the bounding set; `false` when the kernel does not know that number.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP.
pub fn drop_bounding(capability: u8) -> io::Result<bool> {
    match prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability)) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Empties the ambient set.
///
/// # Errors
/// `EINVAL` before Linux 4.3.
pub fn clear_ambient() -> io::Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong).map(drop)
}

/// Raises one capability in the ambient set.
///
/// # Errors
/// `EPERM` when it is not both permitted and inheritable.
pub fn raise_ambient(capability: u8) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    // SAFETY: PR_CAP_AMBIENT takes integers only.
    cvt_int(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, libc::c_ulong::from(capability), zero, zero) })?;
    Ok(())
}

/// Sets the name that ps shows for this process; at most 15 bytes of it.
///
/// # Errors
/// None in practice.
pub fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: PR_SET_NAME reads at most 16 bytes and stops at the NUL that `name` has.
    cvt_int(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) })?;
    Ok(())
}
