//! Children: who has ended (waitid(2)), who adopts orphans (prctl(2), PR_SET_CHILD_SUBREAPER), and
//! signals as readable descriptors (signalfd(2)); and signals reset before an exec (sigaction(2)).

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

/// Gives every signal its default effect and blocks none: before an exec, which keeps what the caller ignored or
/// blocked, so that a program starts as if at boot. Also those signals that a C library keeps for itself, and SIGPIPE, which
/// Rust's start-up ignores. It allocates nothing, so that a cloned child may call it.
pub fn reset_signals() {
    reset_ignored(u64::MAX);
}

/// As [`reset_signals`], looking only at the signals in `ignored`.
pub fn reset_ignored(ignored: u64) {
    /// `struct sigaction` as the kernel takes it: handler (0 is SIG_DFL), flags, restorer, mask.
    type Action = [u64; 4];
    const SIGNALS: i32 = 64;
    let default: Action = [0; 4];
    let old = std::ptr::null_mut::<Action>();
    for signal in (1..=SIGNALS).filter(|signal| ignored >> (signal - 1) & 1 == 1) {
        // SAFETY: the action is read only, of the size the kernel takes on a 64-bit machine; the old one is not asked
        // for. SIGKILL and SIGSTOP answer EINVAL, which is right: nobody can change them.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, old, size_of::<u64>()) };
    }
    let none: u64 = 0;
    let old = std::ptr::null_mut::<u64>();
    // SAFETY: the mask is one u64, read only; the old one is not asked for. It cannot fail with these arguments.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, old, size_of::<u64>()) };
}

/// Has a write to a pipe that nobody reads fail with `EPIPE`, and not end this process.
///
/// # Errors
/// Those of sigaction(2): none with this signal.
pub fn ignore_broken_pipes() -> io::Result<()> {
    // SAFETY: `sigaction` is plain data, for which zero is a value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = libc::SIG_IGN;
    // SAFETY: the action is read only.
    cvt_int(unsafe { libc::sigaction(libc::SIGPIPE, &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Lets SIGHUP, SIGINT, SIGQUIT and SIGTERM end this process until it executes a program. The first process of a pid
/// namespace is otherwise not reached by a signal that it has no handler for (pid_namespaces(7)).
///
/// # Errors
/// Those of sigaction(2): none with these signals.
pub fn end_by_signals() -> io::Result<()> {
    extern "C" fn end(signal: libc::c_int) {
        // SAFETY: _exit takes an integer and does not return; it may be called from a signal handler.
        unsafe { libc::_exit(128 + signal) }
    }
    let handler: extern "C" fn(libc::c_int) = end;
    // SAFETY: `sigaction` is plain data, for which zero is a value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: the action is read only; the handler does nothing that is not allowed in one.
        cvt_int(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    }
    Ok(())
}

/// Has `command` start its program as a helper of this process: with [default signals](reset_signals), whatever this
/// process blocks for itself, and killed when the thread that spawns it ends (PR_SET_PDEATHSIG), so that it does not go
/// on with a work that nobody waits for and somebody else cleans up after.
pub fn as_helper(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    let parent = std::process::id();
    let prepare = move || {
        reset_signals();
        // SAFETY: prctl with this option takes integers only.
        crate::cvt_int(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
        // It may have ended before the call.
        // SAFETY: getppid takes nothing and cannot fail.
        if unsafe { libc::getppid() }.cast_unsigned() == parent {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    };
    // SAFETY: the closure runs between fork and exec and makes only system calls that are safe there.
    unsafe { command.pre_exec(prepare) }
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
