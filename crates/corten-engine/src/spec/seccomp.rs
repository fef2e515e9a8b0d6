//! Which system calls a container may make: docker's default profile, or one in docker's format.
//!
//! A profile of docker's is not yet one of the runtime specification: its rules may hold only with a capability, on an
//! architecture or from a kernel on, and its architectures are looked up by the machine's own. Both kinds of profile,
//! the default's table and a user's JSON, become the same rules and go the same way.

use corten_seccomp::{Arch, docker_default};
use oci_spec::runtime::LinuxSeccomp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors::{EngineError, Result};

/// What decides about rules with a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Go's word for the architecture, as profiles have it.
    pub arch: &'static str,
    /// Major and minor number of the kernel.
    pub kernel: (u32, u32),
}

impl Machine {
    /// This one.
    pub fn detect() -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        // A kernel without a readable version has none of what is asked for by version.
        Self { arch, kernel: version(&release).unwrap_or_default() }
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

/// A profile in docker's format.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<String>>,
    listener_path: String,
    listener_metadata: String,
    syscalls: Option<Vec<Rule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    name: String,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Value>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// The default profile of a container with `capabilities`.
///
/// # Errors
/// On an architecture that has no table of calls.
pub fn default_profile(machine: &Machine, capabilities: &[String]) -> Result<LinuxSeccomp> {
    let arch = match machine.arch {
        "amd64" => Arch::X86_64,
        "arm64" => Arch::Aarch64,
        other => {
            return Err(EngineError::internal(format!("the default seccomp profile: no table of calls for {other}")));
        }
    };
    let profile = serde_json::to_value(docker_default(capabilities, arch, machine.kernel));
    let profile = profile.and_then(serde_json::from_value);
    profile.map_err(|error| EngineError::internal("read the default seccomp profile").caused_by(error))
}

/// The profile that `json` says, for a container with `capabilities`; `None` when it says nothing.
///
/// # Errors
/// 400 for what is no profile.
pub fn custom(json: &str, machine: &Machine, capabilities: &[String]) -> Result<Option<LinuxSeccomp>> {
    let profile: Profile = serde_json::from_str(json)
        .map_err(|error| EngineError::invalid(format!("decoding seccomp profile failed: {error}")))?;
    resolve(profile, machine, capabilities)
}

/// What is left of a profile on this machine.
fn resolve(profile: Profile, machine: &Machine, capabilities: &[String]) -> Result<Option<LinuxSeccomp>> {
    let rules = profile.syscalls.unwrap_or_default();
    if profile.default_action.is_empty() && rules.is_empty() {
        return Ok(None);
    }
    let mut architectures = profile.architectures.unwrap_or_default();
    let map = profile.arch_map.unwrap_or_default();
    if !architectures.is_empty() && !map.is_empty() {
        return Err(EngineError::invalid(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
        ));
    }
    let own = match machine.arch {
        "amd64" => "SCMP_ARCH_X86_64",
        "arm64" => "SCMP_ARCH_AARCH64",
        "arm" => "SCMP_ARCH_ARM",
        _ => "",
    };
    if let Some(entry) = map.into_iter().find(|entry| entry.architecture == own) {
        architectures.push(entry.architecture);
        architectures.extend(entry.sub_architectures.unwrap_or_default());
    }
    let mut syscalls = Vec::new();
    for rule in rules {
        if !applies(&rule, machine, capabilities)? {
            continue;
        }
        let mut names = rule.names.unwrap_or_default();
        if !rule.name.is_empty() {
            if !names.is_empty() {
                return Err(EngineError::invalid(
                    "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
                ));
            }
            names.push(rule.name);
        }
        let mut syscall = json!({"names": names, "action": rule.action});
        if let Some(errno) = rule.errno_ret {
            syscall["errnoRet"] = json!(errno);
        }
        if let Some(args) = rule.args.filter(|args| args.as_array().is_some_and(|args| !args.is_empty())) {
            syscall["args"] = args;
        }
        syscalls.push(syscall);
    }
    let mut resolved = json!({"defaultAction": profile.default_action, "syscalls": syscalls});
    let mut add = |key: &str, value: Value, is_given: bool| {
        if is_given {
            resolved[key] = value;
        }
    };
    add("architectures", json!(architectures), !architectures.is_empty());
    add("defaultErrnoRet", json!(profile.default_errno_ret), profile.default_errno_ret.is_some());
    add("flags", json!(profile.flags), profile.flags.is_some());
    add("listenerPath", json!(profile.listener_path), !profile.listener_path.is_empty());
    add("listenerMetadata", json!(profile.listener_metadata), !profile.listener_metadata.is_empty());
    let resolved = serde_json::from_value(resolved);
    resolved.map(Some).map_err(|error| EngineError::invalid(format!("decoding seccomp profile failed: {error}")))
}

/// Whether a rule holds here: one excluded capability or architecture is enough against it, and of those included every
/// capability is needed.
fn applies(rule: &Rule, machine: &Machine, capabilities: &[String]) -> Result<bool> {
    let has = |name: &String| capabilities.contains(name);
    let is_here = |names: &[String]| names.iter().any(|name| name == machine.arch);
    let is_new = |text: &String| -> Result<bool> {
        let wanted = version(text);
        let wanted =
            wanted.ok_or_else(|| EngineError::invalid(format!("invalid kernel version in seccomp profile: {text}")))?;
        Ok(machine.kernel >= wanted)
    };
    if let Some(excluded) = &rule.excludes {
        let by_kernel = excluded.min_kernel.as_ref().map(is_new).transpose()?.unwrap_or(false);
        let by_arch = excluded.arches.as_deref().is_some_and(is_here);
        if by_kernel || by_arch || excluded.caps.iter().flatten().any(has) {
            return Ok(false);
        }
    }
    let Some(included) = &rule.includes else { return Ok(true) };
    let by_kernel = included.min_kernel.as_ref().map(is_new).transpose()?.unwrap_or(true);
    let by_arch = included.arches.as_deref().is_none_or(|names| names.is_empty() || is_here(names));
    Ok(by_kernel && by_arch && included.caps.iter().flatten().all(has))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MACHINE: Machine = Machine { arch: "amd64", kernel: (6, 1) };

    /// Names that are allowed whatever their arguments.
    fn allowed(profile: &LinuxSeccomp) -> BTreeSet<String> {
        let profile = serde_json::to_value(profile).unwrap();
        let rules = profile["syscalls"].as_array().unwrap().clone();
        let plain = rules.iter().filter(|rule| rule["args"].is_null() && rule["action"] == "SCMP_ACT_ALLOW");
        plain
            .flat_map(|rule| rule["names"].as_array().unwrap().clone())
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    }

    fn default(capabilities: &[&str]) -> LinuxSeccomp {
        let capabilities: Vec<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
        default_profile(&MACHINE, &capabilities).unwrap()
    }

    #[test]
    fn a_capability_allows_the_calls_it_is_for() {
        let plain = allowed(&default(&[]));
        assert_eq!(plain.len(), 366);
        for (name, count, one) in [
            ("CAP_SYS_ADMIN", 26, "mount"),
            ("CAP_SYS_PTRACE", 3, "kcmp"),
            ("CAP_SYS_CHROOT", 1, "chroot"),
            ("CAP_NET_ADMIN", 0, ""),
        ] {
            let with = allowed(&default(&[name]));
            let more: Vec<&String> = with.difference(&plain).collect();
            assert_eq!(more.len(), count, "{name}: {more:?}");
            assert!(count == 0 || more.iter().any(|call| *call == one), "{name}: {more:?}");
        }
    }

    #[test]
    fn an_older_kernel_and_another_machine_have_other_rules() {
        let of = |arch, kernel| allowed(&default_profile(&Machine { arch, kernel }, &[]).unwrap());
        assert!(of("amd64", (4, 8)).contains("ptrace") && !of("amd64", (4, 7)).contains("ptrace"));
        assert!(of("arm64", (6, 1)).contains("cacheflush") && !of("arm64", (6, 1)).contains("arch_prctl"));
    }

    #[test]
    fn a_profile_in_dockers_format_is_resolved() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
            "syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO","errnoRet":13,"args":null,"comment":"x","includes":{},"excludes":{}},
                        {"names":["chmod"],"action":"SCMP_ACT_KILL","excludes":{"caps":["CAP_CHOWN"]}}]}"#;
        let resolved = |capabilities: &[String]| {
            serde_json::to_value(custom(json, &MACHINE, capabilities).unwrap().unwrap()).unwrap()
        };
        let found = resolved(&["CAP_CHOWN".to_owned()]);
        assert_eq!(found["architectures"], json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
        assert_eq!(found["syscalls"], json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]));
        assert_eq!(resolved(&[])["syscalls"].as_array().unwrap().len(), 2);
        assert!(custom("{}", &MACHINE, &[]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_profile_is_refused_in_dockers_words() {
        for (json, text) in [
            ("nonsense", "decoding seccomp profile failed: "),
            (r#"{"defaultAction":"SCMP_ACT_NOPE"}"#, "decoding seccomp profile failed: "),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"a"}]}"#,
                "both 'architectures' and 'archMap' are specified",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_KILL"}]}"#,
                "both 'name' and 'names' are specified",
            ),
        ] {
            let error = custom(json, &MACHINE, &[]).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }
}
