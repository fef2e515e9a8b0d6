//! Being told when a cgroup runs out of memory.
//!
//! v1: an eventfd registered with `memory.oom_control` (cgroup-v1/memory.rst, "OOM Control"); removing
//! the cgroup fires it as well. v2: `memory.events` changes; only a rising `oom_kill` counts, because
//! `oom` also counts allocations that merely failed.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    path::{Path, PathBuf},
};

use corten_sys::{
    eventfd::EventFd,
    inotify::{Inotify, Mask},
};

use crate::{CgroupError, place::Cgroup};

/// A watch on one cgroup's memory; readable when something happened.
#[derive(Debug)]
pub struct OomWatch {
    source: Source,
    directory: PathBuf,
    kills: u64,
}

#[derive(Debug)]
enum Source {
    /// The counter, and the file it is registered with.
    V1(EventFd, #[expect(dead_code, reason = "registered as long as it is open")] File),
    V2(Inotify),
}

impl Cgroup {
    /// Begins to watch; `None` where memory is not controlled.
    ///
    /// # Errors
    /// [`CgroupError::Open`], [`CgroupError::Write`].
    pub fn watch_oom(&self) -> Result<Option<OomWatch>, CgroupError> {
        let Some(directory) = self.memory_directory() else { return Ok(None) };
        let source = if self.is_v2() { v2(directory)? } else { v1(directory)? };
        let kills = oom_kills(directory, &source).unwrap_or(0);
        Ok(Some(OomWatch { source, directory: directory.to_owned(), kills }))
    }

    fn memory_directory(&self) -> Option<&Path> {
        if self.is_v2() { self.unified() } else { self.v1("memory") }
    }
}

impl OomWatch {
    /// Takes what has happened: whether memory ran out since the last call. Does not wait.
    ///
    /// # Errors
    /// Those of read(2); `NotFound` once the cgroup is gone.
    pub fn take(&mut self) -> io::Result<bool> {
        let notified = match &self.source {
            Source::V1(counter, _) => counter.take()? > 0,
            Source::V2(inotify) => {
                while !inotify.read()?.is_empty() {}
                false
            }
        };
        // Fails when the removal of the cgroup woke us.
        let kills = oom_kills(&self.directory, &self.source)?;
        let killed = kills > std::mem::replace(&mut self.kills, kills);
        Ok(notified || killed)
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::V1(counter, _) => counter.as_fd(),
            Source::V2(inotify) => inotify.as_fd(),
        }
    }
}

impl AsRawFd for OomWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

fn v1(directory: &Path) -> Result<Source, CgroupError> {
    let path = directory.join("memory.oom_control");
    let control = File::open(&path).map_err(|source| CgroupError::Open { path: path.clone(), source })?;
    let counter = EventFd::new().map_err(|source| CgroupError::Open { path, source })?;
    let value = format!("{} {}", counter.as_raw_fd(), control.as_raw_fd());
    let path = directory.join("cgroup.event_control");
    fs::write(&path, &value).map_err(|source| CgroupError::Write { path, value, source })?;
    Ok(Source::V1(counter, control))
}

fn v2(directory: &Path) -> Result<Source, CgroupError> {
    let path = directory.join("memory.events");
    let watch = || {
        let inotify = Inotify::new()?;
        inotify.add(&path, Mask::MODIFY)?;
        Ok(Source::V2(inotify))
    };
    watch().map_err(|source| CgroupError::Open { path: path.clone(), source })
}

fn oom_kills(directory: &Path, source: &Source) -> io::Result<u64> {
    let file = match source {
        Source::V1(..) => "memory.oom_control",
        Source::V2(_) => "memory.events",
    };
    let text = fs::read_to_string(directory.join(file))?;
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
}
