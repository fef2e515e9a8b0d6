//! Who runs this, and what that user may do.

use crate::{Finding, Severity, host::Host};

/// The capabilities the daemons cannot do without: bit and name (capabilities(7)).
const NEEDED: [(u32, &str); 9] = [
    (0, "chown"),
    (1, "dac_override"),
    (3, "fowner"),
    (5, "kill"),
    (6, "setgid"),
    (7, "setuid"),
    (18, "sys_chroot"),
    (21, "sys_admin"),
    (27, "mknod"),
];

pub(crate) fn check(host: &Host) -> Vec<Finding> {
    vec![root(host), capabilities(host)]
}

fn root(host: &Host) -> Finding {
    const TITLE: &str = "root";
    let uid = field(host, "Uid").and_then(|ids| ids.split_whitespace().nth(1)).unwrap_or("unknown");
    if uid == "0" {
        return Finding::ok("root", TITLE, "this is root");
    }
    let detail = format!("this is uid {uid}: namespaces, cgroups and mounts need root");
    Finding::bad("root", Severity::Error, TITLE, detail, "run the daemons as root: sudo cortend")
}

fn capabilities(host: &Host) -> Finding {
    const TITLE: &str = "capabilities";
    let bits = field(host, "CapEff").and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    let missing: Vec<&str> = NEEDED.iter().filter(|(bit, _)| bits >> bit & 1 == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Finding::ok("capabilities", TITLE, "all that are needed");
    }
    let detail = format!("missing: {}", missing.join(" "));
    let remedy = "run as root outside a container, or in one with --privileged";
    Finding::bad("capabilities", Severity::Error, TITLE, detail, remedy)
}

fn field<'a>(host: &'a Host, name: &str) -> Option<&'a str> {
    host.status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_the_effective_uid_and_capabilities_count() {
        let of = |uid: &str, capabilities: &str| Host {
            status: format!("Name:\tx\nUid:\t1000\t{uid}\t1000\t1000\nCapEff:\t{capabilities}\n"),
            ..Host::default()
        };
        let severities = |host: Host| check(&host).iter().map(|finding| finding.severity).collect::<Vec<_>>();
        assert_eq!(severities(of("0", "000001ffffffffff")), [Severity::Ok, Severity::Ok]);
        assert_eq!(severities(of("1000", "0")), [Severity::Error, Severity::Error]);
        let docker = check(&of("0", "00000000a80425fb"));
        assert_eq!(docker[1].detail, "missing: sys_admin");
    }
}
