//! seccomp(2): a filter on this process's own system calls, and the filters of another (ptrace(2)).

use std::io;
use std::os::fd::OwnedFd;

use crate::{cvt, cvt_int, retry, syscall::check_fd};

/// Installs a filter for this process and what it executes. `program` has a `struct sock_filter` in each word.
///
/// With `SECCOMP_FILTER_FLAG_NEW_LISTENER` among the flags the descriptor of the listener is returned; it is
/// close-on-exec.
///
/// # Errors
/// `EACCES` without CAP_SYS_ADMIN and without no_new_privs; `EINVAL` for a program or flags the kernel does not take;
/// `ENOMEM` when all filters together are too long; `EBUSY` when a filter above has a listener (seccomp(2)).
pub fn install(program: &[u64], flags: u32) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // A word is as large as a sock_filter and aligned at least as well; the pointer is mutable in C alone.
    let filter = program.as_ptr().cast::<libc::sock_filter>().cast_mut();
    let program = libc::sock_fprog { len: length, filter };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel reads `length` instructions of eight bytes from a slice of that many words, and writes nothing.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    if u64::from(flags) & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return cvt(result).map(|_| None);
    }
    // SAFETY: with this flag the call returns a new descriptor.
    unsafe { check_fd(result) }.map(Some)
}

/// Whether the kernel takes filters with `flags`, or with none for 0: it looks at them before it reads the program,
/// which there is none of here (seccomp(2), `EFAULT`).
#[must_use]
pub fn takes_flags(flags: u32) -> bool {
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel reads a program through a null pointer, which fails, and writes nothing.
    let result = cvt(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, std::ptr::null::<libc::sock_fprog>()) });
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
}

// The C libraries give these numbers different types.
const PTRACE_SEIZE: libc::c_long = 0x4206;
const PTRACE_INTERRUPT: libc::c_long = 0x4207;
const PTRACE_DETACH: libc::c_long = 17;
const PTRACE_SECCOMP_GET_FILTER: libc::c_long = 0x420c;

/// The filters of the process `pid`, the newest first, with a `struct sock_filter` in each word. The process is stopped
/// for as long as it takes.
///
/// # Errors
/// `EPERM` or `EACCES` without CAP_SYS_ADMIN; `ESRCH`; `EIO` for a kernel without CONFIG_CHECKPOINT_RESTORE.
pub fn filters_of(pid: i32) -> io::Result<Vec<Vec<u64>>> {
    ptrace(PTRACE_SEIZE, pid, 0, 0)?;
    let read = interrupt(pid).and_then(|()| read_filters(pid));
    let detached = ptrace(PTRACE_DETACH, pid, 0, 0);
    let filters = read?;
    detached.map(|_| filters)
}

fn interrupt(pid: i32) -> io::Result<()> {
    ptrace(PTRACE_INTERRUPT, pid, 0, 0)?;
    // SAFETY: a null status is not written.
    retry(|| cvt_int(unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) })).map(drop)
}

fn read_filters(pid: i32) -> io::Result<Vec<Vec<u64>>> {
    let mut filters = Vec::new();
    loop {
        let length = match ptrace(PTRACE_SECCOMP_GET_FILTER, pid, filters.len(), 0) {
            // No more filters; the second when there is none at all.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => return Ok(filters),
            result => result?,
        };
        let mut filter = vec![0u64; usize::try_from(length).unwrap_or_default()];
        ptrace(PTRACE_SECCOMP_GET_FILTER, pid, filters.len(), filter.as_mut_ptr() as usize)?;
        filters.push(filter);
    }
}

fn ptrace(request: libc::c_long, pid: i32, address: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: of the requests in this file only the reading of a filter writes memory, to a buffer that was made for
    // exactly the length the kernel had said; the traced process is stopped in between.
    cvt(unsafe { libc::syscall(libc::SYS_ptrace, request, pid, address, data) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_the_kernel_does_not_know_are_not_taken() {
        // None; TSYNC; LOG; one that nobody has given a meaning.
        assert_eq!([0, 1, 2, 1 << 30].map(takes_flags), [true, true, true, false]);
    }
}
