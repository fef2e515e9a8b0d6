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

/// Capabilities this process has itself, by number: more than these it can give to nobody.
///
/// # Errors
/// When the kernel does not say.
pub fn available() -> Result<u64> {
    let sets = corten_sys::credentials::capabilities();
    sets.map(|sets| sets.effective).map_err(|error| EngineError::internal("read own capabilities").caused_by(error))
}

/// The names of those in `available`, `CAP_X`.
pub fn names(available: u64) -> Vec<String> {
    let numbered = ALL.iter().enumerate().filter(|(number, _)| available >> number & 1 == 1);
    numbered.map(|(_, name)| format!("CAP_{name}")).collect()
}

/// The names as `inspect` shows them: `ALL`, `CAP_X`, sorted. `field` is where they stand.
///
/// # Errors
/// 400 for a name that is no capability, or one that is not `available`.
pub fn normalise(field: &str, names: &[String], available: u64) -> Result<Vec<String>> {
    let mut normalised = BTreeSet::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match bare {
            "ALL" => normalised.insert("ALL".to_owned()),
            bare => match ALL.iter().position(|known| *known == bare) {
                Some(number) if available >> number & 1 == 1 => normalised.insert(format!("CAP_{bare}")),
                known => {
                    let why = match known {
                        None => "unknown capability",
                        Some(_) => {
                            "capability not supported by your kernel or not available in the current environment"
                        }
                    };
                    return Err(EngineError::invalid(format!("invalid {field}: {why}: \"CAP_{bare}\"")));
                }
            },
        };
    }
    Ok(normalised.into_iter().collect())
}

/// The capabilities after adding and dropping; `add` and `drop` are normalised. `ALL` on either
/// side starts from there, and the other side's single names still count.
pub fn effective(add: &[String], drop: &[String], available: u64) -> Vec<String> {
    let all = |names: &[String]| names.iter().any(|name| name == "ALL");
    let mut set: Vec<String> = match (all(add), all(drop)) {
        (true, _) => self::names(available),
        (false, true) => Vec::new(),
        (false, false) => DEFAULT.iter().map(|name| format!("CAP_{name}")).collect(),
    };
    set.retain(|name| !drop.contains(name));
    for name in add {
        if name != "ALL" && !set.contains(name) {
            set.push(name.clone());
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: u64 = (1 << 41) - 1;

    fn check(add: &[&str], drop: &[&str]) -> Vec<String> {
        let normal = |names: &[&str]| {
            normalise("CapAdd", &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), EVERY).unwrap()
        };
        effective(&normal(add), &normal(drop), EVERY)
    }

    #[test]
    fn names_are_read_in_any_form_and_all_counts_first() {
        assert_eq!(check(&[], &[]).len(), 14);
        assert_eq!(check(&[], &["all"]).len(), 0);
        assert_eq!(check(&["ALL"], &[]).len(), 41);
        assert_eq!(check(&["all"], &["sys_admin"]).len(), 40);
        assert_eq!(check(&["net_admin"], &["ALL"]), ["CAP_NET_ADMIN"]);
        assert_eq!(check(&["CAP_NET_ADMIN"], &["cap_chown"]).len(), 14);
        let normal =
            normalise("CapAdd", &["sys_time".into(), "CAP_CHOWN".into(), "all".into(), "chown".into()], EVERY).unwrap();
        assert_eq!(normal, ["ALL", "CAP_CHOWN", "CAP_SYS_TIME"]);
        let refusal = |name: &str| normalise("CapDrop", &[name.to_owned()], 1).unwrap_err().to_string();
        assert_eq!(refusal("oops"), "invalid CapDrop: unknown capability: \"CAP_OOPS\"");
        assert_eq!(
            refusal("sys_resource"),
            "invalid CapDrop: capability not supported by your kernel or not available in the current environment: \"CAP_SYS_RESOURCE\""
        );
        assert_eq!(effective(&["ALL".into()], &[], 1), ["CAP_CHOWN"]);
    }
}
