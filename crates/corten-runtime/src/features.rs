//! `features`: what this runtime can do (runtime-spec, features.md). A key says true only where a test proves it.

use corten_sys::seccomp;
use serde_json::{Value, json};

const MOUNT_OPTIONS: [&str; 64] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dest-nofollow",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "src-nofollow",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

/// What is printed, with four spaces of indent as runc has.
#[must_use]
pub fn features() -> String {
    let capabilities: Vec<Value> = caps::all().iter().map(|capability| Value::from(capability.to_string())).collect();
    let mut archs = corten_seccomp::Arch::ALL.map(corten_seccomp::Arch::name);
    archs.sort_unstable();
    let has_rdma = corten_cgroups::Host::detect().is_ok_and(|host| host.has("rdma"));
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.3.0",
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": MOUNT_OPTIONS.as_slice(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": has_rdma},
            "seccomp": {
                "enabled": seccomp::takes_flags(0),
                "actions": corten_seccomp::action::NAMES.as_slice(),
                "operators": corten_seccomp::compare::NAMES.as_slice(),
                "archs": archs,
                "knownFlags": corten_seccomp::profile::FLAGS.as_slice(),
                "supportedFlags": supported_flags(),
            },
            "apparmor": {"enabled": corten_sys::apparmor::is_enabled()},
            "selinux": {"enabled": corten_sys::selinux::is_enabled()},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": false},
        },
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "false",
            "org.opencontainers.runc.version": env!("CARGO_PKG_VERSION"),
        },
        "potentiallyUnsafeConfigAnnotations": ["bundle", "org.systemd.property.", "org.criu.config"],
    });
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    let written = serde::Serialize::serialize(&features, &mut serializer);
    written.map(|()| String::from_utf8_lossy(&text).into_owned() + "\n").unwrap_or_default()
}

/// Those of the flags that this kernel takes.
fn supported_flags() -> Vec<&'static str> {
    use corten_seccomp::profile::{FLAGS, NEW_LISTENER, WAIT_KILLABLE_RECV, flag};
    let is_supported = |name: &&str| match flag(name) {
        // It says something about a listener only (Linux 5.19).
        Ok(WAIT_KILLABLE_RECV) => seccomp::takes_flags(WAIT_KILLABLE_RECV | NEW_LISTENER),
        Ok(bits) => seccomp::takes_flags(bits),
        Err(_) => false,
    };
    FLAGS.into_iter().filter(is_supported).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_json() {
        let features: Value = serde_json::from_str(&features()).expect("JSON");
        assert_eq!(features["linux"]["seccomp"]["enabled"], true);
        assert_eq!(features["linux"]["seccomp"]["supportedFlags"], features["linux"]["seccomp"]["knownFlags"]);
        assert_eq!(features["linux"]["seccomp"]["archs"][0], "SCMP_ARCH_AARCH64");
        assert!(MOUNT_OPTIONS.is_sorted());
    }
}
