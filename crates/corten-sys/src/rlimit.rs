//! prlimit(2): resource limits of a process.

use std::io;

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
