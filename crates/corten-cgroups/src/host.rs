//! Which hierarchies the machine has, and where they are mounted.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use corten_sys::files;

use crate::CgroupError;

/// Where hierarchies are mounted by convention.
const ROOT: &str = "/sys/fs/cgroup";
const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;

/// The machine's cgroup hierarchies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// The v1 hierarchies; empty on a pure v2 machine.
    pub v1: Vec<Hierarchy>,
    /// The v2 hierarchy: all there is on a pure v2 machine, beside the others on a hybrid one.
    pub unified: Option<Unified>,
}

/// One v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers as /proc/self/cgroup lists them: `cpu`, `cpuacct`, or `name=systemd`.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The calling process's cgroup in it, from the mount's root: `/` or `/a/b`.
    pub own: String,
}

/// The v2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The calling process's cgroup in it.
    pub own: String,
}

impl Host {
    /// Reads the machine's hierarchies.
    ///
    /// The mounts are first looked for where every distribution has them: reading the mount table costs a
    /// millisecond on a host with a thousand mounts.
    ///
    /// # Errors
    /// [`CgroupError::Detect`].
    pub fn detect() -> Result<Self, CgroupError> {
        let (own, _) = own_memberships()?;
        let mut host = Self::default();
        let mut table = None;
        for (controllers, own) in memberships(&own) {
            if controllers.is_empty() {
                host.unified = unified_mount().map(|mount| Unified { own: existing(&mount, own), mount });
                continue;
            }
            let mount = match conventional_mount(controllers) {
                Some(mount) => Some(mount),
                None => mount_in_table(&mut table, controllers)?,
            };
            // A hierarchy nobody mounted cannot be used; a limit that needs it is refused by name later.
            let Some(mount) = mount else { continue };
            let own = existing(&mount, own);
            host.v1.push(Hierarchy { controllers: controllers.split(',').map(str::to_owned).collect(), mount, own });
        }
        Ok(host)
    }

    /// As [`Host::detect`], but takes for granted that the hierarchies of v1 are mounted where every distribution has them,
    /// and that the own cgroup is seen there: a look at each costs a system call, and
    /// [`Cgroup::create_at_once`](crate::Cgroup::create_at_once) finds out whether it is so. What was read stays open in
    /// `spent`, to be closed with other descriptors in one call.
    ///
    /// # Errors
    /// [`CgroupError::Detect`].
    pub fn presume(spent: &mut Vec<OwnedFd>) -> Result<Self, CgroupError> {
        let (own, file) = own_memberships()?;
        spent.push(file);
        let mut host = Self::default();
        for (controllers, own) in memberships(&own) {
            if !controllers.is_empty() {
                let mount = conventional_path(controllers);
                let controllers = controllers.split(',').map(str::to_owned).collect();
                host.v1.push(Hierarchy { controllers, mount, own: own.to_owned() });
                continue;
            }
            let mount = match host.v1.is_empty() {
                true => unified_mount(),
                // Beside others it is in their midst; what cannot hold tasks would not show before the clone.
                false => Some(Path::new(ROOT).join("unified")).filter(|mount| is_on(mount, CGROUP2_SUPER_MAGIC)),
            };
            host.unified = mount.map(|mount| Unified { own: existing(&mount, own), mount });
        }
        Ok(host)
    }

    /// Whether the machine has a controller.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        let in_v1 = self.v1.iter().any(|hierarchy| hierarchy.controllers.iter().any(|known| known == controller));
        let listed =
            |unified: &Unified| fs::read_to_string(unified.mount.join("cgroup.controllers")).unwrap_or_default();
        in_v1
            || self
                .unified
                .as_ref()
                .is_some_and(|unified| listed(unified).split_whitespace().any(|known| known == controller))
    }

    /// Whether controllers are on the v2 hierarchy.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.v1.is_empty()
    }
}

/// The lines of /proc/self/cgroup as (controllers, path); no controllers on the v2 line.
pub fn memberships(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    })
}

