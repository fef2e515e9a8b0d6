//! The cgroup hierarchies of the host: v1, v2 or both.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{mounts, send_signal, wait::poll};

/// How long the kernel may take to let go of an emptied cgroup.
const REMOVE_DEADLINE: Duration = Duration::from_secs(20);

/// Where each hierarchy is mounted.
#[must_use]
pub fn hierarchies() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mounts()
        .into_iter()
        .filter(|mount| mount.fstype == "cgroup" || mount.fstype == "cgroup2")
        .map(|mount| mount.target)
        .filter(|target| target.starts_with("/sys/fs/cgroup"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Every cgroup whose path below its hierarchy contains `mark`; parents before children.
#[must_use]
pub fn marked(mark: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        walk(&hierarchy, &mut |directory| {
            let below = directory.strip_prefix(&hierarchy).expect("it was found below");
            if below.to_string_lossy().contains(mark) {
                found.push(directory.to_owned());
            }
        });
    }
    found
}

/// Kills what runs in cgroups that carry `mark` and removes them; those that stay are returned.
#[must_use]
pub fn remove_marked(mark: &str) -> Vec<PathBuf> {
    for directory in marked(mark) {
        // A frozen process does not die (v1's freezer holds back even SIGKILL).
        let _ = fs::write(directory.join("freezer.state"), "THAWED");
        let _ = fs::write(directory.join("cgroup.freeze"), "0");
        for pid in pids(&directory) {
            let _ = send_signal(pid, "KILL");
        }
    }
    let _ = poll(REMOVE_DEADLINE, || {
        for directory in marked(mark).iter().rev() {
            let _ = fs::remove_dir(directory);
        }
        marked(mark).is_empty().then_some(())
    });
    marked(mark)
}

/// Makes the cgroup `name` (a path below the root) in every hierarchy.
///
/// # Panics
/// When a hierarchy does not take it.
pub fn make_everywhere(name: &str) {
    for hierarchy in hierarchies() {
        let directory = hierarchy.join(name);
        fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("make {}: {error}", directory.display()));
    }
}

/// The processes in the cgroup `directory` itself.
#[must_use]
pub fn pids(directory: &Path) -> Vec<u32> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path());
            walk(&entry.path(), visit);
        }
    }
}
