//! docker's default seccomp profile, for runtimes that are driven without an engine.

use corten_seccomp::{Arch, table};
use serde_json::{Value, json};

/// The engine's table of docker's default profile.
const DEFAULT: &str = include_str!("../../crates/corten-seccomp/src/docker-default.txt");

/// docker's default profile for a container without more capabilities than its fourteen.
///
/// # Panics
/// Never, as long as the table is as the engine reads it.
#[must_use]
pub fn dockers_default() -> Value {
    // Those newer than the oldest libseccomp this is compared with would move where ENOSYS begins.
    let is_known = |name: &&str| {
        let number = table::find(name).and_then(|call| call.number(Arch::X86_64));
        !["uretprobe", "uprobe"].contains(name) && number.is_none_or(|number| number < 457)
    };
    let mut names: Vec<&str> = Vec::new();
    let mut is_given = false;
    for line in DEFAULT.lines() {
        match line.strip_prefix("  ") {
            Some(calls) if is_given => names.extend(calls.split(' ').filter(is_known)),
            Some(_) => {}
            None => {
                let words: Vec<&str> = line.trim_end_matches(':').split(' ').collect();
                is_given = matches!(words[0], "always" | "kernel")
                    || words[0] == "arch" && words.contains(&"amd64")
                    || words.contains(&"CAP_SYS_CHROOT");
            }
        }
    }
    let mut rules = vec![json!({"names": names, "action": "SCMP_ACT_ALLOW"})];
    let mut when = |name: &str, op: &str, value: u64| {
        rules.push(json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": value, "valueTwo": 0, "op": format!("SCMP_CMP_{op}")}]}));
    };
    [("LT", 38), ("EQ", 39), ("GT", 40)].into_iter().for_each(|(op, family)| when("socket", op, family));
    [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].into_iter().for_each(|value| when("personality", "EQ", value));
    when("clone", "MASKED_EQ", 0x7e02_0000);
    rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules})
}
