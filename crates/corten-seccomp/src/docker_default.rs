//! docker's default profile, which is containerd's, too: what a container may call that nobody said anything about.

use crate::Arch;
use crate::name::Name;
use crate::profile::{Argument, Profile, Rule};

/// Calls that are allowed as they are: groups of names under what must hold for them. The facts are those of the
/// default profile of docker (github.com/moby/profiles, seccomp, as of moby's master in 2026) for the architectures
/// that have a table here; what looks at arguments stands in [`compared`].
const TABLE: &str = include_str!("docker-default.txt");

/// The profile of a container with `capabilities`, by name, on a machine of that architecture and kernel.
#[must_use]
pub fn docker_default(capabilities: &[String], arch: Arch, kernel: (u32, u32)) -> Profile {
    let architectures = match arch {
        Arch::X86_64 => vec![Arch::X86_64, Arch::X86, Arch::X32],
        Arch::Aarch64 => vec![Arch::Aarch64, Arch::Arm],
        other => vec![other],
    };
    let is_admin = capabilities.iter().any(|name| name == "CAP_SYS_ADMIN");
    let mut syscalls = table(capabilities, arch, kernel);
    syscalls.extend(compared(is_admin));
    Profile {
        default_action: "SCMP_ACT_ERRNO".to_owned(),
        default_errno_ret: Some(1),
        architectures: architectures.into_iter().map(|arch| arch.name().to_owned()).collect(),
        syscalls,
        ..Profile::default()
    }
}

/// The groups of [`TABLE`] that hold here.
fn table(capabilities: &[String], arch: Arch, kernel: (u32, u32)) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut holds = false;
    for line in TABLE.lines() {
        if let Some(names) = line.strip_prefix("  ") {
            if let Some(rule) = rules.last_mut().filter(|_| holds) {
                rule.names.extend(names.split(' ').map(Name::from));
            }
            continue;
        }
        let (kind, wanted) = line.trim_end_matches(':').split_once(' ').unwrap_or((line, ""));
        holds = match kind {
            "cap" => capabilities.iter().any(|name| name == wanted),
            "arch" => wanted.split(' ').any(|name| name == go_name(arch)),
            "kernel" => {
                let (major, minor) = wanted.split_once('.').unwrap_or((wanted, "0"));
                let number = |text: &str| text.parse().unwrap_or(u32::MAX);
                (number(major), number(minor)) <= kernel
            }
            _ => true,
        };
        if holds {
            rules.push(Rule { action: "SCMP_ACT_ALLOW".to_owned(), ..Rule::default() });
        }
    }
    rules
}

/// Go's word for an architecture, as profiles have it.
const fn go_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
        Arch::X86 => "x86",
        Arch::X32 => "x32",
        Arch::Aarch64 => "arm64",
        Arch::Arm => "arm",
    }
}

/// The rules about arguments, and the one call that is to look missing.
fn compared(is_admin: bool) -> Vec<Rule> {
    // Every CLONE_NEW… flag but the time namespace's, whose bit the exit signal shares.
    const NEW_NAMESPACES: u64 = 0x7e02_0000;
    let when = |name: &str, op: &str, value: u64| Rule {
        names: vec![name.into()],
        action: "SCMP_ACT_ALLOW".to_owned(),
        args: vec![Argument { index: 0, value, value_two: 0, op: format!("SCMP_CMP_{op}") }],
        ..Rule::default()
    };
    // All families but AF_ALG (38) and AF_VSOCK (40), which lead out of the container's network namespace.
    let mut rules = vec![when("socket", "LT", 38), when("socket", "EQ", 39), when("socket", "GT", 40)];
    if !is_admin {
        rules.push(when("clone", "MASKED_EQ", NEW_NAMESPACES));
        // Its flags lie in memory, where a filter cannot look; the C library then takes clone.
        let (action, errno_ret) = ("SCMP_ACT_ERRNO".to_owned(), Some(38));
        rules.push(Rule { names: vec!["clone3".into()], action, errno_ret, ..Rule::default() });
    }
    // PER_LINUX, PER_LINUX32, UNAME26 alone and with the second, and asking.
    rules.extend([0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].map(|personality| when("personality", "EQ", personality)));
    rules
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names that are allowed whatever their arguments.
    fn allowed(capabilities: &[&str], arch: Arch, kernel: (u32, u32)) -> BTreeSet<String> {
        let capabilities: Vec<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
        let profile = docker_default(&capabilities, arch, kernel);
        let plain = profile.syscalls.into_iter().filter(|rule| rule.args.is_empty() && rule.action.ends_with("ALLOW"));
        plain.flat_map(|rule| rule.names).map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn capability_kernel_and_architecture_allow_what_is_theirs() {
        let plain = allowed(&[], Arch::X86_64, (6, 1));
        assert_eq!(plain.len(), 366);
        for (calls, name) in [
            (allowed(&["CAP_SYS_ADMIN"], Arch::X86_64, (6, 1)), "mount"),
            (allowed(&["CAP_SYS_CHROOT"], Arch::X86_64, (6, 1)), "chroot"),
            (allowed(&[], Arch::Aarch64, (6, 1)), "sync_file_range2"),
        ] {
            assert!(calls.contains(name) && !plain.contains(name), "{name}");
        }
        assert!(plain.contains("ptrace") && !allowed(&[], Arch::X86_64, (4, 7)).contains("ptrace"));
        assert!(plain.contains("arch_prctl") && !allowed(&[], Arch::Aarch64, (6, 1)).contains("arch_prctl"));
    }

    #[test]
    fn it_becomes_a_program() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let profile = docker_default(&["CAP_SYS_ADMIN".to_owned()], arch, (6, 1));
            let _ = crate::compile(&profile, arch).expect("every name and value is known").expect("it says something");
        }
    }
}
