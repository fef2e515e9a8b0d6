//! `ps`: the processes of a container.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use corten_cgroups::CgroupError;
use corten_runtime_api::arguments::{ListFormat, Ps};

use crate::container::Container;
use crate::state_dir::{Record, StateError};

/// Why processes could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum PsError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Nothing tells its processes from others.
    #[error(
        "container {0} has neither a cgroup nor a pid namespace of its own: its processes cannot be told from others"
    )]
    Nowhere(String),
    /// The host's processes could not be read.
    #[error("read /proc")]
    Proc(#[source] io::Error),
    /// ps(1) could not be run.
    #[error("run ps")]
    Run(#[source] io::Error),
    /// ps(1) failed.
    #[error("ps: {0}")]
    Failed(String),
    /// Its output has no column of process ids.
    #[error("couldn't find PID field in ps output")]
    NoPidColumn,
}

/// What is printed.
///
/// # Errors
/// [`PsError`].
pub fn ps(root: &Path, arguments: &Ps) -> Result<String, PsError> {
    let container = Container::load(root, &arguments.id)?;
    let cgroup = container.record.cgroup();
    let mut pids = match container.init() {
        Some(_) if cgroup.directories().is_empty() => in_pid_namespace(&container.record)?,
        _ => cgroup.processes()?,
    };
    pids.sort_unstable();
    if arguments.format == ListFormat::Json {
        let list: Vec<String> = pids.iter().map(i32::to_string).collect();
        return Ok(format!("[{}]\n", list.join(",")));
    }
    let default = [OsString::from("-ef")];
    let options = if arguments.options.is_empty() { &default[..] } else { &arguments.options[..] };
    let output = Command::new("ps").args(options).output().map_err(PsError::Run)?;
    if !output.status.success() {
        return Err(PsError::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    lines_of(&String::from_utf8_lossy(&output.stdout), &pids).ok_or(PsError::NoPidColumn)
}

/// Of a container without a cgroup: the processes in its pid namespace.
fn in_pid_namespace(record: &Record) -> Result<Vec<i32>, PsError> {
    if !record.has_own_pids {
        return Err(PsError::Nowhere(record.id.clone()));
    }
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let own = namespace(record.init_process_pid).map_err(PsError::Proc)?;
    let entries = fs::read_dir("/proc").map_err(PsError::Proc)?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // A process of somebody else cannot be asked, and is not in it.
    Ok(pids.filter(|pid| namespace(*pid).is_ok_and(|found| found == own)).collect())
}

/// The heading and the lines whose column PID is one of `pids`.
fn lines_of(table: &str, pids: &[i32]) -> Option<String> {
    let mut lines = table.lines();
    let heading = lines.next()?;
    let column = heading.split_whitespace().position(|word| word == "PID")?;
    let is_ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let ours = std::iter::once(heading).chain(lines.filter(is_ours));
    Some(ours.map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines_are_kept() {
        let table = "UID   PID  PPID CMD\nroot    1     0 init\nroot   42     1 sleep 100\n";
        let expected = "UID   PID  PPID CMD\nroot   42     1 sleep 100\n";
        assert_eq!(lines_of(table, &[42]).as_deref(), Some(expected));
        assert_eq!(lines_of("USER\nroot\n", &[1]), None);
    }
}
