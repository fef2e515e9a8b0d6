//! Children: who has ended (waitid(2)), who adopts orphans (prctl(2), PR_SET_CHILD_SUBREAPER), and
//! signals as readable descriptors (signalfd(2)).

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use corten_types::{ExitStatus, Signal};

use crate::{cvt_int, retry};

/// A child that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its pid.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
}

impl Ended {
    pub(crate) fn from_siginfo(info: &libc::siginfo_t) -> Option<Self> {
        // SAFETY: waitid filled the SIGCHLD fields, or left the structure zeroed.
        let pid = unsafe { info.si_pid() };
        // SAFETY: as above.
        let number = unsafe { info.si_status() } as u8;
        if pid == 0 {
            return None;
        }
        let status = match info.si_code {
            libc::CLD_EXITED => ExitStatus::exited(number),
            _ => ExitStatus::signaled(number),
        };
        Some(Self { pid: pid as u32, status })
    }
}

/// Looks for an ended child, without reaping it; `None` when all live or there is none.
///
/// # Errors
/// Those of waitid(2) but `ECHILD`.
pub fn peek_ended() -> io::Result<Option<Ended>> {
    waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
}

/// Reaps the child `pid` if it has ended.
///
/// # Errors
/// Those of waitid(2) but `ECHILD`.
pub fn reap(pid: u32) -> io::Result<Option<Ended>> {
    waitid(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG)
}

/// Blocks until the child `pid` has ended, and reaps it; `None` when it is not our child.
///
/// # Errors
/// Those of waitid(2) but `ECHILD`.
pub fn wait(pid: u32) -> io::Result<Option<Ended>> {
    waitid(libc::P_PID, pid, libc::WEXITED)
}

fn waitid(kind: libc::idtype_t, id: u32, options: i32) -> io::Result<Option<Ended>> {
    // SAFETY: an all-zero siginfo_t is valid; waitid leaves si_pid 0 when nobody has ended.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let result = retry(|| {
        // SAFETY: info is a valid siginfo_t that outlives the call.
        cvt_int(unsafe { libc::waitid(kind, id, &raw mut info, options) })
    });
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        Err(error) => Err(error),
        Ok(_) => Ok(Ended::from_siginfo(&info)),
    }
}

/// Makes this process the one that orphans among its descendants are handed to
/// (prctl(2), PR_SET_CHILD_SUBREAPER).
///
/// # Errors
/// None are known.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: the option takes one integer and touches no memory of ours.
    cvt_int(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Signals as a readable descriptor (signalfd(2)): blocked for the calling thread, delivered by
/// [`SignalFd::read`]. Threads started afterwards inherit the mask, so open it before any other.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks `signals` in this thread and opens a non-blocking descriptor for them.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn block(signals: &[Signal]) -> io::Result<Self> {
        let set = signal_set(signals);
        // SAFETY: set is an initialised sigset_t; the old mask is not asked for.
        cvt_int(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) })?;
        // SAFETY: set is an initialised sigset_t that outlives the call.
        let fd = cvt_int(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next pending signal; `None` when there is none.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self) -> io::Result<Option<Signal>> {
        // SAFETY: an all-zero signalfd_siginfo is valid.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        let result = retry(|| {
            // SAFETY: info has room for the bytes asked for and outlives the call.
            crate::cvt(unsafe { libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size) } as libc::c_long)
        });
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(Signal::from_number(info.ssi_signo)),
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// Unblocks every signal in this thread: before an exec, so that the program starts with a clean mask.
///
/// # Errors
/// None are known.
pub fn unblock_all_signals() -> io::Result<()> {
    let set = signal_set(&[]);
    // SAFETY: set is an initialised sigset_t; the old mask is not asked for.
    cvt_int(unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) }).map(drop)
}

/// Makes the program that `command` starts begin with no signal blocked: a signal mask survives exec, and
/// std leaves it as it is.
pub fn unblock_signals_in_child(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closure runs in the forked child and makes two async-signal-safe calls
    // (signal-safety(7)); it allocates nothing.
    unsafe { command.pre_exec(unblock_all_signals) };
}

/// Gives every signal its default effect and unblocks all, for a program about to be executed: both
/// outlive an execve. What a daemon or Rust's own start-up ignores (SIGPIPE) must not reach a container.
///
/// It allocates nothing, so that a cloned child may call it.
pub fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: SIG_DFL installs no code of ours. SIGKILL, SIGSTOP and the C library's own are refused.
        let _ = unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    // It cannot fail with these arguments (pthread_sigmask(3)).
    let _ = unblock_all_signals();
}

fn signal_set(signals: &[Signal]) -> libc::sigset_t {
    // SAFETY: an all-zero sigset_t is valid storage for sigemptyset.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: set is valid storage.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in signals {
        // SAFETY: set is an initialised sigset_t and the number is 1 to 64.
        unsafe { libc::sigaddset(&raw mut set, i32::from(signal.number())) };
    }
    set
}
