//! Which capabilities a container has.

use std::collections::BTreeSet;

use crate::errors::{EngineError, Result};

/// Every capability of Linux 5.9 and later (capability.h), by number.
pub const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless it asks otherwise; docker's fourteen.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The names as `inspect` shows them: `ALL`, `CAP_X`, sorted.
///
/// # Errors
/// 400 for a name that is no capability.
pub fn normalise(names: &[String]) -> Result<Vec<String>> {
    let mut normalised = BTreeSet::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match bare {
            "ALL" => normalised.insert("ALL".to_owned()),
            bare if ALL.contains(&bare) => normalised.insert(format!("CAP_{bare}")),
            _ => return Err(EngineError::invalid(format!("invalid capability: \"{name}\": unknown capability"))),
        };
    }
    Ok(normalised.into_iter().collect())
}

/// The capabilities after adding and dropping; `add` and `drop` are normalised. `ALL` on either
/// side starts from there, and the other side's single names still count.
pub fn effective(add: &[String], drop: &[String]) -> Vec<String> {
    let all = |names: &[String]| names.iter().any(|name| name == "ALL");
    let base: Vec<&str> = match (all(add), all(drop)) {
        (true, _) => ALL.to_vec(),
        (false, true) => Vec::new(),
        (false, false) => DEFAULT.to_vec(),
    };
    let mut set: Vec<String> = base.into_iter().map(|name| format!("CAP_{name}")).collect();
    set.retain(|name| !drop.contains(name));
    for name in add {
        if name != "ALL" && !set.contains(name) {
            set.push(name.clone());
        }
    }
    set
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str]) -> Vec<String> {
        let normal =
            |names: &[&str]| normalise(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        effective(&normal(add), &normal(drop))
    }

    #[test]
    fn names_are_read_in_any_form_and_all_counts_first() {
        assert_eq!(check(&[], &[]).len(), 14);
        assert_eq!(check(&[], &["all"]).len(), 0);
        assert_eq!(check(&["ALL"], &[]).len(), 41);
        assert_eq!(check(&["all"], &["sys_admin"]).len(), 40);
        assert_eq!(check(&["net_admin"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(check(&["CAP_NET_ADMIN"], &["cap_chown"]).len(), 14);
        let normal = normalise(&["sys_time".into(), "CAP_CHOWN".into(), "all".into(), "chown".into()]).unwrap();
        assert_eq!(normal, ["ALL", "CAP_CHOWN", "CAP_SYS_TIME"]);
        assert!(normalise(&["oops".into()]).is_err());
    }
}
