//! Control groups: which version, which controllers, whether they can be written.

use crate::{Finding, Severity, host::Host};

/// What limits of containers need, with what is lost without it.
const CONTROLLERS: [(&str, &str, Severity, &str); 6] = [
    ("memory", "cgroup-memory", Severity::Warning, "memory limits and usage"),
    ("cpu", "cgroup-cpu", Severity::Warning, "cpu shares and quotas"),
    ("pids", "cgroup-pids", Severity::Warning, "limits of the number of processes"),
    ("cpuset", "cgroup-cpuset", Severity::Note, "--cpuset-cpus"),
    ("io", "cgroup-io", Severity::Note, "block input/output weights and statistics"),
    ("devices", "cgroup-devices", Severity::Warning, "the list of allowed devices"),
];

/// How the host's cgroups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One v2 hierarchy at `/sys/fs/cgroup`.
    V2,
    /// v1 controllers, with a v2 hierarchy beside them.
    Hybrid,
    /// v1 controllers only.
    V1,
    /// Nothing.
    None,
}

pub(crate) fn check(host: &Host) -> Vec<Finding> {
    let mode = mode(host);
    let mut findings = vec![version(mode)];
    if mode != Mode::None {
        findings.push(writable(host));
        findings.extend(CONTROLLERS.iter().map(|row| controller(host, mode, row)));
    }
    findings
}

fn mode(host: &Host) -> Mode {
    let mounts: Vec<_> = host.mounts().filter(|(target, ..)| target.starts_with("/sys/fs/cgroup")).collect();
    let v2_root = mounts.iter().any(|(target, fstype, ..)| *target == "/sys/fs/cgroup" && *fstype == "cgroup2");
    let v2 = mounts.iter().any(|(_, fstype, ..)| *fstype == "cgroup2");
    let v1 = mounts.iter().any(|(_, fstype, ..)| *fstype == "cgroup");
    match (v2_root, v2, v1) {
        (true, ..) => Mode::V2,
        (false, true, true) => Mode::Hybrid,
        (false, false, true) => Mode::V1,
        (false, ..) => Mode::None,
    }
}

fn version(mode: Mode) -> Finding {
    const TITLE: &str = "cgroup version";
    match mode {
        Mode::V2 => Finding::ok("cgroup-version", TITLE, "v2"),
        Mode::Hybrid => Finding::ok("cgroup-version", TITLE, "hybrid: v1 controllers, v2 beside them"),
        Mode::V1 => Finding::ok("cgroup-version", TITLE, "v1"),
        Mode::None => Finding::bad(
            "cgroup-version",
            Severity::Error,
            TITLE,
            "no cgroup hierarchy is mounted at /sys/fs/cgroup",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

fn writable(host: &Host) -> Finding {
    const TITLE: &str = "cgroup access";
    let read_only = host.mounts().find(|(target, fstype, options, _)| {
        target.starts_with("/sys/fs/cgroup")
            && fstype.starts_with("cgroup")
            && options.split(',').any(|option| option == "ro")
    });
    let Some((target, ..)) = read_only else { return Finding::ok("cgroup-access", TITLE, "writable") };
    let detail = format!("{target} is mounted read-only, as inside a container");
    Finding::bad("cgroup-access", Severity::Error, TITLE, detail, format!("mount -o remount,rw {target}"))
}

fn controller(host: &Host, mode: Mode, row: &(&'static str, &'static str, Severity, &str)) -> Finding {
    let (name, id, severity, lost) = *row;
    let title = format!("cgroup controller {name}");
    let present = match (mode, name) {
        // v2 has no such controller: a BPF program on the cgroup does its work.
        (Mode::V2, "devices") => return Finding::ok(id, &title, "as a BPF program (v2)"),
        (Mode::V2, _) => host.v2_controllers.split(' ').any(|controller| controller == name),
        (_, _) => {
            let v1_name = if name == "io" { "blkio" } else { name };
            host.mounts()
                .any(|(_, fstype, _, options)| fstype == "cgroup" && options.split(',').any(|one| one == v1_name))
        }
    };
    if present {
        return Finding::ok(id, &title, "available");
    }
    let disabled = host.cgroups.lines().any(|line| line.starts_with(&format!("{name}\t")) && line.ends_with("\t0"));
    let remedy = match (name, disabled) {
        ("memory", true) => "add cgroup_enable=memory to the kernel's command line and reboot".to_owned(),
        _ if mode == Mode::V2 => format!("echo +{name} > /sys/fs/cgroup/cgroup.subtree_control"),
        _ => format!("mkdir -p /sys/fs/cgroup/{name} && mount -t cgroup -o {name} none /sys/fs/cgroup/{name}"),
    };
    Finding::bad(id, severity, &title, format!("not available: no {lost}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MEMORY: &str = "30 29 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
    const UNIFIED: &str = "31 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw";
    const V2: &str = "31 29 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw";

    fn host(mounts: &[&str]) -> Host {
        Host { mountinfo: mounts.join("\n"), v2_controllers: "cpu io memory".to_owned(), ..Host::default() }
    }

    #[test]
    fn the_mode_is_told_from_the_mounts() {
        assert_eq!(mode(&host(&[V2])), Mode::V2);
        assert_eq!(mode(&host(&[V1_MEMORY, UNIFIED])), Mode::Hybrid);
        assert_eq!(mode(&host(&[V1_MEMORY])), Mode::V1);
        assert_eq!(mode(&host(&[])), Mode::None);
    }

    #[test]
    fn no_cgroup_at_all_is_one_error() {
        let findings = check(&host(&[]));
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Error));
    }

    #[test]
    fn a_missing_controller_is_named_with_its_remedy() {
        let v2 = check(&host(&[V2]));
        let pids = v2.iter().find(|finding| finding.id == "cgroup-pids").unwrap();
        assert_eq!(pids.remedy, "echo +pids > /sys/fs/cgroup/cgroup.subtree_control");
        assert!(v2.iter().any(|finding| finding.id == "cgroup-memory" && finding.severity == Severity::Ok));
        let mut off = host(&[UNIFIED, "30 29 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct"]);
        off.cgroups = "memory\t0\t1\t0".to_owned();
        let off = check(&off);
        let memory = off.iter().find(|finding| finding.id == "cgroup-memory").unwrap();
        assert!(memory.remedy.contains("cgroup_enable=memory"));
        assert!(off.iter().any(|finding| finding.id == "cgroup-cpu" && finding.severity == Severity::Ok));
    }

    #[test]
    fn a_read_only_hierarchy_is_an_error() {
        let read_only = V1_MEMORY.replace(" rw - ", " ro,nosuid - ");
        assert_eq!(writable(&host(&[&read_only])).severity, Severity::Error);
        assert_eq!(writable(&host(&[V1_MEMORY])).severity, Severity::Ok);
    }
}
