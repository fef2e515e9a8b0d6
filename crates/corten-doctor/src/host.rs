//! The files of /proc that the checks read, so that the checks themselves are pure.

use std::fs;

/// The host as /proc describes it; a file that cannot be read is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    /// `/proc/sys/kernel/osrelease`
    pub release: String,
    /// `/proc/filesystems`
    pub filesystems: String,
    /// `/proc/self/mountinfo`
    pub mountinfo: String,
    /// `/proc/self/status`
    pub status: String,
    /// `/proc/cgroups`
    pub cgroups: String,
    /// `/sys/fs/cgroup/cgroup.controllers`: exists on a v2 host
    pub v2_controllers: String,
    /// `/sys/kernel/security/lsm`
    pub lsm: String,
    /// `/proc/sys/fs/inotify/max_user_instances`
    pub inotify_instances: String,
    /// `/proc/self/limits`
    pub limits: String,
    /// The names in `/proc/self/ns`
    pub namespaces: Vec<String>,
}

impl Host {
    pub(crate) fn read() -> Host {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim_end().to_owned();
        let names = fs::read_dir("/proc/self/ns").into_iter().flatten().flatten();
        Host {
            release: read("/proc/sys/kernel/osrelease"),
            filesystems: read("/proc/filesystems"),
            mountinfo: read("/proc/self/mountinfo"),
            status: read("/proc/self/status"),
            cgroups: read("/proc/cgroups"),
            v2_controllers: read("/sys/fs/cgroup/cgroup.controllers"),
            lsm: read("/sys/kernel/security/lsm"),
            inotify_instances: read("/proc/sys/fs/inotify/max_user_instances"),
            limits: read("/proc/self/limits"),
            namespaces: names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
        }
    }

    /// The mounts: (where, type, the mount's own options, the file system's options).
    pub(crate) fn mounts(&self) -> impl Iterator<Item = (&str, &str, &str, &str)> {
        self.mountinfo.lines().filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(4);
            let mut right = right.split(' ');
            let (target, options) = (left.next()?, left.next()?);
            Some((target, right.next()?, options, right.nth(1).unwrap_or("")))
        })
    }
}