fn own_memberships() -> Result<(String, OwnedFd), CgroupError> {
    let path = PathBuf::from("/proc/self/cgroup");
    let read = files::read_small_keeping(c"/proc/self/cgroup");
    let (text, file) = read.map_err(|source| CgroupError::Detect { path, source })?;
    Ok((String::from_utf8_lossy(&text).into_owned(), file))
}

fn unified_mount() -> Option<PathBuf> {
    [Path::new(ROOT), &Path::new(ROOT).join("unified")]
        .into_iter()
        .find(|path| is_on(path, CGROUP2_SUPER_MAGIC))
        .map(Path::to_owned)
}

fn conventional_mount(controllers: &str) -> Option<PathBuf> {
    Some(conventional_path(controllers)).filter(|path| is_on(path, CGROUP_SUPER_MAGIC))
}

fn conventional_path(controllers: &str) -> PathBuf {
    Path::new(ROOT).join(controllers.strip_prefix("name=").unwrap_or(controllers))
}

fn is_on(path: &Path, magic: i64) -> bool {
    CString::new(path.as_os_str().as_bytes())
        .is_ok_and(|path| files::filesystem_type_at(&path).is_ok_and(|found| found == magic))
}

/// Looks a hierarchy up in the mount table, which is read once.
fn mount_in_table(table: &mut Option<String>, controllers: &str) -> Result<Option<PathBuf>, CgroupError> {
    let text = match table {
        Some(text) => text,
        None => {
            let path = PathBuf::from("/proc/self/mountinfo");
            let text = fs::read_to_string(&path).map_err(|source| CgroupError::Detect { path, source })?;
            table.insert(text)
        }
    };
    Ok(mount_of(text, controllers))
}

/// Where the hierarchy of `controllers` (as /proc/self/cgroup has them) is mounted, by the lines of
/// /proc/self/mountinfo.
#[must_use]
pub fn mount_of(mountinfo: &str, controllers: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, superblock) = line.split_once(" - ")?;
        let mut superblock = superblock.split(' ');
        let (fstype, options) = (superblock.next()?, superblock.nth(1)?);
        let has = |controller: &str| options.split(',').any(|option| option == controller);
        let found = fstype == "cgroup" && controllers.split(',').all(has);
        found.then(|| mount.split(' ').nth(4).map(PathBuf::from)).flatten()
    })
}

/// The own cgroup as seen from the mount; `/` when the mount shows only a part of the hierarchy.
fn existing(mount: &Path, own: &str) -> String {
    let inside = mount.join(own.trim_start_matches('/'));
    if own == "/" || inside.is_dir() { own.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_are_read_in_all_three_layouts() {
        let hybrid = "2:cpu,cpuacct:/a\n1:name=systemd:/\n0::/user.slice\n";
        let found: Vec<_> = memberships(hybrid).collect();
        assert_eq!(found, [("cpu,cpuacct", "/a"), ("name=systemd", "/"), ("", "/user.slice")]);
        assert_eq!(memberships("0::/init.scope\n").collect::<Vec<_>>(), [("", "/init.scope")]);
        assert_eq!(memberships("3:cpu:/a:b\n").collect::<Vec<_>>(), [("cpu", "/a:b")]);
    }

    #[test]
    fn a_hierarchy_is_found_wherever_it_is_mounted() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                     32 31 0:29 / /cg/both rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct\n\
                     33 31 0:30 / /cg/sd rw - cgroup cgroup rw,xattr,name=systemd\n";
        assert_eq!(mount_of(table, "cpu,cpuacct"), Some(PathBuf::from("/cg/both")));
        assert_eq!(mount_of(table, "name=systemd"), Some(PathBuf::from("/cg/sd")));
        assert_eq!(mount_of(table, "memory"), None);
    }

    #[test]
    fn this_machine_has_hierarchies() {
        let host = Host::detect().expect("this process is in a cgroup");
        assert!(!host.v1.is_empty() || host.unified.is_some());
        // What is presumed has at least these, at the same places or at others.
        let presumed = Host::presume(&mut Vec::new()).expect("this process is in a cgroup");
        assert!(presumed.v1.len() >= host.v1.len() && presumed.is_v2() == host.is_v2());
    }
}
