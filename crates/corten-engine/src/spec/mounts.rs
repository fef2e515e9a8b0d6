//! What is mounted in a container: docker's fixed set, and what the user adds.

use std::path::PathBuf;

use corten_docker_api::containers::MountPoint;
use oci_spec::runtime::Mount;
use serde::{Deserialize, Serialize};

use crate::errors::{EngineError, Result};

/// Paths that read empty.
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths that cannot be written.
pub const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// One mount the user asked for, or the engine adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMount {
    /// `bind` or `tmpfs`.
    pub kind: String,
    /// On the host; empty for tmpfs.
    pub source: String,
    /// In the container, clean and absolute.
    pub target: String,
    /// The options as given, for `inspect`.
    pub mode: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// `rprivate`, …; empty for tmpfs.
    pub propagation: String,
    /// Whether mounts below come along.
    pub recursive: bool,
    /// Whether a missing source is made, as `-v` does and `--mount` does not.
    pub create_source: bool,
    /// Mount options of a tmpfs.
    pub tmpfs_options: Vec<String>,
}

impl UserMount {
    /// As `inspect` shows it.
    pub fn mount_point(&self) -> MountPoint {
        MountPoint {
            kind: self.kind.clone(),
            source: self.source.clone(),
            destination: self.target.clone(),
            mode: self.mode.clone(),
            rw: !self.read_only,
            propagation: self.propagation.clone(),
            ..MountPoint::default()
        }
    }

    fn to_oci(&self) -> Mount {
        let mut options = Vec::new();
        if self.kind == "tmpfs" {
            options.extend(["nosuid", "nodev", "noexec"].map(str::to_owned));
            for option in &self.tmpfs_options {
                // What the user says replaces its opposite.
                options.retain(|known| opposite(known) != option && known != option);
                options.push(option.clone());
            }
            if self.read_only && !options.iter().any(|option| option == "ro") {
                options.push("ro".to_owned());
            }
            return mount("tmpfs", "tmpfs", &self.target, options);
        }
        options.push(if self.recursive { "rbind" } else { "bind" }.to_owned());
        if self.read_only {
            options.push("ro".to_owned());
        }
        options.push(self.propagation.clone());
        mount("bind", &self.source, &self.target, options)
    }
}

fn opposite(option: &str) -> &str {
    match option {
        "nosuid" => "suid",
        "nodev" => "dev",
        "noexec" => "exec",
        other => other,
    }
}

/// Reads `source:target[:options]`.
///
/// # Errors
/// 400 for what docker refuses too, 501 for named volumes.
pub fn parse_bind(text: &str) -> Result<UserMount> {
    let invalid = || EngineError::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [_] => {
            return Err(EngineError::unimplemented(format!(
                "anonymous volume {text:?}: volumes are not supported yet"
            )));
        }
        [source, target] => (*source, *target, ""),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(invalid()),
    };
    if source.is_empty() || target.is_empty() {
        return Err(invalid());
    }
    if !target.starts_with('/') {
        return Err(EngineError::invalid(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"volume\": invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    if !source.starts_with('/') {
        return Err(EngineError::unimplemented(format!("named volume {source:?}: volumes are not supported yet")));
    }
    let target = clean(target);
    if target == "/" {
        return Err(EngineError::invalid(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"bind\": destination can't be '/'"
        )));
    }
    let mut bind = UserMount {
        kind: "bind".to_owned(),
        source: clean(source),
        target,
        mode: mode.to_owned(),
        read_only: false,
        propagation: "rprivate".to_owned(),
        recursive: true,
        create_source: true,
        tmpfs_options: Vec::new(),
    };
    for option in mode.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => bind.read_only = true,
            // Without SELinux `z` and `Z` do nothing; `nocopy` concerns volumes, the rest macOS.
            "rw" | "z" | "Z" | "nocopy" | "consistent" | "cached" | "delegated" | "default" => {}
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => bind.propagation = option.to_owned(),
            _ => return Err(EngineError::invalid(format!("invalid mode: {mode}"))),
        }
    }
    Ok(bind)
}

/// The path without `.`, doubled slashes and what `..` takes back.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Shallow targets first, so that one below another comes after it.
pub fn sort(mounts: &mut [UserMount]) {
    mounts.sort_by_key(|mount| PathBuf::from(&mount.target).components().count());
}

