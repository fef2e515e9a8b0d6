//! Which processes are in a container's cgroups.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::CgroupError;
use crate::place::Cgroup;

/// The v1 hierarchy asked first: the one whose membership the container can change least.
const PREFERRED: [&str; 4] = ["devices", "freezer", "pids", "memory"];

impl Cgroup {
    /// The directory that stands for the whole container when its processes are listed.
    #[must_use]
    pub fn main_directory(&self) -> Option<&Path> {
        if self.is_v2() {
            return self.unified();
        }
        PREFERRED
            .iter()
            .find_map(|controller| self.v1(controller))
            .or_else(|| self.directories.first().map(|directory| directory.path.as_path()))
    }

    /// Every process in the cgroup and below it, by its id in the caller's pid namespace; none when it is gone.
    ///
    /// On a hybrid machine the v2 directory is asked, too: clone3 puts a process there before it joins the others.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let mut found = Vec::new();
        if let Some(path) = self.main_directory() {
            collect(path, &mut found)?;
        }
        if let Some(path) = self.unified().filter(|_| !self.is_v2()) {
            collect(path, &mut found)?;
            found.sort_unstable();
            found.dedup();
        }
        Ok(found)
    }
}

pub(crate) fn collect(path: &Path, found: &mut Vec<i32>) -> Result<(), CgroupError> {
    let file = path.join("cgroup.procs");
    match fs::read_to_string(&file) {
        Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid != 0)),
        Err(error) if is_gone(&error) => return Ok(()),
        Err(source) => return Err(CgroupError::Read { path: file, source }),
    }
    for child in children(path)? {
        collect(&child, found)?;
    }
    Ok(())
}

/// `ENODEV` is what an open directory of a removed cgroup answers; `EOPNOTSUPP` a threaded one.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    const ENODEV: i32 = 19;
    const EOPNOTSUPP: i32 = 95;
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(ENODEV | EOPNOTSUPP))
}

fn children(path: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(source) => return Err(CgroupError::Read { path: path.to_owned(), source }),
    };
    let directories = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}
