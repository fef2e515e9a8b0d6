//! Becoming a daemon: fork(2) without exec, setpgid(2), dup2(2) over the standard streams.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd},
};

use crate::cvt_int;

/// Which side of a fork one is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The caller; the child has this pid.
    Parent(u32),
    /// The child.
    Child,
}

/// Forks. Only for a process with one thread, which is checked: in the child of any other, locks that
/// another thread held stay locked for ever.
///
/// # Errors
/// `EBUSY` when there are other threads; those of fork(2).
pub fn fork_single_threaded() -> io::Result<Forked> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: this is the only thread, so the child's memory is consistent and no lock is held by another.
    match cvt_int(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid as u32)),
    }
}

/// Leaves the process group of the caller for one of its own, and with it the signals of its terminal.
///
/// Not setsid(2): a new session gets a scheduling group of its own (sched(7), "autogroup"), which costs a
/// millisecond, and up to ten, before the process runs again.
///
/// # Errors
/// `EPERM` for a session leader.
pub fn new_process_group() -> io::Result<()> {
    // SAFETY: setpgid takes two integers.
    cvt_int(unsafe { libc::setpgid(0, 0) }).map(drop)
}

/// Makes standard input, output and error refer to what `fd` refers to.
///
/// # Errors
/// Those of dup2(2).
pub fn redirect_standard_streams(fd: impl AsFd) -> io::Result<()> {
    for standard in 0..3 {
        // SAFETY: dup2 takes two integers. The descriptors 0 to 2 belong to the process as such: std
        // reads and writes them by number and never closes them.
        cvt_int(unsafe { libc::dup2(fd.as_fd().as_raw_fd(), standard) })?;
    }
    Ok(())
}

/// Closes every descriptor from 3 on but `keep` (close_range(2), Linux 5.9): what a caller leaked into us
/// must not stay open as long as a daemon lives.
///
/// # Errors
/// `ENOSYS` on an older kernel. Whoever else owns a descriptor loses it: call it first of all in a fresh
/// child that holds none.
pub fn close_all_but(keep: impl AsFd) -> io::Result<()> {
    let keep = keep.as_fd().as_raw_fd() as libc::c_uint;
    for (first, last) in [(3, keep.saturating_sub(1)), ((keep + 1).max(3), libc::c_uint::MAX)] {
        if first <= last {
            // SAFETY: close_range takes three integers. The caller promises that nothing in this process
            // owns a descriptor in the range.
            crate::cvt(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}

/// Sends `signal` to the process `pid`.
///
/// # Errors
/// `ESRCH`; those of kill(2).
pub fn kill(pid: u32, signal: corten_types::Signal) -> io::Result<()> {
    // SAFETY: kill takes two integers.
    cvt_int(unsafe { libc::kill(pid as libc::pid_t, i32::from(signal.number())) }).map(drop)
}
