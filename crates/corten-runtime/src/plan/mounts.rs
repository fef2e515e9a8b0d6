//! `mounts` → steps: what is made, with which attributes, and where it is attached.

use std::ffi::CString;
use std::path::{Component, Path};

use corten_cgroups::Cgroup;
use corten_sys::mount::{Change, Extent, Propagation, attr};
use corten_sys::openat2::InRootfs;

use super::idmap::{self, IdMap};
use super::mount_options::{Options, options};
use super::{BindFlags, NamespacePlan, c_string, cgroup_mounts, invalid, process};
use crate::spec::{Linux, Mount, SpecError};

/// One thing done in the container's tree.
#[derive(Debug)]
pub enum Step {
    /// A mount.
    Mount(Box<MountStep>),
    /// A symbolic link; one that exists is left.
    Link {
        /// Where it leads.
        target: CString,
        /// The directory it lies in.
        directory: InRootfs,
        /// Its name.
        name: CString,
    },
}

/// A mount.
#[derive(Debug)]
pub struct MountStep {
    /// Where.
    pub target: InRootfs,
    /// The same as text without `.` and `..`, which steps are compared by.
    pub path: String,
    /// What.
    pub source: Source,
    /// Whether a tree is shown once more, not a new filesystem.
    pub is_bind: bool,
    /// Attributes of the mount alone.
    pub attributes: Change,
    /// Those of a bind, which depend on its source's.
    pub of_bind: BindFlags,
    /// Attributes of the mount and those below it.
    pub recursive: Change,
    /// Propagation, and whether it goes to the mounts below.
    pub propagation: Option<(Propagation, Extent)>,
    /// What is set only after everything is mounted.
    pub last: Last,
    /// Whether the target must be a real directory, not a symlink: proc and sysfs (CVE-2019-19921).
    pub needs_real_directory: bool,
    /// Whether it may be attached inside a procfs: what lies there is read and written by the kernel's rules, and a
    /// mount on top redirects it (CVE-2019-16884).
    pub may_cover_proc: bool,
    /// The earlier step that made the empty filesystem this one lies directly in, and its name there: nobody else can
    /// have put anything on the way.
    pub inside: Option<(usize, CString)>,
    /// Whether the filesystem counts the changes of each file (`iversion`), which mount(2) alone can ask for.
    pub counts_versions: bool,
    /// Whether what is mounted there already is changed, instead of something mounted on it.
    pub is_remount: bool,
    /// The options in one string, where one call makes and attaches the filesystem.
    pub one_call: Option<CString>,
    /// Whether no step before can have mounted anything on the way to it.
    pub is_on_root: bool,
    /// Whose owners it shows.
    pub id_map: Option<IdMap>,
    /// What its root is labelled once it is mounted (SELinux), where the filesystem takes no option that says so.
    pub root_label: Option<CString>,
    /// Whether a final symlink of the source is shown itself.
    pub source_nofollow: bool,
    /// Whether a final symlink of the target is covered itself.
    pub target_nofollow: bool,
    /// The filesystem and the destination as the spec has them, for messages.
    pub described: (String, String),
}

/// What a mount is given once nothing is made in it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Nothing: it has everything from the start.
    Nothing,
    /// It becomes read-only: targets are made in it.
    ReadOnly,
    /// Its attributes, and with it those of all that is mounted in it: one call for many mounts.
    AllBelow,
    /// What the mount it lies in is given.
    WithParent,
}

impl MountStep {
    /// Whether it is a new filesystem with nothing in it.
    fn is_empty_filesystem(&self) -> bool {
        let is_empty =
            matches!(&self.source, Source::New { fstype, copies_up: false, .. } if fstype.as_c_str() == c"tmpfs");
        is_empty && !self.is_remount
    }

