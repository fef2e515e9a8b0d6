//! Devices of the host in a container.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

use crate::errors::{EngineError, Result};

/// A device of the host, as it was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDevice {
    /// Where it appears.
    pub path: String,
    /// Whether it is a block device.
    pub block: bool,
    /// Its number.
    pub major: u32,
    /// Its number.
    pub minor: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Letters of `rwm`.
    pub permissions: String,
}

impl HostDevice {
    /// Looks a device up on the host; a directory stands for all devices in it.
    ///
    /// # Errors
    /// In docker's words, when it is not there or no device.
    pub fn find(on_host: &Path, target: &str, permissions: &str, found: &mut Vec<Self>) -> Result<()> {
        let failed = |why: &str| {
            EngineError::invalid(format!(
                "error gathering device information while adding custom device \"{}\": {why}",
                on_host.display()
            ))
        };
        let metadata = std::fs::metadata(on_host).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("no such file or directory"),
            _ => failed("cannot be looked at").caused_by(error),
        })?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            let entries = std::fs::read_dir(on_host).map_err(|error| failed("cannot be listed").caused_by(error))?;
            for entry in entries.flatten() {
                let name = entry.file_name();
                // What is no device in the directory is passed over, as docker does.
                let _ = Self::find(&entry.path(), &format!("{target}/{}", name.to_string_lossy()), permissions, found);
            }
            return if found.is_empty() { Err(failed("no device in it")) } else { Ok(()) };
        }
        if !kind.is_char_device() && !kind.is_block_device() {
            return Err(failed("not a device node"));
        }
        let (major, minor) = numbers(metadata.rdev());
        found.push(Self {
            path: target.to_owned(),
            block: kind.is_block_device(),
            major,
            minor,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            permissions: permissions.to_owned(),
        });
        Ok(())
    }

    /// Every device of the host, for a privileged container; not the terminals and what belongs to another container's
    /// /dev, and not what vanishes meanwhile.
    pub fn all() -> Vec<Self> {
        let mut found = Vec::new();
        collect(Path::new("/dev"), &mut found);
        found
    }

    pub(super) fn node(&self) -> LinuxDevice {
        let mut node = LinuxDevice::default();
        node.set_path(PathBuf::from(&self.path));
        node.set_typ(self.kind());
        node.set_major(i64::from(self.major));
        node.set_minor(i64::from(self.minor));
        node.set_file_mode(Some(self.mode));
        node.set_uid(Some(self.uid));
        node.set_gid(Some(self.gid));
        node
    }

    pub(super) fn rule(&self) -> LinuxDeviceCgroup {
        allow(self.kind(), Some(i64::from(self.major)), Some(i64::from(self.minor)), &self.permissions)
    }

    const fn kind(&self) -> LinuxDeviceType {
        if self.block { LinuxDeviceType::B } else { LinuxDeviceType::C }
    }
}

/// Directories of /dev whose nodes a container has of its own, or shall not have (docker's and containerd's list).
const OWN_DIRECTORIES: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

fn collect(directory: &Path, found: &mut Vec<HostDevice>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !OWN_DIRECTORIES.iter().any(|own| name == *own) {
            collect(&path, found);
        }
        if (kind.is_char_device() || kind.is_block_device()) && name != "console" {
            // It may have gone since it was listed.
            let _ = HostDevice::find(&path, &path.to_string_lossy(), "rwm", found);
        }
    }
}

/// The one rule of a privileged container.
pub(super) fn every_device() -> Vec<LinuxDeviceCgroup> {
    vec![allow(LinuxDeviceType::A, None, None, "rwm")]
}

/// Splits a device number as glibc does (makedev(3)).
pub(super) const fn numbers(rdev: u64) -> (u32, u32) {
    let major = ((rdev >> 8) & 0xfff) | ((rdev >> 32) & 0xffff_f000);
    let minor = (rdev & 0xff) | ((rdev >> 12) & 0xffff_ff00);
    (major as u32, minor as u32)
}

/// Docker's default device rules. The runtime adds what every container may do: make any device,
/// use pseudo-terminals.
pub(super) fn default_rules() -> Vec<LinuxDeviceCgroup> {
    let mut deny = allow(LinuxDeviceType::A, None, None, "rwm");
    deny.set_allow(false);
    let character = |major, minor| allow(LinuxDeviceType::C, Some(major), minor, "rwm");
    let mut fuse = character(10, Some(229));
    fuse.set_allow(false);
    vec![
        deny,
        character(1, Some(5)),
        character(1, Some(3)),
        character(1, Some(9)),
        character(1, Some(8)),
        character(5, Some(0)),
        character(5, Some(1)),
        fuse,
    ]
}

/// Reads a rule such as `c 10:200 rwm`.
///
/// # Errors
/// 400 in docker's words.
pub fn cgroup_rule(text: &str) -> Result<LinuxDeviceCgroup> {
    let invalid = || EngineError::invalid(format!("invalid device cgroup rule format: '{text}'"));
    let mut words = text.split(' ');
    let (Some(kind), Some(numbers), Some(access), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid());
    };
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(invalid()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text.parse::<u32>().map(|number| Some(i64::from(number))).map_err(|_| invalid()),
    };
    if access.is_empty() || access.len() > 3 || !access.bytes().all(|letter| b"rwm".contains(&letter)) {
        return Err(invalid());
    }
    Ok(allow(kind, number(major)?, number(minor)?, access))
}

fn allow(kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true);
    rule.set_typ(Some(kind));
    rule.set_major(major);
    rule.set_minor(minor);
    rule.set_access(Some(access.to_owned()));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_docker_reads_them() {
        let rule = cgroup_rule("c 10:* rw").unwrap();
        assert_eq!((rule.major(), rule.minor(), rule.access().as_deref()), (Some(10), None, Some("rw")));
        for bad in ["", "c 10 rw", "x 1:1 r", "c 1:1 z", "c 1:1 ", "c a:1 r", "c 1:1 r x"] {
            assert!(cgroup_rule(bad).is_err(), "{bad}");
        }
    }
}
