//! Waiting for many descriptors at the cost of those that are ready (epoll(7)).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::retry;

/// What is told about a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// That it is readable, again and again until it is read.
    Readable,
    /// Once that it has become readable, and once that it has become writable, each time anew (`EPOLLET`): it is
    /// used until `EAGAIN` before it is waited for.
    Edges,
}

/// What is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The number under which it was added.
    pub token: u64,
    /// It can be read, has ended, or failed.
    pub is_readable: bool,
    /// It can be written to, or failed.
    pub is_writable: bool,
    /// It failed (`EPOLLERR`): its error is to be had by the next call, or by SO_ERROR.
    pub is_failed: bool,
}

/// A set of descriptors. It is a descriptor itself, readable while one of the set is ready.
#[derive(Debug)]
pub struct Epoll(epoll::Epoll);

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn new() -> io::Result<Epoll> {
        Ok(Epoll(epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Adds `fd`, to be told of as `token`. Closing the last copy of it takes it out.
    ///
    /// # Errors
    /// `EPERM` for a regular file, `EEXIST`, `ENOMEM`, `ENOSPC`.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Readable => EpollFlags::EPOLLIN,
            Interest::Edges => {
                EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET
            }
        };
        Ok(self.0.add(fd, EpollEvent::new(flags, token))?)
    }

    /// Takes `fd` out.
    ///
    /// # Errors
    /// `ENOENT` when it is not in the set.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.0.delete(fd)?)
    }

    /// What is ready now, without waiting: at most `MOST` of them, into `ready`.
    ///
    /// # Errors
    /// None are known.
    pub fn ready<const MOST: usize>(&self, ready: &mut Vec<Event>) -> io::Result<()> {
        self.wait::<MOST>(Some(Duration::ZERO), ready)
    }

    /// As [`Epoll::ready`], but waits until something is, or `timeout` has run out.
    ///
    /// # Errors
    /// None are known.
    pub fn wait<const MOST: usize>(&self, timeout: Option<Duration>, ready: &mut Vec<Event>) -> io::Result<()> {
        // Rounded up, so that a wait for a deadline does not spin through its last millisecond.
        let milliseconds =
            timeout.map(|timeout| i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        let timeout = milliseconds.and_then(|time| EpollTimeout::try_from(time).ok()).unwrap_or(EpollTimeout::NONE);
        let mut events = [EpollEvent::empty(); MOST];
        let count = retry(|| Ok(self.0.wait(&mut events, timeout)?))?;
        ready.clear();
        ready.extend(events[..count].iter().map(|event| {
            let flags = event.events();
            let is_failed = flags.contains(EpollFlags::EPOLLERR);
            let is_hung_up = is_failed || flags.contains(EpollFlags::EPOLLHUP);
            Event {
                token: event.data(),
                is_readable: is_hung_up || flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP),
                is_writable: is_hung_up || flags.contains(EpollFlags::EPOLLOUT),
                is_failed,
            }
        }));
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn an_edge_is_told_once_and_a_level_until_it_is_read() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        let level = Epoll::new().expect("a set");
        let edge = Epoll::new().expect("a set");
        level.add(&ours, 7, Interest::Readable).expect("added");
        edge.add(&ours, 8, Interest::Edges).expect("added");
        theirs.write_all(b"x").expect("written");
        let mut ready = Vec::new();
        for expected in [[Some(7), Some(8)], [Some(7), None]] {
            for (epoll, token) in [&level, &edge].into_iter().zip(expected) {
                epoll.ready::<4>(&mut ready).expect("looked");
                assert_eq!(ready.first().map(|event| event.token), token);
            }
        }
        assert_eq!(crate::poll::readable(&[level.as_fd()], Some(Duration::ZERO)).expect("polled"), [true]);
        ours.read_exact(&mut [0]).expect("read");
        assert_eq!(crate::poll::readable(&[level.as_fd()], Some(Duration::ZERO)).expect("polled"), [false]);
        level.remove(&ours).expect("removed");
        drop(theirs);
        level.ready::<4>(&mut ready).expect("looked");
        assert!(ready.is_empty(), "what was taken out is not told: {ready:?}");
        edge.ready::<4>(&mut ready).expect("looked");
        assert!(ready[0].is_readable && ready[0].is_writable, "{ready:?}");
    }
}
