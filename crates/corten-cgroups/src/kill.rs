//! Killing every process of a container.

use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use corten_sys::{descriptors::wait_readable, files, pidfd::PidFd};
use corten_types::Signal;

use crate::CgroupError;
use crate::place::Cgroup;

/// How long killed processes may take to go away.
const KILL_LIMIT: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Sends SIGKILL to every process and returns when none is left, or after ten seconds.
    ///
    /// v2 has one file for it (Linux 5.14). On v1 the processes are frozen first, so that none forks away, and thawed
    /// after: a frozen v1 process does not die.
    ///
    /// # Errors
    /// [`CgroupError::Read`]; that a process stays is seen when the cgroup is removed.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + KILL_LIMIT;
        let mut pause_ms = 1;
        loop {
            let pids = self.processes()?;
            if pids.is_empty() {
                return Ok(());
            }
            if !self.kill_by_file() {
                self.kill_each()?;
            }
            if Instant::now() >= deadline {
                return Ok(());
            }
            let sleep = wait_readable([], Some(pause_ms));
            sleep.map_err(|source| CgroupError::Read { path: "cgroup.procs".into(), source })?;
            pause_ms = (pause_ms * 2).min(50);
        }
    }

    fn kill_by_file(&self) -> bool {
        if !self.is_v2() {
            return false;
        }
        let Some(directory) = self.unified() else { return false };
        let open = OpenOptions::new().write(true).open(directory.join("cgroup.kill"));
        open.and_then(|file| files::write(file.as_fd(), b"1")).is_ok()
    }

    fn kill_each(&self) -> Result<(), CgroupError> {
        let was_frozen = self.freeze().is_ok();
        let result = self.signal_all(Signal::KILL);
        if was_frozen {
            self.thaw()?;
        }
        result
    }

    /// Sends `signal` to every process; one that has just ended is passed over.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn signal_all(&self, signal: Signal) -> Result<(), CgroupError> {
        for pid in self.processes()? {
            if let Ok(process) = u32::try_from(pid).map_err(|_| ()).and_then(|pid| PidFd::open(pid).map_err(|_| ())) {
                let _ = process.send(signal); // it ended meanwhile
            }
        }
        Ok(())
    }
}
