//! `linux.namespaces` and the id mappings: which are made by clone3, which are joined by path.

use std::ffi::CString;
use std::fmt::Write;

use corten_sys::clone::Namespaces;

use super::{c_string, invalid};
use crate::spec::{IdMapping, Linux, SpecError};

/// The kernel takes that many lines in uid_map (user_namespaces(7)).
const MAPPINGS_MAX: usize = 340;

/// Namespaces made and joined.
#[derive(Debug, Default)]
pub struct NamespacePlan {
    /// New ones.
    pub new: Namespaces,
    /// Joined ones, in the order of joining: user first, which gives the right to the others.
    pub joined: Vec<Joined>,
    /// What is written to uid_map and gid_map.
    pub id_maps: Option<(String, String)>,
    /// The user and group 0 inside, as the host sees them.
    pub root_owner: (u32, u32),
    /// What is written to timens_offsets.
    pub time_offsets: Option<String>,
}

/// A namespace joined by path.
#[derive(Debug)]
pub struct Joined {
    /// Its kind.
    pub kind: Namespaces,
    /// Its kind's name in the specification.
    pub name: &'static str,
    /// Its path.
    pub path: CString,
}

impl NamespacePlan {
    /// Whether a new user namespace is made.
    #[must_use]
    pub fn is_user_new(&self) -> bool {
        self.new.contains(Namespaces::USER)
    }

    fn has_own(&self, kind: Namespaces) -> bool {
        self.new.contains(kind) || self.joined.iter().any(|joined| joined.kind == kind)
    }

    /// Whether the container's host name is not the host's.
    #[must_use]
    pub fn has_own_uts(&self) -> bool {
        self.has_own(Namespaces::UTS)
    }

    /// Whether the container's network is not the host's.
    #[must_use]
    pub fn has_own_network(&self) -> bool {
        self.has_own(Namespaces::NETWORK)
    }

    /// Whether the container's IPC objects are not the host's.
    #[must_use]
    pub fn has_own_ipc(&self) -> bool {
        self.has_own(Namespaces::IPC)
    }

    /// Whether the container sees its own part of the cgroup tree.
    #[must_use]
    pub fn has_own_cgroup(&self) -> bool {
        self.has_own(Namespaces::CGROUP)
    }

    /// Whether the container's mounts are not the host's.
    #[must_use]
    pub fn has_own_mounts(&self) -> bool {
        self.has_own(Namespaces::MOUNT)
    }

    /// Whether the container's process ids are not the host's.
    #[must_use]
    pub fn has_own_pid(&self) -> bool {
        self.has_own(Namespaces::PID)
    }

    /// Whether the container's users are not the host's.
    #[must_use]
    pub fn has_own_users(&self) -> bool {
        self.has_own(Namespaces::USER)
    }

    /// The namespace files of the process `pid`, by runc's names: the container's, and the host's where it has none.
    #[must_use]
    pub fn paths(&self, pid: i32) -> std::collections::BTreeMap<String, String> {
        const FILES: [&str; 8] = ["user", "ipc", "uts", "net", "pid", "mnt", "cgroup", "time"];
        let kinds = KINDS.iter().zip(FILES).filter(|((_, _, kind), _)| self.has_own(*kind));
        kinds.map(|((_, key, _), file)| ((*key).to_owned(), format!("/proc/{pid}/ns/{file}"))).collect()
    }

    /// The kinds an exec enters.
    #[must_use]
    pub fn all(&self) -> Namespaces {
        self.joined.iter().fold(self.new, |all, joined| all.with(joined.kind))
    }
}

/// The specification's names, with runc's key in state.json, in the order of joining.
pub const KINDS: [(&str, &str, Namespaces); 8] = [
    ("user", "NEWUSER", Namespaces::USER),
    ("ipc", "NEWIPC", Namespaces::IPC),
    ("uts", "NEWUTS", Namespaces::UTS),
    ("network", "NEWNET", Namespaces::NETWORK),
    ("pid", "NEWPID", Namespaces::PID),
    ("mount", "NEWNS", Namespaces::MOUNT),
    ("cgroup", "NEWCGROUP", Namespaces::CGROUP),
    ("time", "NEWTIME", Namespaces::TIME),
];

pub(super) fn plan(linux: &Linux) -> Result<NamespacePlan, SpecError> {
    let mut plan = NamespacePlan::default();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let key = format!("linux.namespaces[{index}]");
        let Some((name, _, kind)) = KINDS.into_iter().find(|(name, ..)| *name == namespace.kind) else {
            return Err(invalid(key, format!("namespace {:?} does not exist", namespace.kind)));
        };
        if plan.has_own(kind) {
            return Err(invalid(key, format!("malformed spec file: duplicated ns {name:?}")));
        }
        if namespace.path.is_empty() {
            plan.new = plan.new.with(kind);
        } else {
            let path = c_string(&key, namespace.path.as_str())?;
            plan.joined.push(Joined { kind, name, path });
        }
    }
    plan.joined.sort_by_key(|joined| KINDS.iter().position(|(name, ..)| *name == joined.name));
    plan.time_offsets = time_offsets(linux, &plan)?;
    plan_mappings(linux, &mut plan)?;
    Ok(plan)
}

