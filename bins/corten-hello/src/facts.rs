//! What isolates this process, fact by fact.

use std::{fs, path::Path};

use crate::{capabilities, limits};

/// The namespaces, in the order namespaces(7) lists them.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Every fact with its name, in the order of printing.
pub fn all(proc: &Path) -> Vec<(&'static str, String)> {
    let status = read(proc, "self/status");
    let status = |name: &str| field(&status, name).unwrap_or("not shown by this kernel").to_owned();
    vec![
        ("pid", std::process::id().to_string()),
        ("processes", format!("{} visible", processes(proc))),
        ("user", format!("uid {}, gid {}", first(&status("Uid")), first(&status("Gid")))),
        ("user map", user_map(&read(proc, "self/uid_map"))),
        ("hostname", read(proc, "sys/kernel/hostname").trim().to_owned()),
        ("network", interfaces(&read(proc, "self/net/dev"))),
        ("root", root(&read(proc, "self/mountinfo"))),
        ("cgroup", limits::describe(proc)),
        ("capabilities", capabilities::describe(&status("CapEff"))),
        ("bounding set", capabilities::describe(&status("CapBnd"))),
        ("new privileges", if status("NoNewPrivs") == "1" { "refused" } else { "possible" }.to_owned()),
        ("seccomp", seccomp(&status("Seccomp"), &status("Seccomp_filters"))),
        ("namespaces", namespaces(proc)),
    ]
}

fn read(proc: &Path, name: &str) -> String {
    fs::read_to_string(proc.join(name)).unwrap_or_default()
}

/// The value of the line `name:` in the status file.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

fn first(values: &str) -> &str {
    values.split_whitespace().next().unwrap_or(values)
}

fn processes(proc: &Path) -> usize {
    let Ok(entries) = fs::read_dir(proc) else { return 0 };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .count()
}

/// The uid map in words: each range inside, outside, count.
fn user_map(map: &str) -> String {
    let ranges: Vec<String> = map
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (inside, outside, count) = (fields.next()?, fields.next()?, fields.next()?);
            Some(match (inside, outside, count) {
                ("0", "0", "4294967295") => "none: uid 0 here is uid 0 on the host".to_owned(),
                _ => format!("{inside} is {outside} outside, {count} ids"),
            })
        })
        .collect();
    if ranges.is_empty() { "empty".to_owned() } else { ranges.join("; ") }
}

fn interfaces(dev: &str) -> String {
    let names: Vec<&str> = dev.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    if names.is_empty() { "no interface".to_owned() } else { names.join(" ") }
}

/// The root mount: the last one on `/` is the one that is seen.
fn root(mountinfo: &str) -> String {
    let described = mountinfo.lines().rev().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let access = if left.get(5)?.split(',').any(|option| option == "ro") { "read-only" } else { "writable" };
        (*left.get(4)? == "/").then(|| format!("{}, {access}", right.split(' ').next().unwrap_or("unknown")))
    });
    described.unwrap_or_else(|| "unknown".to_owned())
}

fn seccomp(mode: &str, filters: &str) -> String {
    match mode {
        "0" => "off".to_owned(),
        "1" => "strict".to_owned(),
        "2" => format!("filtering, {filters} loaded"),
        other => other.to_owned(),
    }
}

fn namespaces(proc: &Path) -> String {
    let numbered = NAMESPACES.iter().filter_map(|name| {
        let target = fs::read_link(proc.join("self/ns").join(name)).ok()?;
        let target = target.to_string_lossy().into_owned();
        let number = target.split_once('[')?.1.trim_end_matches(']').to_owned();
        Some(format!("{name} {number}"))
    });
    numbered.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_every_fact() {
        for (name, value) in all(Path::new("/proc")) {
            assert!(!value.is_empty(), "{name}");
        }
    }

    #[test]
    fn files_of_proc_are_put_in_words() {
        assert_eq!(field("Name:\tx\nCapEff:\t00ff\n", "CapEff"), Some("00ff"));
        assert_eq!(user_map("         0          0 4294967295\n"), "none: uid 0 here is uid 0 on the host");
        assert_eq!(user_map("0 100000 65536\n"), "0 is 100000 outside, 65536 ids");
        let dev = "Inter-|   Receive\n face |bytes\n    lo: 0 0\n  eth0: 1 2\n";
        assert_eq!(interfaces(dev), "lo eth0");
        let mountinfo = "1 0 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 / / ro,noatime - overlay overlay rw\n3 2 0:3 / /proc rw - proc proc rw";
        assert_eq!(root(mountinfo), "overlay, read-only");
        assert_eq!(seccomp("2", "1"), "filtering, 1 loaded");
    }
}
