//! AppArmor: which profile confines a container, and docker's default one.
//!
//! The default profile cannot be kept in /etc/apparmor.d, where an administrator decides. It is loaded when it is missing:
//! as the engine starts, and as it is needed, because an upgrade of the system can unload it. One that is there is left
//! as it is, as docker 28 does: it may be docker's own, or an administrator's.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::errors::{EngineError, Result};

/// The profile of a container that asks for none.
pub const DEFAULT: &str = "docker-default";

/// Where the parser is, as docker looks for it: not by PATH, which is the caller's.
const PARSER: &str = "/sbin/apparmor_parser";
/// The profiles the kernel has: `name (mode)` in each line.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";
/// The language the profile is written in. From 4.0 on, "network" no longer includes sockets of the machine's own.
const ABI: &str = "abi/3.0";

/// Whether containers can be confined: the kernel does it, the parser is there, and this is no container itself.
#[must_use]
pub fn is_supported() -> bool {
    corten_sys::apparmor::is_enabled()
        && Path::new(PARSER).exists()
        && std::env::var_os("container").is_none_or(|value| value.is_empty())
}

/// The profile of a container: the one it asks for, none for a privileged one, or the default.
#[must_use]
pub fn profile_of(asked_for: Option<&str>, is_privileged: bool) -> String {
    let without = if is_privileged { super::UNCONFINED } else { DEFAULT };
    asked_for.unwrap_or(without).to_owned()
}

fn load_default() -> Result<()> {
    let failed = |why: &dyn std::fmt::Display| {
        EngineError::internal(format!(
            "AppArmor enabled on system but the {DEFAULT} profile could not be loaded: {PARSER}: {why}"
        ))
    };
    // Read from standard input; the cache may lie on a file system that cannot be written.
    let parser = Command::new(PARSER)
        .args(["--skip-cache", "--replace"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut parser = parser.map_err(|error| failed(&error))?;
    let has_abi = Path::new("/etc/apparmor.d").join(ABI).exists();
    // One that ends early says why.
    let _ = parser.stdin.take().map(|mut stdin| stdin.write_all(text(&own_profile(), has_abi).as_bytes()));
    let output = parser.wait_with_output().map_err(|error| failed(&error))?;
    if output.status.success() { Ok(()) } else { Err(failed(&String::from_utf8_lossy(&output.stderr).trim())) }
}

/// Loads the default profile when the kernel does not have it.
///
/// # Errors
/// What the parser says.
pub fn load_default_if_missing() -> Result<()> {
    let loaded = fs::read_to_string(LOADED)
        .map_err(|error| EngineError::internal(format!("read the profiles in {LOADED}")).caused_by(error))?;
    if loaded.lines().any(|line| line.rsplit_once(" (").is_some_and(|(name, _)| name == DEFAULT)) {
        return Ok(());
    }
    load_default()
}

/// What confines the engine itself: its signals are to reach containers.
fn own_profile() -> String {
    let current = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    let current = current.trim_end_matches(['\n', '\0']);
    let name = current.rsplit_once(" (").map_or(current, |(name, _)| name);
    if name.is_empty() || name.contains(['"', '\n']) { super::UNCONFINED.to_owned() } else { name.to_owned() }
}

/// The profile: what docker's allows and denies, in words of our own.
///
/// Files, capabilities and the network are left to the other walls; what is denied is what reaches the host from a
/// process that is root inside: mounts, kernel settings, the devices' and the kernel's own files.
fn text(own_profile: &str, has_abi: bool) -> String {
    let abi = if has_abi { format!("abi <{ABI}>,\n") } else { String::new() };
    format!(
        r#"{abi}profile "{DEFAULT}" flags=(attach_disconnected, mediate_deleted) {{
  file,
  capability,
  network,
  # The kernel's ciphers as sockets: a way into kernel memory more than once, and nobody's need in a container.
  deny network alg,
  umount,
  deny mount,

  # Signals come from the host, whoever sends them for the engine, and from within.
  signal (receive) peer="unconfined",
  signal (receive) peer="{own_profile}",
  signal (receive) peer="runc",
  signal (receive) peer="crun",
  signal (receive) peer="corten-runtime",
  signal (send, receive) peer="{DEFAULT}",
  ptrace (trace, tracedby, read, readby) peer="{DEFAULT}",

  # Of /proc, processes' directories can be written, and kernel/shm* of sys. Names: a digit first, or sys and no more.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sy[^s]*/** w,
  deny /proc/sys?*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/k[^e]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # Of /sys, the cgroups.
  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/fs/c[^g]** wklx,
  deny /sys/fs/cg[^r]** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_word_counts_before_privilege_and_default() {
        assert_eq!(profile_of(None, false), "docker-default");
        assert_eq!(profile_of(None, true), "unconfined");
        assert_eq!(profile_of(Some("mine"), true), "mine");
        assert_eq!(profile_of(Some("unconfined"), false), "unconfined");
    }

    #[test]
    fn the_text_names_who_may_signal_and_its_language() {
        let text = text("cortend", true);
        assert!(text.starts_with("abi <abi/3.0>,\nprofile \"docker-default\" "), "{text}");
        assert!(text.contains("signal (receive) peer=\"cortend\","), "{text}");
        assert!(!super::text("x", false).contains("abi <"));
    }
}
