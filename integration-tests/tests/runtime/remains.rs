//! What a container leaves behind, of every kind the kernel keeps, and that each kind is seen.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use corten_sys::bpf;
use integration_tests::{DEADLINE, wait_for};

use crate::{Host, nth_call, text};

/// The traces of one container of `host`.
pub struct Remains<'h> {
    host: &'h Host,
    id: &'h str,
    /// Device programs that were loaded before.
    programs: BTreeSet<u32>,
}

impl<'h> Remains<'h> {
    /// What is there now of programs is nobody's of this container.
    pub fn new(host: &'h Host, id: &'h str) -> Remains<'h> {
        Remains { host, id, programs: device_programs() }
    }

    /// `delete --force`, after which nothing of the container is left.
    #[track_caller]
    pub fn clean(&self, after: &str) {
        let deleted = self.host.run(&["delete", "--force", self.id]);
        assert_eq!(deleted.code, 0, "{after}: {deleted:?}");
        // Processes that were killed by the end of their creator take their time.
        let first = self.left();
        if !first.is_empty() {
            wait_for(&format!("nothing to be left after {after}: {first:?}"), DEADLINE, || self.left().is_empty());
        }
    }

    /// In all hierarchies, the mount table, processes with their network namespaces, device programs, the state.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = integration_tests::cgroups::marked(self.id)
            .iter()
            .map(|path| format!("cgroup {}", path.display()))
            .collect();
        for mount in integration_tests::mounts() {
            let target = mount.target.to_string_lossy().into_owned();
            if [&target, &mount.root, &mount.source, &mount.options].iter().any(|part| part.contains(self.id)) {
                left.push(format!("mount of {} {} at {target}", mount.fstype, mount.root));
            }
        }
        left.extend(processes(self.id));
        let programs = device_programs();
        left.extend(programs.difference(&self.programs).map(|id| format!("device program {id}")));
        let state = fs::read_dir(self.host.state()).into_iter().flatten().flatten();
        left.extend(state.map(|entry| format!("state {}", entry.path().display())));
        left
    }

    /// The container's session keyring. The kernel collects one that nobody has any more within seconds.
    pub fn keyrings(&self) -> Vec<String> {
        let keys = fs::read_to_string("/proc/keys").unwrap_or_default();
        keys.lines().filter(|line| line.contains(&format!("_ses.{}", self.id))).map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn wait_for_keyrings(&self) {
        let what = format!("the keyrings of {} to be collected", self.id);
        wait_for(&what, DEADLINE, || self.keyrings().is_empty());
    }
}

fn device_programs() -> BTreeSet<u32> {
    bpf::device_programs().expect("root may list them").into_iter().collect()
}

/// Processes with the container's id in their arguments or their cgroup's path, and their network namespaces.
fn processes(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let file = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let carries = |text: &[u8]| String::from_utf8_lossy(text).contains(id);
        if !entry.file_name().as_encoded_bytes()[0].is_ascii_digit()
            || !(carries(&file("cgroup")) || carries(&file("cmdline")))
        {
            continue;
        }
        // One that has ended has no memory, and so no arguments: only its parent has not asked for it.
        if !file("cmdline").is_empty() {
            let namespace = fs::read_link(entry.path().join("ns/net")).unwrap_or_default();
            found.push(format!("process {} in {}", text(&entry.path()), namespace.display()));
        }
    }
    found
}

/// `r0 = 1; exit`: every device is allowed.
const ALLOW_ALL: [bpf::Instruction; 2] = [
    bpf::Instruction { code: 0xb4, registers: 0, offset: 0, immediate: 1 },
    bpf::Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
];

#[test]
fn what_is_left_is_seen() {
    let host = Host::new();
    let id = format!("planted-{}", host.root.name());
    let bundle = nth_call::bundle(&host, &id);
    let remains = Remains::new(&host, &id);
    assert_eq!(remains.left(), Vec::<String>::new());
    // A whole container.
    host.create(&id, &bundle);
    let left = remains.left().join("\n");
    for trace in ["cgroup /sys/fs/cgroup", "process /proc/", "in net:[", "state "] {
        assert!(left.contains(trace), "{trace} in {left}");
    }
    assert_eq!(remains.keyrings().len(), 1);
    remains.clean("nothing was killed");
    remains.wait_for_keyrings();
}

/// Each kind alone: it is counted, as what it is, and no more when it is gone.
#[test]
fn a_leak_of_each_kind_is_seen_alone() {
    let host = Host::new();
    let id = format!("leak-{}", host.root.name());
    let remains = Remains::new(&host, &id);
    let only = |kind: &str| {
        let left = remains.left();
        assert!(left.len() == 1 && left[0].starts_with(kind), "{kind}: {left:?}");
    };
    let nothing = || wait_for(&format!("what was planted for {id} to go"), DEADLINE, || remains.left().is_empty());

    for hierarchy in integration_tests::cgroups::hierarchies() {
        let planted = hierarchy.join(&id);
        fs::create_dir(&planted).expect("root may make a cgroup");
        only(&format!("cgroup {}", planted.display()));
        fs::remove_dir(&planted).expect("nobody is in it");
    }
    let target = host.root.make(&id);
    let run =
        |arguments: &[&str]| assert!(Command::new(arguments[0]).args(&arguments[1..]).status().unwrap().success());
    run(&["mount", "-t", "tmpfs", "planted", text(&target)]);
    only("mount of tmpfs");
    run(&["umount", text(&target)]);
    // A network namespace that only a file holds.
    let file = target.join("netns");
    fs::write(&file, "").expect("the root is writable");
    run(&["unshare", &format!("--net={}", text(&file)), "true"]);
    only("mount of nsfs net:[");
    run(&["umount", text(&file)]);

    let mut sleep = Command::new("sleep");
    let mut sleep = sleep.arg0(&id).arg("1000").stdin(Stdio::null()).spawn().expect("it starts");
    wait_for("the process to have its name", DEADLINE, || remains.left().len() == 1);
    only("process ");
    sleep.kill().expect("it runs");
    let _ = sleep.wait().expect("it is ours");

    let program = bpf::load_device_program(&ALLOW_ALL).expect("the kernel takes it");
    assert!(remains.left().iter().any(|left| left.starts_with("device program ")), "{:?}", remains.left());
    drop(program);
    fs::create_dir_all(host.state().join("x")).expect("the root is writable");
    only("state ");
    fs::remove_dir(host.state().join("x")).expect("it is empty");
    nothing();
}
