//! Nodes and links in /dev (runtime-spec, config-linux.md, "Default Devices").

use std::ffi::CString;

use corten_sys::files::{S_IFBLK, S_IFCHR, S_IFIFO};
use corten_sys::openat2::InRootfs;

use super::{c_string, invalid};
use crate::spec::{Device as SpecDevice, SpecError};

/// What is made in /dev.
#[derive(Debug)]
pub struct DevicePlan {
    /// Nodes.
    pub nodes: Vec<Device>,
    /// Whether nodes are bound from the host: a user namespace cannot make them.
    pub is_bound: bool,
}

/// One node.
#[derive(Debug)]
pub struct Device {
    /// Where, for messages.
    pub path: InRootfs,
    /// The directory it lies in.
    pub directory: InRootfs,
    /// Its name there.
    pub name: CString,
    /// The same path on the host, for a bind.
    pub host: CString,
    /// Type and permission bits.
    pub mode: u32,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Owner and group.
    pub owner: (u32, u32),
}

/// Links in /dev: target, name.
pub const LINKS: [(&std::ffi::CStr, &std::ffi::CStr); 4] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
];

/// Nodes every container has.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

pub(super) fn plan(devices: &[SpecDevice], is_bound: bool) -> Result<DevicePlan, SpecError> {
    // The terminal multiplexer is the container's own, whatever node is named.
    let named = devices.iter().enumerate().filter(|(_, device)| device.path != "/dev/ptmx");
    let mut nodes = named.map(|(index, device)| node(index, device)).collect::<Result<Vec<_>, _>>()?;
    for (path, major, minor) in DEFAULTS {
        // A node of the spec replaces the default one.
        if !devices.iter().any(|device| device.path == path) {
            nodes.push(make("linux.devices", path, S_IFCHR | 0o666, (major, minor), (0, 0))?);
        }
    }
    Ok(DevicePlan { nodes, is_bound })
}

fn node(index: usize, device: &SpecDevice) -> Result<Device, SpecError> {
    let key = format!("linux.devices[{index}]");
    let kind = match device.kind.as_str() {
        "c" | "u" => S_IFCHR,
        "b" => S_IFBLK,
        "p" => S_IFIFO,
        other => return Err(invalid(key, format!("{other:?} is no type of a device: c, b, u or p"))),
    };
    let number =
        |number: i64| u32::try_from(number).map_err(|_| invalid(&key, format!("{number} is no device number")));
    let number = if kind == S_IFIFO { (0, 0) } else { (number(device.major)?, number(device.minor)?) };
    let mode = kind | device.file_mode.unwrap_or(0o666) & 0o7777;
    make(&key, &device.path, mode, number, (device.uid.unwrap_or(0), device.gid.unwrap_or(0)))
}

fn make(key: &str, path: &str, mode: u32, number: (u32, u32), owner: (u32, u32)) -> Result<Device, SpecError> {
    if !path.starts_with('/') {
        return Err(invalid(key, format!("{path:?} is not an absolute path")));
    }
    let host = c_string(key, path)?;
    let in_rootfs = InRootfs::new(path).map_err(|_| invalid(key, "holds a NUL byte"))?;
    let (directory, name) = in_rootfs.split().ok_or_else(|| invalid(key, format!("{path:?} names no file")))?;
    Ok(Device { path: in_rootfs, directory, name, host, mode, number, owner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_the_spec_replaces_the_default() {
        let json = r#"[{"type":"c","path":"/dev/null","major":1,"minor":3,"fileMode":438,"uid":7,"gid":8}]"#;
        let devices: Vec<SpecDevice> = serde_json::from_str(json).expect("parses");
        let plan = plan(&devices, false).expect("plans");
        assert_eq!(plan.nodes.len(), 6);
        assert_eq!(plan.nodes[0].owner, (7, 8));
    }

    #[test]
    fn a_wrong_type_is_refused() {
        let devices = [SpecDevice { kind: "x".into(), path: "/dev/x".into(), ..SpecDevice::default() }];
        let error = plan(&devices, false).expect_err("no such type").to_string();
        assert_eq!(error, "linux.devices[0]: \"x\" is no type of a device: c, b, u or p");
    }
}