/// What decides about docker's fixed mounts.
#[derive(Default)]
pub(super) struct Fixed {
    pub shm_size_bytes: i64,
    pub host_ipc: bool,
    pub host_has_mqueue: bool,
    pub has_shm: bool,
    pub cgroup_writable: bool,
    pub sys_writable: bool,
}

/// Docker's fixed mounts with the user's in their place.
pub(super) fn mounts(fixed: &Fixed, user: &[UserMount]) -> Vec<Mount> {
    let owned = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>();
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let mode = |is_writable: bool| if is_writable { "rw" } else { "ro" };
    let cgroup_mode = mode(fixed.cgroup_writable);
    let mut all = vec![
        mount("proc", "proc", "/proc", owned(&["nosuid", "noexec", "nodev"])),
        mount("tmpfs", "tmpfs", "/dev", owned(&["nosuid", "strictatime", "mode=755", "size=65536k"])),
        mount("devpts", "devpts", "/dev/pts", owned(&pts)),
        mount("sysfs", "sysfs", "/sys", owned(&["nosuid", "noexec", "nodev", mode(fixed.sys_writable)])),
        mount("cgroup", "cgroup", "/sys/fs/cgroup", owned(&[cgroup_mode, "nosuid", "noexec", "nodev"])),
    ];
    if fixed.host_ipc {
        if fixed.host_has_mqueue {
            all.push(mount("bind", "/dev/mqueue", "/dev/mqueue", owned(&["rbind", "rprivate"])));
        }
        all.push(mount("bind", "/dev/shm", "/dev/shm", owned(&["rbind", "rprivate"])));
    } else {
        all.push(mount("mqueue", "mqueue", "/dev/mqueue", owned(&["nosuid", "noexec", "nodev"])));
        if fixed.has_shm {
            let mut options = owned(&["nosuid", "noexec", "nodev", "mode=1777"]);
            options.push(format!("size={}", fixed.shm_size_bytes));
            all.push(mount("tmpfs", "shm", "/dev/shm", options));
        }
    }
    let taken = |target: &str| user.iter().any(|mount| mount.target == target);
    all.retain(|fixed| !fixed.destination().to_str().is_some_and(taken));
    all.extend(user.iter().map(UserMount::to_oci));
    all
}

fn mount(kind: &str, source: &str, target: &str, options: Vec<String>) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(PathBuf::from(target));
    mount.set_typ(Some(kind.to_owned()));
    mount.set_source(Some(PathBuf::from(source)));
    mount.set_options(Some(options));
    mount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_read_as_docker_reads_them() {
        let bind = parse_bind("/a//b/:/c/../d:ro,rslave").unwrap();
        assert_eq!((bind.source.as_str(), bind.target.as_str()), ("/a/b", "/d"));
        assert_eq!((bind.read_only, bind.propagation.as_str(), bind.mode.as_str()), (true, "rslave", "ro,rslave"));
        assert_eq!(parse_bind("/a:/b").unwrap().to_oci().options().as_ref().unwrap(), &["rbind", "rprivate"]);
        for (text, part) in [
            ("/a:/b:oops", "invalid mode: oops"),
            ("/a:b", "mount path must be absolute"),
            ("/a:/", "destination can't be '/'"),
            ("name:/b", "named volume \"name\": volumes are not supported yet"),
            ("/b", "anonymous volume"),
            (":/b", "invalid volume specification"),
            ("/a:/b:ro:x", "invalid volume specification"),
        ] {
            let error = parse_bind(text).unwrap_err().message();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_mount_of_the_user_replaces_docker_s() {
        let user = [parse_bind("/x:/dev/shm").unwrap()];
        let fixed = Fixed { shm_size_bytes: 1, host_has_mqueue: true, has_shm: true, ..Fixed::default() };
        let all = mounts(&fixed, &user);
        let shm: Vec<_> = all.iter().filter(|mount| mount.destination().ends_with("shm")).collect();
        assert_eq!(shm.len(), 1);
        assert_eq!(shm[0].typ().as_deref(), Some("bind"));
    }

    #[test]
    fn options_of_a_tmpfs_replace_their_opposite() {
        let mut bind = parse_bind("/a:/b").unwrap();
        (bind.kind, bind.tmpfs_options) = ("tmpfs".to_owned(), vec!["exec".to_owned(), "size=1m".to_owned()]);
        assert_eq!(bind.to_oci().options().as_ref().unwrap(), &["nosuid", "nodev", "exec", "size=1m"]);
    }
}
