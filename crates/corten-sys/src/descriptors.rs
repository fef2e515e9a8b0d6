//! The descriptor table of a process: close_range(2), dup2(2), fcntl(2); starting a program by execve(2).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use crate::{cvt, cvt_int, syscall::raw};

const fn standard_stream(number: i32) -> BorrowedFd<'static> {
    // SAFETY: no OwnedFd ever owns 0, 1 or 2, so they are never closed under a borrow; a program that was started
    // without one fills it first (fill_standard_streams).
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Standard input, output and error, without the buffers of the standard library.
pub const STANDARD_STREAMS: [BorrowedFd<'static>; 3] = [standard_stream(0), standard_stream(1), standard_stream(2)];

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11).
///
/// # Errors
/// `EINVAL` before Linux 5.11.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: close_range takes integers, and with CLOSE_RANGE_CLOEXEC closes nothing.
    cvt(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

/// Sets or clears close-on-exec on one descriptor.
///
/// # Errors
/// `EBADF`.
pub fn set_close_on_exec(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: F_SETFD takes an integer.
    cvt_int(unsafe { libc::fcntl(raw(fd), libc::F_SETFD, flags) })?;
    Ok(())
}

/// Whether the process has a descriptor of that number.
#[must_use]
pub fn is_open(number: i32) -> bool {
    // SAFETY: F_GETFD takes nothing and changes nothing, whatever the number.
    unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
}

/// Makes the standard stream `number` (0, 1 or 2) refer to what `fd` does.
///
/// # Errors
/// `EBADF`; `EINVAL` when `number` is no standard stream.
pub fn replace_standard_stream(number: i32, fd: BorrowedFd<'_>) -> io::Result<()> {
    if !(0..=2).contains(&number) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: 0, 1 and 2 are owned by no OwnedFd: the standard library borrows them for the process's life.
    cvt_int(unsafe { libc::dup2(raw(fd), number) })?;
    Ok(())
}

/// Opens /dev/null on every standard stream that is closed, so that no later descriptor takes its number.
///
/// # Errors
/// Those of open(2).
pub fn fill_standard_streams() -> io::Result<()> {
    const STREAMS: [i32; 3] = [0, 1, 2];
    let mut streams = STREAMS.map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: `streams` is writable and has three entries; nothing is waited for.
    cvt_int(unsafe { libc::poll(streams.as_mut_ptr(), 3, 0) })?;
    // A closed one says so.
    while streams.iter().any(|stream| stream.revents & libc::POLLNVAL != 0) && !STREAMS.into_iter().all(is_open) {
        // SAFETY: the path is a literal. The lowest free number is taken, which is a standard stream.
        cvt_int(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) })?;
    }
    Ok(())
}

