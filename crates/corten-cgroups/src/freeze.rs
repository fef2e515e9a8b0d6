//! Stopping every process of a container and letting them go on: `freezer.state` on v1, `cgroup.freeze` on v2.

use std::fs::{self, OpenOptions};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corten_sys::{descriptors::wait_readable, files};

use crate::CgroupError;
use crate::place::Cgroup;
use crate::processes::is_gone;

/// How long processes may take to stop: one in an uninterruptible sleep can take as long as its disk.
const FREEZE_LIMIT: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Stops every process, and returns when all have stopped.
    ///
    /// # Errors
    /// [`CgroupError::FreezeTimeout`], after which the processes run again; [`CgroupError::NoController`].
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let freezer = self.freezer()?;
        let deadline = Instant::now() + FREEZE_LIMIT;
        loop {
            // v1 must be asked again: a process forked meanwhile keeps the state at FREEZING.
            freezer.set(true)?;
            if freezer.is_frozen()? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                freezer.set(false)?;
                let path = freezer.directory.to_owned();
                return Err(CgroupError::FreezeTimeout { path, seconds: FREEZE_LIMIT.as_secs() });
            }
            let sleep = wait_readable([], Some(1));
            sleep.map_err(|source| CgroupError::Read { path: freezer.directory.to_owned(), source })?;
        }
    }

    /// Lets the processes go on.
    ///
    /// # Errors
    /// [`CgroupError::Write`], [`CgroupError::NoController`].
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.freezer()?.set(false)
    }

    /// Whether the container is stopped, or about to be; `false` when it cannot be.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        match self.freezer() {
            Ok(freezer) => freezer.is_asked_to(),
            Err(_) => Ok(false),
        }
    }

    fn freezer(&self) -> Result<Freezer<'_>, CgroupError> {
        let v1 = self.v1("freezer").map(|directory| Freezer { directory, is_v2: false });
        let v2 = || self.unified().map(|directory| Freezer { directory, is_v2: true });
        v1.or_else(v2).ok_or(CgroupError::NoController { limit: "pause".to_owned(), controller: "freezer".to_owned() })
    }
}

struct Freezer<'a> {
    directory: &'a Path,
    is_v2: bool,
}

impl Freezer<'_> {
    fn file(&self) -> PathBuf {
        self.directory.join(if self.is_v2 { "cgroup.freeze" } else { "freezer.state" })
    }

    fn set(&self, frozen: bool) -> Result<(), CgroupError> {
        let value = match (self.is_v2, frozen) {
            (true, true) => "1",
            (true, false) => "0",
            (false, true) => "FROZEN",
            (false, false) => "THAWED",
        };
        let path = self.file();
        let open = OpenOptions::new().write(true).open(&path);
        open.and_then(|file| files::write(file.as_fd(), value.as_bytes())).map_err(|source| CgroupError::Write {
            path,
            value: value.to_owned(),
            source,
        })
    }

    fn is_frozen(&self) -> Result<bool, CgroupError> {
        if self.is_v2 {
            let events = self.read(&self.directory.join("cgroup.events"))?;
            return Ok(events.lines().any(|line| line == "frozen 1"));
        }
        Ok(self.read(&self.file())?.trim() == "FROZEN")
    }

    fn is_asked_to(&self) -> Result<bool, CgroupError> {
        let text = self.read(&self.file())?;
        Ok(matches!(text.trim(), "1" | "FROZEN" | "FREEZING"))
    }

    fn read(&self, path: &Path) -> Result<String, CgroupError> {
        match fs::read_to_string(path) {
            Err(error) if is_gone(&error) => Ok(String::new()),
            result => result.map_err(|source| CgroupError::Read { path: path.to_owned(), source }),
        }
    }
}
