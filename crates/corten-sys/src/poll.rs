//! Waiting for several descriptors at once (poll(2)), for code without an event loop.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

use crate::{cvt_int, retry};

/// Waits until one of `fds` is readable, has ended or failed; tells which are, in the same order. All
/// `false` when `timeout` ran out.
///
/// # Errors
/// Those of poll(2) but `EINTR`, after which it waits again.
pub fn readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    wait(fds, libc::POLLIN, timeout)
}

/// Waits until one of `fds` can be written to, or failed.
///
/// # Errors
/// As [`readable`].
pub fn writable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    wait(fds, libc::POLLOUT, timeout)
}

/// Tells, without waiting, which of `fds` have been closed by their other side or failed (`POLLHUP`,
/// `POLLERR`). A socket whose other side has only ended its sending half is not among them.
///
/// # Errors
/// As [`readable`].
pub fn hung_up(fds: &[BorrowedFd<'_>]) -> io::Result<Vec<bool>> {
    wait(fds, 0, Some(Duration::ZERO))
}

fn wait(fds: &[BorrowedFd<'_>], events: libc::c_short, timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }).collect();
    // Rounded up, so that a wait for a deadline does not spin through its last millisecond.
    let milliseconds =
        timeout.map_or(-1, |timeout| i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
    retry(|| {
        // SAFETY: polled is an array of that many pollfds that outlives the call.
        cvt_int(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) })
    })?;
    Ok(polled.iter().map(|fd| fd.revents != 0).collect())
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd};

    use super::*;

    #[test]
    fn the_readable_one_is_told() {
        let (quiet, _quiet_writer) = io::pipe().expect("a pipe");
        let (ready, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"x").expect("written");
        assert_eq!(readable(&[quiet.as_fd(), ready.as_fd()], None).expect("polled"), [false, true]);
        assert_eq!(readable(&[quiet.as_fd()], Some(Duration::ZERO)).expect("polled"), [false]);
    }

    #[test]
    fn a_half_close_is_no_hang_up() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        theirs.shutdown(std::net::Shutdown::Write).expect("half closed");
        assert_eq!(hung_up(&[ours.as_fd()]).expect("polled"), [false]);
        drop(theirs);
        assert_eq!(hung_up(&[ours.as_fd()]).expect("polled"), [true]);
    }
}
