//! `ps`: the processes of a container.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;

use corten_cgroups::CgroupError;
use corten_runtime_api::arguments::{ListFormat, Ps};

use crate::container::Container;
use crate::state_dir::StateError;

/// Why processes could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum PsError {
    /// The container could not be found.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
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
    let mut pids = container.record.cgroup().processes()?;
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
