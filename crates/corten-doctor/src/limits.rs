//! Limits of the machine that many containers run into.

use crate::{Finding, Severity, host::Host};

/// Each shim that follows a log or watches for out-of-memory takes one.
const LOW_INOTIFY: u64 = 256;
/// A daemon holds a few descriptors for each container.
const LOW_FILES: u64 = 4096;

pub(crate) fn check(host: &Host) -> Vec<Finding> {
    vec![inotify(host), open_files(host)]
}

fn inotify(host: &Host) -> Finding {
    const TITLE: &str = "inotify instances";
    let Ok(most) = host.inotify_instances.parse::<u64>() else {
        return Finding::ok("limit-inotify", TITLE, "not shown by this kernel");
    };
    if most >= LOW_INOTIFY {
        return Finding::ok("limit-inotify", TITLE, format!("{most} for each user"));
    }
    let detail = format!("{most} for each user: programs in many containers may run out of them");
    Finding::bad("limit-inotify", Severity::Note, TITLE, detail, "sysctl -w fs.inotify.max_user_instances=8192")
}

fn open_files(host: &Host) -> Finding {
    const TITLE: &str = "open files";
    let line = host.limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("unlimited");
    match hard.parse::<u64>() {
        Ok(most) if most < LOW_FILES => Finding::bad(
            "limit-files",
            Severity::Warning,
            TITLE,
            format!("a process may open {most} files"),
            "raise it for the daemons: LimitNOFILE=1048576 in their unit, or ulimit -Hn 1048576",
        ),
        _ => Finding::ok("limit-files", TITLE, format!("{hard} for each process")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_limits_are_found() {
        let host = |inotify: &str, files: &str| Host {
            inotify_instances: inotify.to_owned(),
            limits: format!(
                "Limit  Soft  Hard  Units\nMax open files            1024                 {files}              files"
            ),
            ..Host::default()
        };
        let severities = |host: Host| check(&host).iter().map(|finding| finding.severity).collect::<Vec<_>>();
        assert_eq!(severities(host("8192", "1048576")), [Severity::Ok, Severity::Ok]);
        assert_eq!(severities(host("128", "1024")), [Severity::Note, Severity::Warning]);
        assert_eq!(severities(Host::default()), [Severity::Ok, Severity::Ok]);
    }
}
