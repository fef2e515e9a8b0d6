//! The processes of the machine, as /proc shows them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One process, at the moment it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The kernel's short name for it.
    pub name: String,
    /// `R`, `S`, `D`, `Z`, …
    pub state: char,
    /// Whether it has begun to end (`PF_EXITING`), which nothing holds up: it has left its cgroups, and is named by them
    /// still.
    pub is_ending: bool,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Every process.
///
/// # Panics
/// When /proc is not mounted.
#[must_use]
pub fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(process).collect()
}

/// In include/linux/sched.h.
const PF_EXITING: u64 = 4;

/// The process `pid`, while it exists.
#[must_use]
pub fn process(pid: u32) -> Option<Process> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let arguments = fs::read(directory.join("cmdline")).ok()?;
    // The name stands in brackets and may hold anything, brackets too (proc(5), "stat").
    let (before, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let (state, parent) = (fields.next()?.chars().next()?, fields.next()?.parse().ok()?);
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    Some(Process {
        pid,
        name: before.split_once('(')?.1.to_owned(),
        state,
        is_ending: flags & PF_EXITING != 0,
        parent,
        arguments: arguments
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect(),
    })
}

/// The parent of `pid`, while it exists.
#[must_use]
pub fn parent_of(pid: u32) -> Option<u32> {
    process(pid).map(|process| process.parent)
}

/// The children of `pid`.
#[must_use]
pub fn child_processes(pid: u32) -> Vec<Process> {
    processes().into_iter().filter(|process| process.parent == pid).collect()
}

/// The processes that carry `mark` in their arguments, environment, cgroup, or the paths they stand on;
/// without this one and without those that have ended, or are about to, but were not waited for.
pub(crate) fn marked(mark: &str) -> Vec<Process> {
    let own = std::process::id();
    processes()
        .into_iter()
        .filter(|process| process.pid != own && !process.is_ending && carries(process.pid, mark))
        .collect()
}

fn carries(pid: u32, mark: &str) -> bool {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let in_file = |name: &str| fs::read(directory.join(name)).is_ok_and(|content| contains(&content, mark));
    let in_link = |name: &str| fs::read_link(directory.join(name)).is_ok_and(|target| path_contains(&target, mark));
    ["cmdline", "environ", "cgroup"].into_iter().any(in_file) || ["exe", "cwd", "root"].into_iter().any(in_link)
}

fn contains(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

fn path_contains(path: &Path, mark: &str) -> bool {
    contains(path.as_os_str().as_encoded_bytes(), mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_found_with_its_parent() {
        let own = process(std::process::id()).expect("it runs");
        assert!(
            parent_of(own.pid).is_some_and(|parent| child_processes(parent).iter().any(|child| child.pid == own.pid))
        );
        assert!(!own.is_ending);
    }

    #[test]
    fn one_that_was_not_waited_for_is_ending() {
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let found = || process(child.id()).expect("it was not waited for");
        crate::wait_for("it to end", std::time::Duration::from_secs(20), || found().state == 'Z');
        assert!(found().is_ending);
        assert!(child.wait().is_ok_and(|status| status.success()));
    }
}
