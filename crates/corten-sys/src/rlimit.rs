//! prlimit(2): resource limits of a process.

use std::{io, os::unix::process::CommandExt, process::Command, sync::OnceLock};

use crate::cvt;

/// The limits by the names the runtime specification uses, with the kernel's numbers on this architecture.
///
/// glibc has them as `u32`, musl as `i32`; none is negative.
#[allow(clippy::unnecessary_cast, reason = "the cast is one with musl only")]
pub const LIMITS: [(&str, u32); 16] = [
    ("RLIMIT_AS", libc::RLIMIT_AS as u32),
    ("RLIMIT_CORE", libc::RLIMIT_CORE as u32),
    ("RLIMIT_CPU", libc::RLIMIT_CPU as u32),
    ("RLIMIT_DATA", libc::RLIMIT_DATA as u32),
    ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE as u32),
    ("RLIMIT_LOCKS", libc::RLIMIT_LOCKS as u32),
    ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK as u32),
    ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE as u32),
    ("RLIMIT_NICE", libc::RLIMIT_NICE as u32),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE as u32),
    ("RLIMIT_NPROC", libc::RLIMIT_NPROC as u32),
    ("RLIMIT_RSS", libc::RLIMIT_RSS as u32),
    ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO as u32),
    ("RLIMIT_RTTIME", 15),
    ("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING as u32),
    ("RLIMIT_STACK", libc::RLIMIT_STACK as u32),
];

/// The name of a limit by its number.
#[must_use]
pub fn name(number: u32) -> &'static str {
    LIMITS.iter().find(|(_, known)| *known == number).map_or("RLIMIT_?", |(name, _)| *name)
}

/// Sets one limit of process `pid` (0 is the caller).
///
/// # Errors
/// `EPERM` when the hard limit would rise without CAP_SYS_RESOURCE; `EINVAL` when soft is above hard; `ESRCH`.
pub fn set(pid: i32, limit: u32, soft: u64, hard: u64) -> io::Result<()> {
    let value: [u64; 2] = [soft, hard];
    let old = std::ptr::null_mut::<u64>();
    // SAFETY: struct rlimit64 is two u64, which `value` is; it is only read, and no old value is asked for.
    cvt(unsafe { libc::syscall(libc::SYS_prlimit64, pid, limit, value.as_ptr(), old) })?;
    Ok(())
}

/// One limit of process `pid` (0 is the caller): soft and hard.
///
/// # Errors
/// `ESRCH`; `EPERM` for a process of somebody else.
pub fn get(pid: i32, limit: u32) -> io::Result<[u64; 2]> {
    let mut value = [0_u64; 2];
    let new = std::ptr::null::<u64>();
    // SAFETY: struct rlimit64 is two u64, for which `value` has room; no new value is given.
    cvt(unsafe { libc::syscall(libc::SYS_prlimit64, pid, limit, new, value.as_mut_ptr()) })?;
    Ok(value)
}

/// The kernel's number of the limit of open files.
#[allow(clippy::unnecessary_cast, reason = "the cast is one with musl only")]
const OPEN_FILES: u32 = libc::RLIMIT_NOFILE as u32;

/// How many open files this process was allowed before it allowed itself more.
static OPEN_FILES_BEFORE: OnceLock<[u64; 2]> = OnceLock::new();

/// Allows this process as many open files as its hard limit says. The soft limit is low for programs
/// that use select(2), and a daemon has a descriptor for each client. Go's runtime does the same, also
/// in that [`with_open_files_as_before`] gives programs that are started what we were given.
///
/// # Errors
/// As prlimit(2).
pub fn raise_open_files() -> io::Result<()> {
    let [soft, hard] = get(0, OPEN_FILES)?;
    if soft < hard {
        set(0, OPEN_FILES, hard, hard)?;
        // The first one counts.
        let _ = OPEN_FILES_BEFORE.set([soft, hard]);
    }
    Ok(())
}

/// How many files this process may have open.
///
/// # Errors
/// None are known.
pub fn open_files() -> io::Result<u64> {
    get(0, OPEN_FILES).map(|[soft, _]| soft)
}

/// Lets the program run with the limit of open files that this process was started with: containers
/// inherit it.
pub fn with_open_files_as_before(command: &mut Command) -> &mut Command {
    let Some([soft, hard]) = OPEN_FILES_BEFORE.get().copied() else { return command };
    let restore = move || set(0, OPEN_FILES, soft, hard);
    // SAFETY: between fork and exec the closure makes one system call with values it holds, and neither
    // allocates nor locks.
    unsafe { command.pre_exec(restore) }
}
