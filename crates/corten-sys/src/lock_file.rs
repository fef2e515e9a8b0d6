//! One process for each directory: a file locked as long as its holder lives (flock(2)).
//!
//! The file names its holder. A lock outlives the process that took it while a child of that process
//! stands between fork and exec: the child has a copy of every descriptor, also of those that are
//! closed on exec. So a lock whose holder is dead is waited for; a living holder is told at once.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::pidfd;

/// Why the lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Somebody has it.
    Held {
        /// The process that took it, when the file says.
        pid: Option<u32>,
        /// Whether that process lives: otherwise a child of its has the lock still.
        lives: bool,
    },
    /// The file could not be used.
    File(io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { pid: Some(pid), lives: true } => write!(f, "process {pid} holds its lock"),
            Self::Held { pid: Some(pid), lives: false } => {
                write!(f, "process {pid} has ended, and a process it started holds its lock still")
            }
            Self::Held { pid: None, .. } => f.write_str("a process that has not said which holds its lock"),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Locks the file at `path`, made when it is not there, until the answer is dropped or the process
/// ends, and writes the own pid into it. A lock that a dead process left behind is waited for as long
/// as `patience`.
///
/// # Errors
/// [`LockError::Held`] when somebody living has it, or it does not become free; else as open(2),
/// flock(2), write(2).
pub fn hold(path: &Path, patience: Duration) -> Result<File, LockError> {
    let mut file = File::options().create(true).read(true).write(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = holder(path);
            if pid.is_some_and(pidfd::lives) {
                return Err(LockError::Held { pid, lives: true });
            }
            file = wait(file, patience)?.ok_or_else(|| {
                // Somebody else may have been faster than we.
                let pid = holder(path);
                LockError::Held { pid, lives: pid.is_some_and(pidfd::lives) }
            })?;
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())?;
    Ok(file)
}

/// Waits in a thread of its own: flock(2) has no deadline. When the wait is given up, the thread waits
/// on, and lets go of the lock the moment it gets it.
fn wait(file: File, patience: Duration) -> io::Result<Option<File>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new().name("lock".to_owned()).spawn(move || {
        let locked = file.lock().map(|()| file);
        // Nobody waits any more: dropping the file unlocks it.
        let _ = sender.try_send(locked);
    })?;
    receiver.recv_timeout(patience).ok().transpose()
}

fn holder(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::MetadataExt, process::Command, time::Instant};

    use super::*;

    /// A bound for a test that would otherwise never end.
    const DEADLINE: Duration = Duration::from_secs(60);

    fn file(pid: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("lock");
        std::fs::write(&path, pid.to_string()).expect("writable");
        (directory, path)
    }

    fn dead_pid() -> u32 {
        let mut child = Command::new("true").spawn().expect("true starts");
        child.wait().expect("our child");
        child.id()
    }

    fn somebody_waits(path: &Path) -> bool {
        let inode = format!(":{} ", std::fs::metadata(path).expect("there").ino());
        let locks = std::fs::read_to_string("/proc/locks").expect("readable");
        locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
    }

    #[test]
    fn a_lock_that_outlives_its_holder_is_waited_for() {
        let (_directory, path) = file(dead_pid());
        let left = File::options().read(true).write(true).open(&path).expect("there");
        left.lock().expect("free");
        let held = thread::scope(|scope| {
            let waiting = scope.spawn(|| hold(&path, DEADLINE));
            let started = Instant::now();
            while !somebody_waits(&path) && !waiting.is_finished() {
                assert!(started.elapsed() < DEADLINE, "nobody waits for the lock");
                thread::yield_now();
            }
            drop(left);
            waiting.join().expect("no panic")
        });
        let _held = held.expect("the lock is free");
        assert_eq!(holder(&path), Some(std::process::id()));
    }

    #[test]
    fn who_holds_the_lock_is_told() {
        let dead = dead_pid();
        let own = std::process::id();
        for (pid, expected) in [
            (own, format!("process {own} holds its lock")),
            (dead, format!("process {dead} has ended, and a process it started holds its lock still")),
        ] {
            let (_directory, path) = file(pid);
            let held = File::options().read(true).write(true).open(&path).expect("there");
            held.lock().expect("free");
            assert_eq!(hold(&path, Duration::ZERO).expect_err("held").to_string(), expected);
        }
    }

    #[test]
    fn a_free_lock_is_taken_whatever_the_file_says() {
        let (_directory, path) = file(1);
        let held = hold(&path, Duration::ZERO).expect("free");
        assert_eq!(holder(&path), Some(std::process::id()));
        assert!(hold(&path, Duration::ZERO).is_err());
        drop(held);
        hold(&path, Duration::ZERO).expect("free again");
    }
}