    /// Labels what is in a new filesystem (SELinux): the kernel's own views have labels of the policy's, and a queue
    /// takes one for its root only.
    fn label(&mut self, label: &CString) {
        let Source::New { fstype, options, .. } = &mut self.source else { return };
        if self.is_remount {
            return;
        }
        match fstype.as_bytes() {
            b"proc" | b"sysfs" => {}
            b"mqueue" => self.root_label = Some(label.clone()),
            _ => options.push((c"context".to_owned(), Some(label.clone()))),
        }
    }

    /// The path on the host of a bind; empty for a new filesystem.
    #[must_use]
    pub fn source_text(&self) -> String {
        match &self.source {
            Source::Bind { source, .. } => source.to_string_lossy().into_owned(),
            Source::Inside { path, .. } => path.display().to_string(),
            Source::New { .. } => String::new(),
        }
    }
}

/// What is mounted.
#[derive(Debug)]
pub enum Source {
    /// A new instance of a filesystem.
    New {
        /// Its name.
        fstype: CString,
        /// Its source, when it has one.
        source: Option<CString>,
        /// Its options, with values where they have one.
        options: Vec<(CString, Option<CString>)>,
        /// A tmpfs without `mode=`: it takes the permission bits of the directory it covers.
        takes_mode: bool,
        /// Whether it begins with what the directory it covers holds (`tmpcopyup`).
        copies_up: bool,
    },
    /// A tree of the host.
    Bind {
        /// Its path on the host.
        source: CString,
        /// Whether mounts below it come with it.
        extent: Extent,
        /// Whether it is a directory for sure, so that nobody need look.
        is_directory: bool,
    },
    /// A part of the container's own tree, as the mounts before it have made it.
    Inside {
        /// Its path in the container.
        path: InRootfs,
        /// Whether mounts below it come with it.
        extent: Extent,
    },
}

/// Files of procfs that tools such as lxcfs replace: runc's list.
const PROC_FILES: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// Whether the mount binds /dev itself, so that nothing is made in it.
pub(super) fn binds_dev(mount: &Mount) -> bool {
    is_bind(mount) && mount.destination.trim_end_matches('/') == "/dev"
}

pub(super) fn is_bind(mount: &Mount) -> bool {
    mount.fstype == "bind" || mount.options.iter().any(|option| option == "bind" || option == "rbind")
}

/// Where the bundle and its root filesystem are on the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// What relative sources are relative to.
    pub bundle: &'a Path,
    /// What sources and destinations may begin with when the container's own tree is meant.
    pub rootfs: &'a Path,
}

impl Places<'_> {
    /// The path in the container of a path on the host that leads into the root filesystem.
    fn inside(&self, path: &Path) -> Option<String> {
        // Where the whole host is the root there is nothing to tell apart.
        self.rootfs.parent()?;
        let rest = path.strip_prefix(self.rootfs).ok()?;
        let climbs = rest.components().any(|part| part == Component::ParentDir);
        (!climbs).then(|| clean(&rest.to_string_lossy()))
    }
}

pub(super) fn plan(
    mounts: &[Mount],
    places: &Places<'_>,
    cgroup: &Cgroup,
    namespaces: &NamespacePlan,
    linux: &Linux,
) -> Result<Vec<Step>, SpecError> {
    let label = process::label("linux.mountLabel", &linux.mount_label)?;
    let mut steps = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.iter().enumerate() {
        let key = format!("mounts[{index}]");
        if mount.destination.is_empty() {
            return Err(invalid(key, "destination must be given"));
        }
        let options = options(&key, mount)?;
        if mount.fstype == "cgroup" && !is_bind(mount) {
            steps.extend(cgroup_mounts::steps(&key, mount, &options, cgroup, namespaces)?);
        } else {
            let id_map = idmap::plan(&key, mount, &options, namespaces, linux)?;
            if options.is_remount && id_map.is_some() {
                return Err(invalid(key, "owners are mapped when something is mounted, not by \"remount\""));
            }
            let mut step = MountStep { id_map, ..step(&key, mount, options, places)? };
            if let Some(label) = &label {
                step.label(label);
            }
            steps.push(Step::Mount(Box::new(step)));
        }
    }
    for index in 0..steps.len() {
        let inside = fresh_parent(&steps, index);
        let is_on_root = is_on_root(&steps, index);
        if let Step::Mount(step) = &mut steps[index] {
            step.inside = inside;
            step.is_on_root = is_on_root;
        }
    }
    Ok(steps)
}

