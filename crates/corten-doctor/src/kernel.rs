//! The kernel: its version, the system calls and file systems containers are made with.

use corten_sys::probe::{SystemCall, is_available};

use crate::{Finding, Severity, host::Host};

/// The oldest kernel everything was written for: Debian 11's backports, RHEL 9.
const WANTED: (u32, u32) = (5, 14);
/// The namespaces every container may ask for.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
const NEWER_KERNEL: &str = "boot a kernel of 5.14 or newer (Debian: apt-get install linux-image-amd64, then reboot)";

pub(crate) fn check(host: &Host) -> Vec<Finding> {
    let missing = SystemCall::ALL.into_iter().filter(|call| !is_available(*call)).map(SystemCall::name).collect();
    vec![version(host), calls(missing), namespaces(host), overlayfs(host), security(host)]
}

fn version(host: &Host) -> Finding {
    const TITLE: &str = "kernel version";
    let mut numbers = host.release.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= WANTED {
        return Finding::ok("kernel-version", TITLE, &host.release);
    }
    let detail = format!("{} is older than {}.{}", host.release, WANTED.0, WANTED.1);
    Finding::bad("kernel-version", Severity::Warning, TITLE, detail, NEWER_KERNEL)
}

fn calls(missing: Vec<&str>) -> Finding {
    const TITLE: &str = "system calls";
    if missing.is_empty() {
        let all = SystemCall::ALL.map(SystemCall::name).join(" ");
        return Finding::ok("kernel-calls", TITLE, all);
    }
    let detail = format!("not offered: {} (an old kernel, or a sandbox that hides them)", missing.join(" "));
    Finding::bad("kernel-calls", Severity::Error, TITLE, detail, NEWER_KERNEL)
}

fn namespaces(host: &Host) -> Finding {
    const TITLE: &str = "namespaces";
    let has = |name: &&str| host.namespaces.iter().any(|own| own == *name);
    let missing: Vec<&str> = NAMESPACES.into_iter().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Finding::ok("kernel-namespaces", TITLE, NAMESPACES.join(" "));
    }
    let detail = format!("the kernel was built without: {}", missing.join(" "));
    let remedy = "boot a kernel with CONFIG_NAMESPACES and its parts (any distribution's)";
    Finding::bad("kernel-namespaces", Severity::Error, TITLE, detail, remedy)
}

fn overlayfs(host: &Host) -> Finding {
    const TITLE: &str = "overlayfs";
    if host.filesystems.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") {
        return Finding::ok("kernel-overlayfs", TITLE, "available");
    }
    let detail = "the kernel does not know the file system overlay (its module may not be loaded)";
    Finding::bad("kernel-overlayfs", Severity::Error, TITLE, detail, "modprobe overlay")
}

fn security(host: &Host) -> Finding {
    const TITLE: &str = "security modules";
    if host.lsm.split(',').any(|module| module == "selinux") {
        let detail = "SELinux is on: containers get no label of their own yet";
        let remedy = "setenforce 0, or run without Corten's volumes until labels are supported";
        return Finding::bad("security-modules", Severity::Warning, TITLE, detail, remedy);
    }
    let modules = if host.lsm.is_empty() { "none shown" } else { &host.lsm };
    Finding::ok("security-modules", TITLE, modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (release, expected) in [
            ("6.18.0", Severity::Ok),
            ("5.14.0-284.el9.x86_64", Severity::Ok),
            ("5.9.1", Severity::Warning),
            ("4.19.0-6-amd64", Severity::Warning),
            ("", Severity::Warning),
        ] {
            let host = Host { release: release.to_owned(), ..Host::default() };
            assert_eq!(version(&host).severity, expected, "{release}");
        }
    }

    #[test]
    fn a_missing_overlayfs_is_an_error_with_a_command() {
        let with = Host { filesystems: "nodev\tproc\nnodev\toverlay\n\text4\n".to_owned(), ..Host::default() };
        assert_eq!(overlayfs(&with).severity, Severity::Ok);
        let without = overlayfs(&Host::default());
        assert_eq!((without.severity, without.remedy.as_str()), (Severity::Error, "modprobe overlay"));
    }

    #[test]
    fn missing_calls_are_named() {
        assert_eq!(calls(Vec::new()).severity, Severity::Ok);
        assert!(calls(vec!["clone3"]).detail.contains("clone3"));
    }
}