fn plan_mappings(linux: &Linux, plan: &mut NamespacePlan) -> Result<(), SpecError> {
    let given = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    if !plan.is_user_new() {
        let joins = plan.has_own(Namespaces::USER);
        // A joined namespace has its mappings already; runtimes are given them to know who owns what.
        return if given && !joins {
            Err(invalid("linux.uidMappings", "mappings specified, but no user namespace is"))
        } else {
            Ok(())
        };
    }
    let uid_map = map("linux.uidMappings", &linux.uid_mappings)?;
    let gid_map = map("linux.gidMappings", &linux.gid_mappings)?;
    let owner = |key: &str, mappings: &[IdMapping]| {
        host_id(0, mappings).ok_or_else(|| invalid(key, "cannot find the mapping of id 0"))
    };
    plan.root_owner =
        (owner("linux.uidMappings", &linux.uid_mappings)?, owner("linux.gidMappings", &linux.gid_mappings)?);
    plan.id_maps = Some((uid_map, gid_map));
    Ok(())
}

/// `id` inside, as the host sees it.
fn host_id(id: u32, mappings: &[IdMapping]) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = id.checked_sub(mapping.container_id).filter(|offset| *offset < mapping.size)?;
        mapping.host_id.checked_add(offset)
    })
}

pub(super) fn map(key: &str, mappings: &[IdMapping]) -> Result<String, SpecError> {
    if mappings.is_empty() {
        return Err(invalid(key, "a new user namespace needs mappings"));
    }
    if mappings.len() > MAPPINGS_MAX {
        return Err(invalid(key, format!("{} mappings; the kernel takes {MAPPINGS_MAX}", mappings.len())));
    }
    let mut text = String::new();
    for mapping in mappings {
        let _ = writeln!(text, "{} {} {}", mapping.container_id, mapping.host_id, mapping.size); // cannot fail
    }
    Ok(text)
}

fn time_offsets(linux: &Linux, plan: &NamespacePlan) -> Result<Option<String>, SpecError> {
    if linux.time_offsets.is_empty() {
        return Ok(None);
    }
    if !plan.new.contains(Namespaces::TIME) {
        return Err(invalid("linux.timeOffsets", "time namespace offsets specified, but no new time namespace is"));
    }
    let mut text = String::new();
    for (clock, offset) in &linux.time_offsets {
        if !matches!(clock.as_str(), "boottime" | "monotonic") {
            return Err(invalid("linux.timeOffsets", format!("{clock:?} is no clock of a time namespace")));
        }
        let _ = writeln!(text, "{clock} {} {}", offset.secs, offset.nanosecs); // writing to a String cannot fail
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(json: &str) -> Result<NamespacePlan, String> {
        let linux: Linux = serde_json::from_str(json).expect(json);
        plan(&linux).map_err(|error| error.to_string())
    }

    #[test]
    fn user_is_joined_first() {
        let json = r#"{"namespaces":[{"type":"mount"},{"type":"network","path":"/n"},{"type":"user","path":"/u"}]}"#;
        let plan = planned(json).expect("plans");
        let names: Vec<_> = plan.joined.iter().map(|joined| joined.name).collect();
        assert_eq!(names, ["user", "network"]);
        assert_eq!(plan.new, Namespaces::MOUNT);
    }

    #[test]
    fn mappings_become_the_kernels_lines() {
        let json = r#"{"namespaces":[{"type":"mount"},{"type":"user"}],
            "uidMappings":[{"containerID":1,"hostID":5,"size":1},{"containerID":0,"hostID":1000,"size":1}],
            "gidMappings":[{"containerID":0,"hostID":2000,"size":10}]}"#;
        let plan = planned(json).expect("plans");
        assert_eq!(plan.id_maps, Some(("1 5 1\n0 1000 1\n".to_owned(), "0 2000 10\n".to_owned())));
        assert_eq!(plan.root_owner, (1000, 2000));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (json, text) in [
            (r#"{"namespaces":[{"type":"x"}]}"#, "linux.namespaces[0]: namespace \"x\" does not exist"),
            (
                r#"{"namespaces":[{"type":"pid"},{"type":"pid"}]}"#,
                "linux.namespaces[1]: malformed spec file: duplicated ns \"pid\"",
            ),
            (
                r#"{"namespaces":[{"type":"mount"},{"type":"user"}]}"#,
                "linux.uidMappings: a new user namespace needs mappings",
            ),
            (
                r#"{"namespaces":[{"type":"mount"}],"timeOffsets":{"boottime":{"secs":1}}}"#,
                "linux.timeOffsets: time namespace offsets specified, but no new time namespace is",
            ),
        ] {
            assert_eq!(planned(json).expect_err(json), text);
        }
        let many = (0..400).map(|id| format!(r#"{{"containerID":{id},"hostID":{id},"size":1}}"#)).collect::<Vec<_>>();
        let json =
            format!(r#"{{"namespaces":[{{"type":"mount"}},{{"type":"user"}}],"uidMappings":[{}]}}"#, many.join(","));
        assert_eq!(planned(&json).expect_err("too many"), "linux.uidMappings: 400 mappings; the kernel takes 340");
    }
}