/// The new tmpfs whose root is the directory `path` is in, when nothing that was mounted since can stand in the way: a
/// symlink of the image may lead any mount anywhere, but not those in filesystems made here.
pub(super) fn fresh(steps: &[Step], path: &str) -> Option<usize> {
    let is_there = |step: &Step| matches!(step, Step::Mount(step) if step.path == path);
    let made = steps.iter().rposition(is_there)?;
    let is_empty = matches!(&steps[made], Step::Mount(step) if step.is_empty_filesystem());
    (is_empty && is_undisturbed(&steps[made + 1..], path)).then_some(made)
}

fn fresh_parent(steps: &[Step], index: usize) -> Option<(usize, CString)> {
    let Step::Mount(step) = &steps[index] else { return None };
    if step.target_nofollow || step.is_remount || step.counts_versions {
        return None;
    }
    let (parent, name) = step.path.rsplit_once('/').filter(|(parent, name)| !parent.is_empty() && !name.is_empty())?;
    let made = fresh(&steps[..index], parent)?;
    CString::new(name).ok().map(|name| (made, name))
}

/// By the paths alone: a symlink may still have led another mount there, which shows when the path is walked.
fn is_on_root(steps: &[Step], index: usize) -> bool {
    let Step::Mount(own) = &steps[index] else { return false };
    let is_above =
        |step: &Step| matches!(step, Step::Mount(step) if own.path == step.path || lies_below(&own.path, &step.path));
    !steps[..index].iter().any(is_above)
}

/// Whether `path` lies below the directory `above`; both without `.` and `..`.
fn lies_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether every step can only have been attached below `path`, or in another filesystem made here.
fn is_undisturbed(since: &[Step], path: &str) -> bool {
    let mut roots = vec![path];
    since.iter().all(|step| {
        let Step::Mount(step) = step else { return true };
        let is_safe = step.needs_real_directory || roots.iter().any(|root| lies_below(&step.path, root));
        if is_safe && matches!(step.source, Source::New { .. }) {
            roots.push(&step.path);
        }
        is_safe && !lies_below(path, &step.path) && step.path != path
    })
}

fn step(key: &str, mount: &Mount, mut options: Options, places: &Places<'_>) -> Result<MountStep, SpecError> {
    // runc takes a destination that begins with the root filesystem's path on the host for one in it.
    let destination = places.inside(Path::new(&mount.destination)).unwrap_or_else(|| clean(&mount.destination));
    let target = InRootfs::new(&destination).map_err(|_| invalid(key, "destination holds a NUL byte"))?;
    let described = (mount.fstype.clone(), mount.destination.clone());
    let source = source(key, mount, &mut options, places)?;
    let mut attributes = if is_bind(mount) { Change::default() } else { options.attributes };
    let mut last = Last::Nothing;
    // What is mounted later may need a directory made in a tmpfs.
    if mount.fstype == "tmpfs" && !is_bind(mount) && attributes.set & attr::RDONLY != 0 {
        last = Last::ReadOnly;
        attributes.set &= !attr::RDONLY;
    }
    let needs_real_directory = matches!(mount.fstype.as_str(), "proc" | "sysfs") && !is_bind(mount);
    if destination == "/proc" && mount.fstype != "proc" && !is_bind(mount) {
        return Err(invalid(key, format!("{:?} on /proc: only a procfs can be mounted there", mount.fstype)));
    }
    Ok(MountStep {
        may_cover_proc: mount.fstype == "proc" || PROC_FILES.contains(&destination.as_str()),
        path: destination,
        target,
        source,
        is_bind: is_bind(mount),
        attributes,
        of_bind: if is_bind(mount) { options.of_bind } else { BindFlags::default() },
        recursive: options.recursive,
        propagation: options.propagation,
        last,
        needs_real_directory,
        inside: None,
        counts_versions: options.counts_versions,
        is_remount: options.is_remount,
        one_call: None,
        is_on_root: false,
        id_map: None,
        root_label: None,
        source_nofollow: options.source_nofollow,
        target_nofollow: options.target_nofollow,
        described,
    })
}

