//! Waiting for a log to grow.

use std::{io, os::fd::AsFd, path::Path};

use corten_sys::{
    eventfd::EventFd,
    inotify::{Inotify, Mask},
    poll,
};

use crate::Timestamp;

/// Watches a log's directory: writes, new files and renames, whatever the current file is called.
#[derive(Debug)]
pub(super) struct Watcher(Inotify);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// There may be something new, or a stop.
    Changed,
    /// The time to read until has come.
    TimeIsOver,
}

impl Watcher {
    pub(super) fn new(log: &Path) -> io::Result<Self> {
        let directory = log.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let inotify = Inotify::new()?;
        inotify.add(directory, Mask::MODIFY | Mask::CREATE | Mask::MOVED_TO)?;
        Ok(Self(inotify))
    }

    pub(super) fn wait(&self, stop: &EventFd, until: Option<Timestamp>) -> io::Result<Woken> {
        let timeout = until.map(Timestamp::until_then);
        let ready = poll::readable(&[self.0.as_fd(), stop.as_fd()], timeout)?;
        if ready == [false, false] {
            return Ok(Woken::TimeIsOver);
        }
        while !self.0.read()?.is_empty() {}
        Ok(Woken::Changed)
    }
}
