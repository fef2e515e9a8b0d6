//! A container that exists: its directory, its record, and what it is doing now.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use corten_cgroups::CgroupError;
use corten_sys::files::O_NONBLOCK;
use corten_sys::pidfd::PidFd;

use crate::process_stat::ProcessStat;
use crate::state_dir::{Phase, Record, StateDir, StateError};

/// What a container is doing (runtime-spec, runtime.md, "State"; paused is runc's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is being made.
    Creating,
    /// Its first process waits for start.
    Created,
    /// Its first process runs.
    Running,
    /// Its processes are stopped and can go on.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// The specification's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// A container that exists.
#[derive(Debug)]
pub struct Container {
    /// Its directory.
    pub directory: StateDir,
    /// What is known about it.
    pub record: Record,
}

impl Container {
    /// Finds a container.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn load(root: &Path, id: &str) -> Result<Self, StateError> {
        let directory = StateDir::open(root, id)?;
        let record = directory.load()?;
        Ok(Self { directory, record })
    }

    /// What it is doing.
    ///
    /// # Errors
    /// [`CgroupError`] when the freezer cannot be read.
    pub fn status(&self) -> Result<Status, CgroupError> {
        if self.record.phase == Phase::Creating {
            let (pid, start) = self.record.creator;
            // Whoever made it was killed at it: what is there is to be deleted.
            return Ok(if lives(pid, start) { Status::Creating } else { Status::Stopped });
        }
        if !self.is_alive() {
            return Ok(Status::Stopped);
        }
        if self.waits_for_start() {
            return Ok(Status::Created);
        }
        Ok(if self.record.cgroup().is_frozen()? { Status::Paused } else { Status::Running })
    }

    /// Whether the first process lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        lives(self.record.init_process_pid, self.record.init_process_start)
    }

    /// A handle on the first process; `None` when it has ended. The start is compared after the handle is open, so
    /// that it is never one of a later process with the same id.
    #[must_use]
    pub fn init(&self) -> Option<PidFd> {
        let pid = u32::try_from(self.record.init_process_pid).ok().filter(|pid| *pid != 0)?;
        let handle = PidFd::open(pid).ok()?;
        self.is_alive().then_some(handle)
    }

    /// A handle on the process that makes the container; `None` when it is done or has ended.
    #[must_use]
    pub fn creator(&self) -> Option<PidFd> {
        let (pid, start) = self.record.creator;
        let handle = PidFd::open(u32::try_from(pid).ok().filter(|pid| *pid != 0)?).ok()?;
        (self.record.phase == Phase::Creating && lives(pid, start)).then_some(handle)
    }

    /// Only a process that waits holds the fifo open for reading.
    fn waits_for_start(&self) -> bool {
        let open = std::fs::OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(self.directory.fifo());
        open.is_ok()
    }
}

fn lives(pid: i32, start: u64) -> bool {
    pid > 0 && ProcessStat::read(pid).is_ok_and(|stat| stat.start == start && stat.is_alive())
}
