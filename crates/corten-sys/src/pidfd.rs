//! Handles on processes (pidfd_open(2), pidfd_send_signal(2), waitid(2)).
//!
//! A pid may be somebody else's by the time it is used; a pidfd never is.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use corten_types::{ExitStatus, Signal};

use crate::{cvt, cvt_int, retry};

/// A handle on one process. Readable (poll, epoll) once the process has ended.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Opens a handle on the process `pid`.
    ///
    /// # Errors
    /// `ESRCH` when no such process exists, `EINVAL` when `pid` is a thread (pidfd_open(2), Linux 5.3).
    pub fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and touches no memory of ours.
        let fd = cvt(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) })?;
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Takes over a descriptor that `clone3` or SCM_RIGHTS gave.
    pub fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The descriptor itself.
    #[must_use]
    pub fn into_owned(self) -> OwnedFd {
        self.0
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// `ESRCH` when the process has ended and was reaped.
    pub fn send(&self, signal: Signal) -> io::Result<()> {
        self.send_number(i32::from(signal.number()))
    }

    /// A copy of the process's descriptor `number` (pidfd_getfd(2), Linux 5.6); it is close-on-exec.
    ///
    /// # Errors
    /// `EPERM` without the right to trace the process; `EBADF` when it has no such descriptor; `ESRCH`.
    pub fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        // SAFETY: pidfd_getfd takes three integers and touches no memory of ours.
        let fd = cvt(unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), number, 0) })?;
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    /// Whether the process still exists (a zombie does).
    pub fn exists(&self) -> bool {
        self.send_number(0).is_ok()
    }

    fn send_number(&self, number: i32) -> io::Result<()> {
        // SAFETY: a null siginfo asks the kernel to fill it as kill(2) does; no memory of ours is touched.
        cvt(unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), number, std::ptr::null::<()>(), 0)
        })
        .map(drop)
    }

    /// Blocks until the process, a child of ours, has ended; reaps it.
    ///
    /// # Errors
    /// `ECHILD` when it is not our child or was reaped.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        match self.waitid(libc::WEXITED)? {
            Some(status) => Ok(status),
            None => Err(io::Error::other("waitid without WNOHANG answered no process")),
        }
    }

    /// As [`PidFd::wait`], but answers `None` at once while the process lives.
    ///
    /// # Errors
    /// `ECHILD` when it is not our child or was reaped.
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.waitid(libc::WEXITED | libc::WNOHANG)
    }

    fn waitid(&self, options: i32) -> io::Result<Option<ExitStatus>> {
        // SAFETY: an all-zero siginfo_t is valid; waitid leaves si_pid 0 when nobody has ended.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        retry(|| {
            // SAFETY: info is a valid siginfo_t that outlives the call.
            cvt_int(unsafe { libc::waitid(libc::P_PIDFD, self.0.as_raw_fd() as u32, &raw mut info, options) })
        })?;
        Ok(crate::wait::Ended::from_siginfo(&info).map(|ended| ended.status))
    }

    /// The inode of the handle: with pidfs (Linux 6.9) unique per process until reboot, and so an
    /// identity that survives pid reuse. Older kernels give every pidfd the same inode.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn inode(&self) -> io::Result<u64> {
        // SAFETY: an all-zero stat is valid.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: stat is a valid structure that outlives the call.
        cvt_int(unsafe { libc::fstat(self.0.as_raw_fd(), &raw mut stat) })?;
        Ok(stat.st_ino)
    }
}

/// Whether the process `pid` lives. One that has ended and that nobody has waited for yet does not:
/// its handle is readable (pidfd_open(2)).
pub fn lives(pid: u32) -> bool {
    PidFd::open(pid)
        .and_then(|pidfd| crate::poll::readable(&[pidfd.as_fd()], Some(std::time::Duration::ZERO)))
        .is_ok_and(|ended| ended == [false])
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl From<PidFd> for OwnedFd {
    fn from(pidfd: PidFd) -> Self {
        pidfd.0
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "the pidfd reaps it")]
    fn a_child_is_signalled_and_waited_for() {
        let child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        let pidfd = PidFd::open(child.id()).expect("the child exists");
        assert!(pidfd.exists());
        assert_eq!(pidfd.try_wait().expect("our child"), None);
        pidfd.send(Signal::KILL).expect("the child exists");
        assert_eq!(pidfd.wait().expect("our child"), ExitStatus::signaled(9));
        assert!(!pidfd.exists());
    }

    #[test]
    fn a_zombie_does_not_live() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        assert!(lives(child.id()));
        let pidfd = PidFd::open(child.id()).expect("the child exists");
        pidfd.send(Signal::KILL).expect("the child exists");
        crate::poll::readable(&[pidfd.as_fd()], None).expect("it ends");
        assert!(!lives(child.id()), "ended, not waited for");
        child.wait().expect("our child");
        assert!(!lives(child.id()), "gone");
    }
}
