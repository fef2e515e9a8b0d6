//! uid_map and gid_map of the child's new user namespace (user_namespaces(7)).
//!
//! The kernel takes any map from a privileged writer, and from another one only the single line that maps the writer's
//! own id. More is the business of newuidmap and newgidmap, which have the privilege and ask /etc/subuid and
//! /etc/subgid.

use std::env;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use corten_sys::{credentials, files};

use super::sentence::errno_text;
use super::spawn::InitError;

/// One of the two maps.
struct Map<'a> {
    file: &'static str,
    lines: &'a str,
    own_id: u32,
    tool: &'static str,
    /// Where the administrator says which ids a user may map.
    ranges: &'static str,
}

/// Writes both maps of the process `pid`.
pub(super) fn write(pid: i32, uid_map: &str, gid_map: &str) -> Result<(), InitError> {
    let users = Map {
        file: "uid_map",
        lines: uid_map,
        own_id: credentials::effective_user(),
        tool: "newuidmap",
        ranges: "/etc/subuid",
    };
    let groups = Map {
        file: "gid_map",
        lines: gid_map,
        own_id: credentials::effective_group(),
        tool: "newgidmap",
        ranges: "/etc/subgid",
    };
    one(pid, &users)?;
    one(pid, &groups)
}

fn one(pid: i32, map: &Map<'_>) -> Result<(), InitError> {
    match write_file(pid, map.file, map.lines) {
        Err(error) if error.raw_os_error() == Some(EINVAL) && map.lines.len() >= PAGE_BYTES => {
            let why = format!("{} bytes, and the kernel takes less than a page of {PAGE_BYTES}", map.lines.len());
            return Err(refused(map, &why));
        }
        Err(error) if error.raw_os_error() == Some(EPERM) => {}
        result => return result.map_err(|why| refused(map, &errno_text(&why))),
    }
    if !is_own_only(map.lines, map.own_id) {
        return by_tool(pid, map);
    }
    // Without privilege the group map is taken only once groups can no longer be dropped.
    write_file(pid, "setgroups", "deny").map_err(|why| refused(map, &errno_text(&why)))?;
    write_file(pid, map.file, map.lines).map_err(|why| refused(map, &errno_text(&why)))
}

const EPERM: i32 = 1;
const EINVAL: i32 = 22;
/// Of most machines; where pages are larger the kernel takes more.
const PAGE_BYTES: usize = 4096;

fn write_file(pid: i32, name: &str, text: &str) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/{name}"))?;
    files::write(file.as_fd(), text.as_bytes())
}

fn refused(map: &Map<'_>, why: &str) -> InitError {
    let lines = map.lines.trim_end().replace('\n', ", ");
    let shown = match lines.char_indices().nth(200) {
        Some((end, _)) => format!("{} ...", &lines[..end]),
        None => lines,
    };
    InitError::Child(format!("write {} {shown:?}: {why}", map.file))
}

/// Whether nothing but `id` is mapped.
fn is_own_only(lines: &str, id: u32) -> bool {
    let mut numbers = lines.split_whitespace().skip(1);
    numbers.next().is_some_and(|host| host == id.to_string()) && numbers.eq(["1"])
}

fn by_tool(pid: i32, map: &Map<'_>) -> Result<(), InitError> {
    let tool = map.tool;
    let why = |what: String| refused(map, &format!("operation not permitted, and {what}"));
    let program = in_path(tool).ok_or_else(|| why(format!("{tool} (package uidmap) is not in PATH")))?;
    let mut command = Command::new(&program);
    command.arg(pid.to_string()).args(map.lines.split_whitespace()).stdin(Stdio::null());
    let ran = command.output().map_err(|error| why(format!("{}: {}", program.display(), errno_text(&error))))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    let said = said.lines().next().map(str::trim).filter(|said| !said.is_empty());
    let said = said.map_or_else(|| format!("{tool} failed with {}", ran.status), str::to_owned);
    Err(why(format!("{said} (user {} needs the ids in {})", credentials::effective_user(), map.ranges)))
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_id_needs_no_privilege() {
        assert!(is_own_only("0 1000 1\n", 1000));
        for lines in ["0 1000 2\n", "0 1001 1\n", "0 1000 1\n1 100000 65536\n", ""] {
            assert!(!is_own_only(lines, 1000), "{lines:?}");
        }
    }
}