fn source(key: &str, mount: &Mount, options: &mut Options, places: &Places<'_>) -> Result<Source, SpecError> {
    if is_bind(mount) && !options.is_remount {
        return bound(key, mount, options, places);
    }
    if mount.fstype.is_empty() && !is_bind(mount) {
        return Err(invalid(key, "type must be given"));
    }
    if options.copies_up && mount.fstype != "tmpfs" {
        return Err(invalid(key, "tmpcopyup is for a tmpfs"));
    }
    if options.copies_up && options.is_remount {
        return Err(invalid(key, "options \"remount\" and \"tmpcopyup\" do not go together"));
    }
    let has_mode = options.data.iter().any(|(name, _)| name.as_c_str() == c"mode");
    let has_source = !mount.source.is_empty() && mount.source != "none";
    Ok(Source::New {
        fstype: c_string(key, mount.fstype.as_str())?,
        source: if has_source { Some(c_string(key, mount.source.as_str())?) } else { None },
        takes_mode: mount.fstype == "tmpfs" && !has_mode && !options.is_remount,
        copies_up: options.copies_up,
        options: std::mem::take(&mut options.data),
    })
}

fn bound(key: &str, mount: &Mount, options: &Options, places: &Places<'_>) -> Result<Source, SpecError> {
    if mount.source.is_empty() {
        return Err(invalid(key, "a bind mount needs a source"));
    }
    let source = places.bundle.join(&mount.source);
    let extent = if options.is_recursive_bind { Extent::Recursive } else { Extent::Single };
    match places.inside(&source) {
        Some(path) => {
            let path = InRootfs::new(&path).map_err(|_| invalid(key, "source holds a NUL byte"))?;
            Ok(Source::Inside { path, extent })
        }
        None => {
            let source = c_string(key, source.into_os_string().into_encoded_bytes())?;
            Ok(Source::Bind { source, extent, is_directory: false })
        }
    }
}

/// `readonlyPaths`. Below a procfs made here nothing is mounted but what may be: another procfs, and the files of
/// [`PROC_FILES`].
pub(super) fn read_only(paths: &[String], steps: &[Step]) -> Result<Vec<(InRootfs, Extent)>, SpecError> {
    let mounts = || steps.iter().filter_map(|step| if let Step::Mount(step) = step { Some(step) } else { None });
    let mut covering = mounts().filter(|step| step.may_cover_proc);
    let procfs = covering.next().filter(|step| step.needs_real_directory);
    let procfs = procfs.filter(|_| covering.next().is_none());
    let with_extent = super::in_rootfs("linux.readonlyPaths", paths)?.into_iter().zip(paths).map(|(inside, path)| {
        let is_bare = procfs.is_some_and(|procfs| lies_below(&clean(path), &procfs.path));
        (inside, if is_bare { Extent::Single } else { Extent::Recursive })
    });
    Ok(with_extent.collect())
}

