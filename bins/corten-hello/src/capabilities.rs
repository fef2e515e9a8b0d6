//! Names of the capabilities in a mask (capabilities(7)).

/// In the order of their bits.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The capabilities in `mask` (hexadecimal, as in /proc/self/status) in words.
pub fn describe(mask: &str) -> String {
    let Ok(bits) = u64::from_str_radix(mask, 16) else { return format!("unreadable: {mask}") };
    let all = bits.count_ones();
    if all == 0 {
        return "none".to_owned();
    }
    if all as usize >= NAMES.len() {
        return format!("all {all}: nothing is taken away");
    }
    let named = NAMES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name);
    let unnamed = (NAMES.len()..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| format!("bit {bit}"));
    let list: Vec<String> = named.map(str::to_owned).chain(unnamed).collect();
    format!("{all} of {}: {}", NAMES.len(), list.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_named() {
        let docker = "14 of 41: chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw \
                      sys_chroot mknod audit_write setfcap";
        for (mask, expected) in [
            ("0000000000000000", "none"),
            ("00000000a80425fb", docker),
            ("000001ffffffffff", "all 41: nothing is taken away"),
            ("8000000000000001", "2 of 41: chown bit 63"),
            ("x", "unreadable: x"),
        ] {
            assert_eq!(describe(mask), expected, "{mask}");
        }
    }
}
