//! Why the kernel makes no namespace, in words: its error numbers do not tell which switch forbids it.

use std::fs;
use std::io;

use corten_runtime_api::texts;
use corten_sys::clone::Namespaces;

use super::spawn::InitError;

/// How many of a kind a user may have (namespaces(7), /proc/sys/user).
const LIMITS: [(Namespaces, &str); 8] = [
    (Namespaces::USER, "user.max_user_namespaces"),
    (Namespaces::PID, "user.max_pid_namespaces"),
    (Namespaces::MOUNT, "user.max_mnt_namespaces"),
    (Namespaces::NETWORK, "user.max_net_namespaces"),
    (Namespaces::IPC, "user.max_ipc_namespaces"),
    (Namespaces::UTS, "user.max_uts_namespaces"),
    (Namespaces::CGROUP, "user.max_cgroup_namespaces"),
    (Namespaces::TIME, "user.max_time_namespaces"),
];

/// Switches of distributions against user namespaces of unprivileged users, with the value that forbids them.
const SWITCHES: [(&str, &str); 2] =
    [("kernel.unprivileged_userns_clone", "0"), ("kernel.apparmor_restrict_unprivileged_userns", "1")];

/// The sentence about a clone into `kinds` that the kernel refused with `why`.
pub(super) fn refused(kinds: Namespaces, why: io::Error) -> InitError {
    let reason = reason(kinds, &why, |name| {
        let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
        Some(text.trim().to_owned())
    });
    InitError::Namespaces { why, reason }
}

fn reason(kinds: Namespaces, why: &io::Error, sysctl: impl Fn(&str) -> Option<String>) -> String {
    const ENOSPC: i32 = 28;
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    match why.raw_os_error() {
        Some(ENOSPC) => {
            let is_none = |name: &str| sysctl(name).is_some_and(|value| value == "0");
            let none = LIMITS.iter().find(|(kind, name)| kinds.contains(*kind) && is_none(name));
            match none {
                Some((_, name)) => format!(" ({name} is 0 on this host)"),
                None => " (a limit of user.max_*_namespaces is reached)".to_owned(),
            }
        }
        Some(EPERM) if !kinds.contains(Namespaces::USER) => {
            format!(" ({})", texts::ROOTLESS_WITHOUT_USERS)
        }
        Some(EPERM) => {
            let set = SWITCHES.iter().find(|(name, off)| sysctl(name).is_some_and(|value| value == *off));
            match set {
                Some((name, value)) => format!(" ({name} is {value} on this host)"),
                None => " (user namespaces are not allowed here)".to_owned(),
            }
        }
        // Of clone3 only this can be it (cgroups(7), "cgroups v2 delegation").
        Some(EACCES) => {
            " (the container's cgroup, or the one above both it and this process, belongs to another user)".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_named() {
        let user = Namespaces::USER.with(Namespaces::PID);
        for (kinds, errno, set, expected) in [
            (user, 28, ("user.max_user_namespaces", "0"), " (user.max_user_namespaces is 0 on this host)"),
            (user, 28, ("user.max_pid_namespaces", "0"), " (user.max_pid_namespaces is 0 on this host)"),
            (user, 28, ("user.max_net_namespaces", "0"), " (a limit of user.max_*_namespaces is reached)"),
            (
                user,
                1,
                ("kernel.unprivileged_userns_clone", "0"),
                " (kernel.unprivileged_userns_clone is 0 on this host)",
            ),
            (user, 1, ("kernel.unprivileged_userns_clone", "1"), " (user namespaces are not allowed here)"),
            (Namespaces::PID, 1, ("", ""), " (rootless container requires user namespaces)"),
            (user, 12, ("", ""), ""),
        ] {
            let sysctl = |name: &str| (name == set.0).then(|| set.1.to_owned());
            assert_eq!(reason(kinds, &io::Error::from_raw_os_error(errno), sysctl), expected);
        }
    }
}