/// The path without `.` and `..`, as runc cleans it: `..` is taken literally, before any symlink is looked at.
pub(super) fn clean(path: &str) -> String {
    let mut clean = String::with_capacity(1 + path.len());
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => clean.truncate(clean.rfind('/').unwrap_or(0)),
            part => {
                clean.push('/');
                clean.push_str(part);
            }
        }
    }
    if clean.is_empty() { "/".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_cgroups::{Hierarchy, Host, Unified};

    fn places() -> Places<'static> {
        Places { bundle: Path::new("/b"), rootfs: Path::new("/b/rootfs") }
    }

    fn planned(json: &str) -> Result<Vec<Step>, String> {
        let mount: Mount = serde_json::from_str(json).expect(json);
        plan(&[mount], &places(), &hybrid(), &namespaces(""), &Linux::default()).map_err(|error| error.to_string())
    }

    fn namespaces(more: &str) -> NamespacePlan {
        let json = format!(r#"{{"namespaces":[{{"type":"mount"}}{more}]}}"#);
        let linux: Linux = serde_json::from_str(&json).expect("parses");
        super::super::namespaces::plan(&linux).expect("plans")
    }

    fn hybrid() -> Cgroup {
        let hierarchy = |controllers: &[&str]| Hierarchy {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            mount: Path::new("/cg").join(controllers.join(",")),
            own: "/".to_owned(),
        };
        let host = Host {
            v1: vec![hierarchy(&["cpu", "cpuacct"]), hierarchy(&["name=systemd"])],
            unified: Some(Unified { mount: "/cg/unified".into(), own: "/".into() }),
        };
        host.place(Some("/web"), "web")
    }

    fn one(json: &str) -> MountStep {
        match planned(json).expect(json).remove(0) {
            Step::Mount(step) => *step,
            Step::Link { .. } => panic!("a link"),
        }
    }

    #[test]
    fn options_are_sorted_by_what_they_change() {
        let step = one(r#"{"destination":"/dev","type":"tmpfs","source":"tmpfs",
                "options":["nosuid","strictatime","mode=755","size=65536k","ro"]}"#);
        assert_eq!(step.attributes.set, attr::NOSUID | attr::STRICTATIME);
        assert_eq!(step.last, Last::ReadOnly, "targets are made in a tmpfs before it becomes read-only");
        let Source::New { options, takes_mode, .. } = step.source else { panic!("not new") };
        assert_eq!(options[0], (c"mode".to_owned(), Some(c"755".to_owned())));
        assert_eq!((options.len(), takes_mode), (2, false));
    }

    #[test]
    fn a_bind_is_taken_from_the_bundle() {
        let step =
            one(r#"{"destination":"/x/../etc","type":"bind","source":"data","options":["rbind","rro","rprivate"]}"#);
        let Source::Bind { source, extent, .. } = &step.source else { panic!("not a bind") };
        assert_eq!((source.as_c_str(), *extent), (c"/b/data", Extent::Recursive));
        assert_eq!(step.recursive.set, attr::RDONLY);
        assert_eq!(step.propagation, Some((Propagation::Private, Extent::Recursive)));
        assert_eq!(step.target.display().to_string(), "/etc");
    }

    #[test]
    fn what_lies_in_a_filesystem_just_made_is_attached_there() {
        let list = r#"[{"destination":"/dev","type":"tmpfs"},{"destination":"/dev/pts","type":"devpts"},
            {"destination":"/sys","type":"sysfs"},{"destination":"/dev/shm","type":"tmpfs"},
            {"destination":"/data","type":"bind","source":"/a"},{"destination":"/dev/mqueue","type":"mqueue"}]"#;
        let list: Vec<Mount> = serde_json::from_str(list).expect("parses");
        let steps = plan(&list, &places(), &hybrid(), &namespaces(""), &Linux::default()).expect("plans");
        let inside: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::Mount(step) => step.inside.as_ref().map(|(made, name)| (*made, name.as_c_str())),
                Step::Link { .. } => None,
            })
            .collect();
        // After /data, which an image can make a symlink to /dev, nothing is known any more.
        assert_eq!(inside, [None, Some((0, c"pts")), None, Some((0, c"shm")), None, None]);
    }

    #[test]
    fn what_lies_in_the_root_filesystem_is_meant_as_the_container_sees_it() {
        let step = one(r#"{"destination":"/b/rootfs/x/y","source":"rootfs/../rootfs/data","options":["rbind"]}"#);
        assert!(matches!(step.source, Source::Bind { .. }), "only a path that plainly leads there");
        let step = one(r#"{"destination":"/b/rootfs/x/y","source":"./rootfs/data/","options":["rbind"]}"#);
        let Source::Inside { path, extent } = &step.source else { panic!("on the host") };
        assert_eq!((path.display().to_string(), *extent), ("/data".to_owned(), Extent::Recursive));
        assert_eq!(step.target.display().to_string(), "/x/y");
    }

    #[test]
    fn a_later_option_wins() {
        let step = one(r#"{"destination":"/a","type":"bind","source":"/a","options":["ro","nosuid","rw"]}"#);
        assert_eq!(step.of_bind.change().set, attr::NOSUID);
        assert!(step.attributes.is_empty(), "they depend on the source's");
    }

    #[test]
    fn only_a_procfs_is_mounted_on_proc_and_only_known_files_inside() {
        let error = planned(r#"{"destination":"//proc/","type":"tmpfs","source":"a"}"#).expect_err("refused");
        assert_eq!(error, "mounts[0]: \"tmpfs\" on /proc: only a procfs can be mounted there");
        for (destination, allowed) in [("/proc/meminfo", true), ("/proc/self/attr", false), ("/data", false)] {
            let json = format!(r#"{{"destination":"{destination}","type":"bind","source":"/a","options":["bind"]}}"#);
            assert_eq!(one(&json).may_cover_proc, allowed, "{destination}");
        }
    }

    #[test]
    fn new_filesystems_are_labelled_where_they_can_be() {
        let mounts = r#"[{"destination":"/a","type":"tmpfs"},{"destination":"/b","type":"proc"},
            {"destination":"/c","type":"mqueue"},{"destination":"/d","source":"/x","options":["bind"]}]"#;
        let mounts: Vec<Mount> = serde_json::from_str(mounts).expect("parses");
        let linux: Linux = serde_json::from_str(r#"{"mountLabel":"a:b:c:s0:c1,c2"}"#).expect("parses");
        let steps = plan(&mounts, &places(), &hybrid(), &namespaces(""), &linux).expect("plans");
        let labels = steps.iter().map(|step| {
            let Step::Mount(step) = step else { panic!("a mount") };
            let option = match &step.source {
                Source::New { options, .. } => options.iter().find(|(name, _)| name.as_c_str() == c"context"),
                _ => None,
            };
            (option.and_then(|(_, value)| value.clone()), step.root_label.clone())
        });
        let label = Some(c"a:b:c:s0:c1,c2".to_owned());
        let expected = [(label.clone(), None), (None, None), (None, label), (None, None)];
        assert_eq!(labels.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_not_built_yet_is_refused_by_name() {}

    #[test]
    fn cgroups_of_v1_are_one_mount_each_with_links_for_the_names() {
        let mount: Mount = serde_json::from_str(
            r#"{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["ro","nosuid"]}"#,
        )
        .expect("parses");
        let describe = |namespaces: &NamespacePlan| -> Vec<String> {
            let steps =
                plan(std::slice::from_ref(&mount), &places(), &hybrid(), namespaces, &Linux::default()).expect("plans");
            let words = steps.iter().map(|step| match step {
                Step::Link { target, name, .. } => format!("{name:?} -> {target:?}"),
                Step::Mount(step) => match &step.source {
                    Source::New { fstype, .. } => format!("{fstype:?} on {}", step.target.display()),
                    Source::Bind { source, .. } => format!("{source:?} on {}", step.target.display()),
                    Source::Inside { .. } => panic!("in the container"),
                },
            });
            words.collect()
        };
        assert_eq!(
            describe(&namespaces("")),
            [
                "\"tmpfs\" on /sys/fs/cgroup",
                "\"/cg/cpu,cpuacct/web\" on /sys/fs/cgroup/cpu,cpuacct",
                "\"cpu\" -> \"cpu,cpuacct\"",
                "\"cpuacct\" -> \"cpu,cpuacct\"",
                "\"/cg/name=systemd/web\" on /sys/fs/cgroup/systemd",
            ]
        );
        assert_eq!(describe(&namespaces(r#",{"type":"cgroup"}"#))[1], "\"cgroup\" on /sys/fs/cgroup/cpu,cpuacct");
    }
}
