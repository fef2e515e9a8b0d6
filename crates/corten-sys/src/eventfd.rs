//! Counters that wake a poll (eventfd(2)).

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use crate::{cvt, cvt_int, retry};

/// A counter in the kernel, readable while it is not zero. Non-blocking.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A counter at zero.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers.
        let fd = cvt_int(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Adds one: whoever polls wakes up.
    ///
    /// # Errors
    /// None are known short of 2^64 calls.
    pub fn signal(&self) -> io::Result<()> {
        let one = 1u64.to_ne_bytes();
        // SAFETY: one is eight bytes that outlive the call.
        retry(|| cvt(unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) } as libc::c_long))
            .map(drop)
    }

    /// Takes the count and resets it; 0 when nothing was signalled.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn take(&self) -> io::Result<u64> {
        let mut count = [0u8; 8];
        let result = retry(|| {
            // SAFETY: count is eight bytes that outlive the call.
            cvt(unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) } as libc::c_long)
        });
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
            Ok(_) => Ok(u64::from_ne_bytes(count)),
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_counts_and_resets() {
        let counter = EventFd::new().expect("a descriptor");
        assert_eq!(counter.take().expect("read"), 0);
        counter.signal().expect("signalled");
        counter.signal().expect("signalled");
        assert_eq!(counter.take().expect("read"), 2);
        assert_eq!(counter.take().expect("read"), 0);
    }
}
