//! Which cgroups a process is in: for a caller that did not make them.

use std::{fs, path::PathBuf};

use crate::{
    CgroupError,
    host::{Host, memberships},
    place::{Cgroup, Directory},
};

impl Host {
    /// The cgroups that the process `pid` is in. On a machine with v1 controllers those alone: in the
    /// v2 hierarchy beside them a container need not have a cgroup of its own.
    ///
    /// # Errors
    /// [`CgroupError::Detect`] when the process is gone.
    pub fn cgroup_of(&self, pid: u32) -> Result<Cgroup, CgroupError> {
        let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let text = fs::read_to_string(&path).map_err(|source| CgroupError::Detect { path, source })?;
        let directories = memberships(&text).filter_map(|(controllers, at)| self.directory(controllers, at));
        Ok(Cgroup { directories: directories.collect() })
    }

    fn directory(&self, controllers: &str, at: &str) -> Option<Directory> {
        let below = at.trim_start_matches('/');
        if controllers.is_empty() {
            let unified = self.unified.as_ref().filter(|_| self.is_v2())?;
            return Some(Directory { controllers: Vec::new(), path: unified.mount.join(below) });
        }
        let names: Vec<String> = controllers.split(',').map(str::to_owned).collect();
        let hierarchy = self.v1.iter().find(|hierarchy| hierarchy.controllers == names)?;
        Some(Directory { controllers: names, path: hierarchy.mount.join(below) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_a_cgroup_that_lists_it() {
        let host = Host::detect().expect("this process is in a cgroup");
        let cgroup = host.cgroup_of(std::process::id()).expect("this process exists");
        let directory = cgroup.main_directory().expect("a hierarchy is mounted");
        let text = fs::read_to_string(directory.join("cgroup.procs")).expect("it can be read");
        assert!(text.lines().any(|line| line == std::process::id().to_string()), "{}", directory.display());
    }
}
