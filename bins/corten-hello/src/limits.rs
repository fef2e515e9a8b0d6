//! The limits of the own cgroup, as far as they can be seen from inside.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is shown: its name, the file of v2, the controller and file of v1.
const SHOWN: [(&str, &str, &str, &str); 3] = [
    ("memory", "memory.max", "memory", "memory.limit_in_bytes"),
    ("pids", "pids.max", "pids", "pids.max"),
    ("cpu", "cpu.max", "cpu", "cpu.cfs_quota_us"),
];
/// v1 writes "no limit" as the highest page-aligned count; anything near it is none.
const UNLIMITED_FROM: u64 = 1 << 60;

/// The limits in words.
pub fn describe(proc: &Path) -> String {
    let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
    let mounts = cgroup_mounts(&read("self/mountinfo"));
    let membership = read("self/cgroup");
    let limits = SHOWN.map(|(name, v2, controller, v1)| {
        let directory = |wanted: &str| directory_of(&mounts, &membership, wanted);
        let unified = directory("").and_then(|directory| fs::read_to_string(directory.join(v2)).ok());
        let value = unified.or_else(|| fs::read_to_string(directory(controller)?.join(v1)).ok());
        format!("{name} {}", value.map_or_else(|| "not visible".to_owned(), |value| in_words(name, value.trim())))
    });
    limits.join(", ")
}

/// One cgroup hierarchy as mounted here: its controllers (none: v2), the cgroup at the mount, and where.
#[derive(Debug, PartialEq)]
struct CgroupMount {
    controllers: Vec<String>,
    root: String,
    target: PathBuf,
}

fn cgroup_mounts(mountinfo: &str) -> Vec<CgroupMount> {
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let controllers = match *right.first()? {
            "cgroup" => right.get(2)?.split(',').map(str::to_owned).collect(),
            "cgroup2" => Vec::new(),
            _ => return None,
        };
        Some(CgroupMount { controllers, root: (*left.get(3)?).to_owned(), target: PathBuf::from(left.get(4)?) })
    };
    mountinfo.lines().filter_map(parse).collect()
}

/// The directory of the own cgroup in the hierarchy of `controller` (`""`: v2).
fn directory_of(mounts: &[CgroupMount], membership: &str, controller: &str) -> Option<PathBuf> {
    let mount = mounts.iter().find(|mount| {
        if controller.is_empty() {
            mount.controllers.is_empty()
        } else {
            mount.controllers.iter().any(|name| name == controller)
        }
    })?;
    let own = membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields.next()?.split(',').any(|name| name == controller).then(|| fields.next())?
    })?;
    // Bind-mounted into a container, the mount shows the container's own cgroup; the path is then the host's.
    let below = Path::new(own).strip_prefix(&mount.root).unwrap_or_else(|_| Path::new(""));
    let directory = mount.target.join(below);
    Some(if directory.is_dir() { directory } else { mount.target.clone() })
}

fn in_words(name: &str, value: &str) -> String {
    let number = value.split(' ').next().unwrap_or(value);
    match (name, number.parse::<u64>()) {
        (_, Ok(count)) if count >= UNLIMITED_FROM => "unlimited".to_owned(),
        ("memory", Ok(bytes)) => format!("{} MiB", bytes >> 20),
        ("cpu", Ok(quota_us)) => {
            let period_us: u64 = value.split(' ').nth(1).and_then(|period| period.parse().ok()).unwrap_or(100_000);
            let hundredths = quota_us * 100 / period_us.max(1);
            format!("{}.{:02} of a processor", hundredths / 100, hundredths % 100)
        }
        (_, Ok(count)) => count.to_string(),
        // "max" of v2, "-1" of v1's quota.
        (_, Err(_)) => "unlimited".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_in_words() {
        for (name, value, expected) in [
            ("memory", "67108864", "64 MiB"),
            ("memory", "9223372036854771712", "unlimited"),
            ("memory", "max", "unlimited"),
            ("pids", "50", "50"),
            ("cpu", "50000 100000", "0.50 of a processor"),
            ("cpu", "max 100000", "unlimited"),
            ("cpu", "-1", "unlimited"),
            ("cpu", "150000", "1.50 of a processor"),
        ] {
            assert_eq!(in_words(name, value), expected, "{name} {value}");
        }
    }

    #[test]
    fn the_own_cgroup_is_found_in_both_versions() {
        let mounts = cgroup_mounts(
            "30 29 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
             31 29 0:27 / /sys/fs/cgroup/unified ro - cgroup2 cgroup rw\n\
             32 29 0:28 / /proc rw - proc proc rw",
        );
        assert_eq!(mounts.len(), 2);
        let membership = "5:memory:/docker/abc\n0::/\n";
        let found = |controller| directory_of(&mounts, membership, controller);
        assert_eq!(found("memory"), Some("/sys/fs/cgroup/memory".into()));
        assert_eq!(found(""), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(found("pids"), None);
    }
}
