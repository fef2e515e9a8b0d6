//! Pseudo-terminals by descriptor: pts(4), ioctl_tty(2). Sizes and modes are in [`crate::termios`].

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::{
    cvt,
    syscall::{check_fd, raw},
};

const TIOCGPTN: libc::c_ulong = 0x8004_5430;
const TIOCSPTLCK: libc::c_ulong = 0x4004_5431;
const TIOCGPTPEER: libc::c_ulong = 0x5441;

/// The number N of the `/dev/pts/N` that belongs to `master`.
///
/// # Errors
/// `ENOTTY` when `master` is no pseudo-terminal's master.
pub fn number(master: BorrowedFd<'_>) -> io::Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, raw(master), TIOCGPTN, &raw mut number) })?;
    Ok(number)
}

/// Unlocks the other end and opens it from `master` itself, so that no path can lead elsewhere (CVE-2025-52565).
///
/// # Errors
/// `ENOTTY` when `master` is no pseudo-terminal's master; `EIO` when it is of another devpts.
pub fn open_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, raw(master), TIOCSPTLCK, &raw const unlocked) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags as an integer.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, raw(master), TIOCGPTPEER, flags) };
    // SAFETY: TIOCGPTPEER returns a new descriptor.
    unsafe { check_fd(result) }
}

/// Makes `terminal` the controlling terminal of the caller's session.
///
/// # Errors
/// `EPERM` when the caller leads no session, or has a terminal.
pub fn set_controlling(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer; 0 never steals a terminal from another session.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, raw(terminal), libc::TIOCSCTTY, 0) })?;
    Ok(())
}