/// Takes ownership of a descriptor that was inherited by number, such as one of `--preserve-fds`.
///
/// # Errors
/// `EBADF` when it is not open, `EINVAL` for a standard stream.
pub fn adopt(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: F_DUPFD_CLOEXEC makes a new descriptor; the inherited one stays as it is.
    let copy = cvt_int(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel just returned this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// As [`adopt`], but the inherited descriptor itself, at its number: once the caller drops it, it is closed. For the first
/// thing a program does, before anything else in it can own that number.
///
/// # Errors
/// As [`adopt`].
pub fn take(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: F_SETFD takes an integer.
    cvt_int(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and was inherited: nobody in this program owns it (the caller's promise).
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A copy of `fd` whose number is at least `minimum`, close-on-exec.
///
/// # Errors
/// `EMFILE`, `EINVAL` beyond the limit of descriptors.
pub fn duplicate_above(fd: BorrowedFd<'_>, minimum: i32) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an integer.
    let copy = cvt_int(unsafe { libc::fcntl(raw(fd), libc::F_DUPFD_CLOEXEC, minimum) })?;
    // SAFETY: the kernel just returned this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A connected pair of sockets that keep the borders of messages.
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut pair = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: socketpair writes two integers.
    cvt_int(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) })?;
    // SAFETY: the kernel just made the first descriptor.
    let first = unsafe { OwnedFd::from_raw_fd(pair[0]) };
    // SAFETY: the kernel just made the second descriptor.
    let second = unsafe { OwnedFd::from_raw_fd(pair[1]) };
    Ok((first, second))
}

/// A pipe: the end to read from and the end to write to, close-on-exec.
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut pair = [-1; 2];
    // SAFETY: pipe2 writes two integers.
    cvt_int(unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel just made the first descriptor.
    let read = unsafe { OwnedFd::from_raw_fd(pair[0]) };
    // SAFETY: the kernel just made the second descriptor.
    let write = unsafe { OwnedFd::from_raw_fd(pair[1]) };
    Ok((read, write))
}

/// Gives the pipe `end` belongs to room for `bytes`, where its user may have so much (pipe(7), "pipe-max-size").
pub fn widen_pipe(end: BorrowedFd<'_>, bytes: usize) {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: F_SETPIPE_SZ takes an integer. Refused, the pipe keeps the size it has.
    unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// A NULL-terminated list of strings as execve(2) takes it, prepared before a clone so that nothing is allocated after.
#[derive(Debug)]
pub struct StringList {
    strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl StringList {
    /// Prepares the list.
    #[must_use]
    pub fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { strings, pointers }
    }

    /// The strings.
    #[must_use]
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// Replaces the program of this process; returns only on failure (execve(2)). Signals have their
/// default effect in the new program, whatever this one does with them.
///
/// Of all signals only those in `ignored` are looked at: see [`crate::status::OwnStatus`].
#[must_use]
pub fn execute(path: &CStr, arguments: &StringList, environment: &StringList, ignored: u64) -> io::Error {
    crate::wait::reset_ignored(ignored);
    // SAFETY: `path` and every string of both lists are NUL-terminated, and both lists end with NULL.
    unsafe { libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// As [`execute`], for the program that `file` refers to (execveat(2)).
#[must_use]
pub fn execute_file(file: BorrowedFd<'_>, arguments: &StringList, environment: &StringList) -> io::Error {
    // SAFETY: both lists hold NUL-terminated strings and end with NULL; the path is the empty literal.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Leaves a close-on-exec descriptor to the exec that comes, which closes it without a call of its own. One with a high
/// number is closed now, so that their limit is not reached.
pub fn leave_to_exec(fd: OwnedFd) {
    const MANY: i32 = 200;
    if fd.as_raw_fd() < MANY {
        let _ = fd.into_raw_fd(); // the exec closes it, or the end of the process
    }
}

/// Closes every descriptor from `first` on but `kept`: for a process that waits before it executes its program, and
/// uses, closes and drops nothing else of what it has open.
///
/// # Errors
/// Those of close_range(2).
pub fn close_all_but(first: u32, mut kept: [BorrowedFd<'_>; 2]) -> io::Result<()> {
    kept.sort_unstable_by_key(|fd| fd.as_raw_fd());
    let mut next = first;
    let numbers = kept.map(|fd| fd.as_raw_fd().unsigned_abs());
    for number in numbers.into_iter().chain([u32::MAX]).filter(|number| *number >= first) {
        if number > next {
            // SAFETY: close_range takes integers; what it closes is used by nobody (this function's condition).
            cvt(unsafe { libc::syscall(libc::SYS_close_range, next, number - 1, 0) })?;
        }
        next = number.saturating_add(1);
    }
    Ok(())
}

/// Closes descriptors with as few calls as their numbers allow (close_range(2)).
pub fn close_together(fds: Vec<OwnedFd>) {
    let mut numbers: Vec<i32> = fds.into_iter().map(IntoRawFd::into_raw_fd).collect();
    numbers.sort_unstable();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        let (first, last) = (run[0], run[run.len() - 1]);
        // SAFETY: close_range takes integers; every number between the two was owned by the list, and by nobody else.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Ends the process at once, running nothing more: the way out of a clone child.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(status) }
}

/// Whether the other end of a socket is closed, without waiting (`POLLHUP`).
///
/// # Errors
/// Those of poll(2).
pub fn is_hung_up(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut polled = libc::pollfd { fd: raw(fd), events: 0, revents: 0 };
    crate::retry(|| {
        // SAFETY: the pointer is to one pollfd, which is writable.
        cvt_int(unsafe { libc::poll(&raw mut polled, 1, 0) })
    })?;
    Ok(polled.revents != 0)
}

/// Waits until one of the descriptors can be read or was hung up; tells which, in order. `None` waits for ever.
///
/// # Errors
/// Those of poll(2); `EINTR` is retried.
pub fn wait_readable<const N: usize>(fds: [BorrowedFd<'_>; N], timeout_ms: Option<i32>) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 });
    crate::retry(|| {
        // SAFETY: pointer and count describe `polled`, which is writable.
        cvt_int(unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, timeout_ms.unwrap_or(-1)) })
    })?;
    Ok(polled.map(|entry| entry.revents != 0))
}
