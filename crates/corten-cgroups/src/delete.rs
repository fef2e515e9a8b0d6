//! Removing a container's cgroups.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use corten_sys::descriptors::wait_readable;

use crate::CgroupError;
use crate::place::Cgroup;

/// How long a cgroup may stay busy after its last process was killed: the kernel finishes exiting processes, which
/// can wait for their memory to be torn down.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Removes the directories one by one as long as nothing is in them and none has any below; whether all are gone. It
    /// looks at nothing first: the kernel refuses to remove a cgroup with a process, and one that is missing is gone.
    #[must_use]
    pub fn delete_empty(&self) -> bool {
        let is_gone =
            |removed: io::Result<()>| removed.map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true);
        self.directories.iter().all(|directory| is_gone(fs::remove_dir(&directory.path)))
    }

    /// Removes every directory with what is below it. All are tried; a missing one is no error.
    ///
    /// # Errors
    /// The first [`CgroupError::Delete`], after all were tried.
    pub fn delete(&self) -> Result<(), CgroupError> {
        let mut first = Ok(());
        for directory in &self.directories {
            let result = remove_tree(&directory.path)
                .map_err(|source| CgroupError::Delete { path: directory.path.clone(), source });
            first = first.and(result);
        }
        first
    }
}

/// Removes `path` and the cgroups below it, waiting while the kernel still ends processes in it.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let mut deadline = None;
    let mut pause_ms = 1;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::ResourceBusy => return Err(error),
            Err(error) => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + BUSY_LIMIT);
                if Instant::now() >= deadline {
                    return Err(error);
                }
            }
        }
        if remove_children(path)? == 0 {
            wait_readable([], Some(pause_ms))?;
            pause_ms = (pause_ms * 2).min(50);
        }
    }
}

/// Removes the cgroups below `path`; how many there were.
fn remove_children(path: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
            count += 1;
        }
    }
    Ok(count)
}
