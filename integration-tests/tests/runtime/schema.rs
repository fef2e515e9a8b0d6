//! Every field of config.json (runtime-spec 1.3), set to something else than its default: its effect is seen from inside
//! the container or in its cgroups, or it is refused by its name. Nothing is passed over.
//!
//! The table is checked against the list of fields below, which is the specification's Go types (specs-go/config.go),
//! so that a field without a row fails, and one that is read and has no effect is found.

use std::{collections::BTreeSet, fs, path::Path};

use integration_tests::Ran;
use serde_json::{Value, json};

use crate::{Host, push};

/// The specification's fields that concern Linux, by their path; `[]` is an element of a list, `{}` of a map.
const FIELDS: &str = include_str!("schema.txt");

/// What a field set to a value shows.
enum Shown {
    /// The script prints exactly this.
    Prints(&'static str, &'static str),
    /// The file of the container's own cgroup, of v1 as controller/file or else of v2, holds this.
    Limit(&'static str, &'static str, &'static str),
    /// The file of v1 as controller/file holds this among others; v2 has none and refuses it by this name.
    OfV1(&'static str, &'static str, &'static str),
    /// The container is not made, and this is said.
    Refused(&'static str),
    /// Another test shows it: `module::name`, or with the path of a file.
    Elsewhere(&'static str),
}
use Shown::{Elsewhere, Limit, OfV1, Prints, Refused};

/// The field, how it is set, and what that shows.
type Row = (&'static str, fn(&mut Value), Shown);

fn at<'c>(config: &'c mut Value, pointer: &str) -> &'c mut Value {
    let mut value = config;
    for part in pointer.split('/').filter(|part| !part.is_empty()) {
        value = &mut value[part];
    }
    value
}

macro_rules! set {
    ($pointer:literal, $($value:tt)+) => {
        |config: &mut Value| *at(config, $pointer) = json!($($value)+)
    };
}

macro_rules! add {
    ($pointer:literal, $($value:tt)+) => {
        |config: &mut Value| {
            if at(config, $pointer).is_null() {
                *at(config, $pointer) = json!([]);
            }
            push(config, $pointer, json!($($value)+));
        }
    };
}

/// Opens /tmp/x and /tmp/y for reading, and says why not.
macro_rules! open_both {
    () => {
        "for f in x y; do cat /tmp/$f 2>&1 | sed 's/.*: //'; done"
    };
}
const ALLOWED_THEN_DENIED: &str = "No such device or address\nOperation not permitted";

fn nothing(_: &mut Value) {}

fn mapped(config: &mut Value) {
    push(config, "/linux/namespaces", json!({"type": "user"}));
    config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 4000, "size": 70_000}]);
    config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 5000, "size": 70_000}]);
}

const ROWS: &[Row] = &[
    ("ociVersion", set!("ociVersion", "2.0.0"), Refused("ociVersion 2.0.0")),
    (
        "process.terminal",
        set!("process/terminal", true),
        Elsewhere("console::run_joins_the_callers_terminal_to_the_containers"),
    ),
    ("process.consoleSize.height", nothing, Elsewhere("console::the_console_socket_gets_the_terminal_of_create")),
    ("process.consoleSize.width", nothing, Elsewhere("console::the_console_socket_gets_the_terminal_of_create")),
    ("process.user.uid", set!("process/user/uid", 7), Prints("id -u", "7")),
    ("process.user.gid", set!("process/user/gid", 8), Prints("id -g", "8")),
    ("process.user.umask", set!("process/user/umask", 0o27), Prints("umask", "0027")),
    ("process.user.additionalGids", set!("process/user/additionalGids", [9]), Prints("id -G", "0 9")),
    ("process.user.username", set!("process/user/username", "a"), Refused("process.user.username")),
    ("process.args", nothing, Prints("echo x", "x")),
    ("process.commandLine", set!("process/commandLine", "a"), Refused("process.commandLine")),
    ("process.env", add!("/process/env", "A=b"), Prints("echo $A", "b")),
    ("process.cwd", set!("process/cwd", "/tmp"), Prints("pwd", "/tmp")),
    (
        "process.capabilities.bounding",
        set!("process/capabilities/bounding", ["CAP_KILL"]),
        Prints("grep CapBnd /proc/self/status", "CapBnd:\t0000000000000020"),
    ),
    // Not seen from inside: execve(2) makes root's effective set anew, and clears another user's.
    (
        "process.capabilities.effective",
        set!("process/capabilities", {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_NOT_ONE"]}),
        Prints("grep CapEff /proc/self/status", "CapEff:\t0000000000000020"),
    ),
    (
        "process.capabilities.inheritable",
        set!("process/capabilities/inheritable", ["CAP_KILL"]),
        Prints("grep CapInh /proc/self/status", "CapInh:\t0000000000000020"),
    ),
    (
        "process.capabilities.permitted",
        nothing,
        Elsewhere("process::capabilities_are_those_of_the_spec_in_all_five_sets"),
    ),
    ("process.capabilities.ambient", nothing, Elsewhere("process::an_ordinary_user_keeps_ambient_capabilities_only")),
    (
        "process.rlimits[].type",
        set!("process/rlimits", [{"type": "RLIMIT_CORE", "soft": 4096, "hard": 8192}]),
        Prints("ulimit -c; ulimit -Hc", "8\n16"),
    ),
    ("process.rlimits[].soft", nothing, Elsewhere("process::limits_umask_and_oom_score_are_set")),
    ("process.rlimits[].hard", nothing, Elsewhere("process::limits_umask_and_oom_score_are_set")),
    (
        "process.noNewPrivileges",
        set!("process/noNewPrivileges", false),
        Prints("grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0"),
    ),
    ("process.apparmorProfile", nothing, Elsewhere("process::an_apparmor_profile_is_entered_or_refused")),
    ("process.oomScoreAdj", set!("process/oomScoreAdj", 321), Prints("cat /proc/self/oom_score_adj", "321")),
    (
        "process.scheduler.policy",
        set!("process/scheduler", {"policy": "SCHED_BATCH"}),
        Prints("cut -d' ' -f41 /proc/self/stat", "3"),
    ),
    (
        "process.scheduler.nice",
        set!("process/scheduler", {"policy": "SCHED_OTHER", "nice": 5}),
        Prints("cut -d' ' -f19 /proc/self/stat", "5"),
    ),
    (
        "process.scheduler.priority",
        set!("process/scheduler", {"policy": "SCHED_OTHER", "priority": 5}),
        Refused("process.scheduler.priority"),
    ),
    (
        "process.scheduler.flags",
        set!("process/scheduler", {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}),
        Refused("process.scheduler.flags"),
    ),
    (
        "process.scheduler.runtime",
        set!("process/scheduler", {"policy": "SCHED_OTHER", "runtime": 5}),
        Refused("process.scheduler.runtime"),
    ),
    (
        "process.scheduler.deadline",
        set!("process/scheduler", {"policy": "SCHED_OTHER", "deadline": 5}),
        Refused("process.scheduler.runtime"),
    ),
    (
        "process.scheduler.period",
        set!("process/scheduler", {"policy": "SCHED_OTHER", "period": 5}),
        Refused("process.scheduler.runtime"),
    ),
    ("process.selinuxLabel", set!("process/selinuxLabel", "a"), Refused("process.selinuxLabel")),
    (
        "process.ioPriority.class",
        set!("process/ioPriority", {"class": "IOPRIO_CLASS_IDLE", "priority": 0}),
        Prints("ionice -p $$", "idle"),
    ),
    (
        "process.ioPriority.priority",
        set!("process/ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 6}),
        Prints("ionice -p $$", "best-effort: prio 6"),
    ),
    (
        "process.execCPUAffinity.initial",
        set!("process/execCPUAffinity", {"initial": "x"}),
        Refused("process.execCPUAffinity.initial"),
    ),
    (
        "process.execCPUAffinity.final",
        nothing,
        Elsewhere("process::an_exec_has_the_affinity_and_the_personality_of_the_configuration"),
    ),
    ("root.path", set!("root/path", "nowhere"), Refused("root filesystem")),
    ("root.readonly", set!("root/readonly", true), Prints("touch /x 2>/dev/null || echo no", "no")),
    ("hostname", set!("hostname", "other"), Prints("hostname", "other")),
    ("domainname", set!("domainname", "other"), Prints("cat /proc/sys/kernel/domainname", "other")),
    (
        "mounts[].destination",
        add!("/mounts", {"destination": "/a/b", "type": "tmpfs", "source": "x", "options": ["ro"]}),
        Prints("grep -c '^x /a/b tmpfs ro' /proc/mounts", "1"),
    ),
    ("mounts[].type", add!("/mounts", {"destination": "/a", "type": "nofs", "source": "x"}), Refused("nofs")),
    ("mounts[].source", add!("/mounts", {"destination": "/a", "type": "bind", "source": "/nope"}), Refused("/nope")),
    (
        "mounts[].options",
        add!("/mounts", {"destination": "/a", "type": "tmpfs", "source": "x", "options": ["frob"]}),
        Refused("frob"),
    ),
    ("mounts[].uidMappings", nothing, Elsewhere("mounts::an_idmapped_mount_shows_other_owners")),
    ("mounts[].gidMappings", nothing, Elsewhere("mounts::an_idmapped_mount_shows_other_owners")),
    ("hooks.prestart", set!("hooks", {"prestart": [{"path": "/nope"}]}), Refused("prestart hook #0")),
    ("hooks.createRuntime", set!("hooks", {"createRuntime": [{"path": "/nope"}]}), Refused("createRuntime hook #0")),
    (
        "hooks.createContainer",
        set!("hooks", {"createContainer": [{"path": "/nope"}]}),
        Refused("createContainer hook #0"),
    ),
    (
        "hooks.startContainer",
        nothing,
        Elsewhere("hooks::hooks_of_the_container_run_in_it_before_and_after_its_root_is_changed"),
    ),
    ("hooks.poststart", set!("hooks", {"poststart": [{"path": "/nope"}]}), Refused("poststart hook #0")),
    ("hooks.poststop", nothing, Elsewhere("hooks::each_hook_runs_at_its_time_and_is_told_the_state")),
    ("hooks.[].path", set!("hooks", {"createContainer": [{"path": "relative"}]}), Refused("is not an absolute path")),
    (
        "hooks.[].args",
        nothing,
        Elsewhere("hooks::hooks_of_the_container_run_in_it_before_and_after_its_root_is_changed"),
    ),
    (
        "hooks.[].env",
        nothing,
        Elsewhere("hooks::hooks_of_the_container_run_in_it_before_and_after_its_root_is_changed"),
    ),
    (
        "hooks.[].timeout",
        set!("hooks", {"prestart": [{"path": "/bin/true", "timeout": 0}]}),
        Refused("expected a nonzero u32"),
    ),
    ("annotations", nothing, Elsewhere("hooks::each_hook_runs_at_its_time_and_is_told_the_state")),
    (
        "linux.uidMappings[].containerID",
        set!("linux/uidMappings", [{"containerID": 0, "hostID": 1, "size": 1}]),
        Refused("linux.uidMappings"),
    ),
    ("linux.uidMappings[].hostID", mapped, Prints("tr -s ' ' < /proc/self/uid_map", "0 4000 70000")),
    ("linux.uidMappings[].size", mapped, Prints("tr -s ' ' < /proc/self/uid_map", "0 4000 70000")),
    ("linux.gidMappings", mapped, Prints("tr -s ' ' < /proc/self/gid_map", "0 5000 70000")),
    ("linux.sysctl", set!("linux/sysctl", {"kernel.msgmax": "9001"}), Prints("cat /proc/sys/kernel/msgmax", "9001")),
    ("linux.cgroupsPath", nothing, Elsewhere("cgroups::a_path_cannot_leave_the_hierarchy")),
    (
        "linux.namespaces[].type",
        add!("/linux/namespaces", {"type": "x"}),
        Refused("namespace \\\"x\\\" does not exist"),
    ),
    ("linux.namespaces[].path", nothing, Elsewhere("namespaces::a_container_joins_the_namespaces_of_another")),
    (
        "linux.devices[].path",
        set!("linux/devices", [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8}]),
        Prints("stat -c '%t:%T %a %u:%g' /dev/mine", "1:5 640 7:8"),
    ),
    ("linux.devices[].type", set!("linux/devices", [{"path": "/dev/x", "type": "x"}]), Refused("linux.devices[0]")),
    (
        "linux.devices[].major",
        set!("linux/devices", [{"path": "/dev/x", "type": "c", "major": -1}]),
        Refused("linux.devices[0]"),
    ),
    (
        "linux.devices[].minor",
        set!("linux/devices", [{"path": "/dev/x", "type": "c", "minor": -1}]),
        Refused("linux.devices[0]"),
    ),
    ("linux.devices[].fileMode", nothing, Elsewhere("bundle::a_device_of_the_spec_is_made_with_its_owner")),
    ("linux.devices[].uid", nothing, Elsewhere("bundle::a_device_of_the_spec_is_made_with_its_owner")),
    ("linux.devices[].gid", nothing, Elsewhere("bundle::a_device_of_the_spec_is_made_with_its_owner")),
    ("linux.netDevices", set!("linux/netDevices", {"eth0": {"name": "a"}}), Refused("linux.netDevices")),
    ("linux.seccomp", set!("linux/seccomp", {"defaultAction": "SCMP_ACT_X"}), Refused("SCMP_ACT_X")),
    ("linux.rootfsPropagation", set!("linux/rootfsPropagation", "x"), Refused("linux.rootfsPropagation")),
    ("linux.maskedPaths", set!("linux/maskedPaths", ["/etc/passwd"]), Prints("cat /etc/passwd", "")),
    ("linux.readonlyPaths", set!("linux/readonlyPaths", ["/etc"]), Prints("touch /etc/x 2>/dev/null || echo no", "no")),
    ("linux.mountLabel", set!("linux/mountLabel", "a"), Refused("linux.mountLabel")),
    ("linux.intelRdt", set!("linux/intelRdt", {"closID": "a"}), Refused("linux.intelRdt")),
    ("linux.memoryPolicy", set!("linux/memoryPolicy", {"mode": "MPOL_BIND"}), Refused("linux.memoryPolicy")),
    (
        "linux.personality.domain",
        set!("linux/personality", {"domain": "LINUX32"}),
        Prints("uname -m | grep -c x86_64", "0"),
    ),
    (
        "linux.personality.flags",
        set!("linux/personality", {"domain": "LINUX", "flags": ["a"]}),
        Refused("linux.personality.flags"),
    ),
    ("linux.timeOffsets{}.secs", set!("linux/timeOffsets", {"boottime": {"secs": 1}}), Refused("linux.timeOffsets")),
    ("linux.timeOffsets{}.nanosecs", nothing, Elsewhere("namespaces::clocks_of_a_time_namespace_are_offset")),
    // A device nobody is behind: what may be opened is not found, the other is not permitted.
    (
        "linux.resources.devices[].allow",
        set!("linux/resources/devices", [{"allow": true, "type": "c", "major": 250, "minor": 9}, {"allow": true, "type": "c", "major": 250, "minor": 8}, {"allow": false, "type": "c", "major": 250, "minor": 8}]),
        Prints(concat!("mknod /tmp/x c 250 9; mknod /tmp/y c 250 8; ", open_both!()), ALLOWED_THEN_DENIED),
    ),
    (
        "linux.resources.devices[].type",
        set!("linux/resources/devices", [{"allow": true, "type": "b", "major": 250, "minor": 9}]),
        Prints(concat!("mknod /tmp/x b 250 9; mknod /tmp/y c 250 9; ", open_both!()), ALLOWED_THEN_DENIED),
    ),
    (
        "linux.resources.devices[].major",
        set!("linux/resources/devices", [{"allow": true, "type": "c", "major": 250}]),
        Prints(concat!("mknod /tmp/x c 250 9; mknod /tmp/y c 251 9; ", open_both!()), ALLOWED_THEN_DENIED),
    ),
    (
        "linux.resources.devices[].minor",
        set!("linux/resources/devices", [{"allow": true, "type": "c", "major": 250, "minor": 9}]),
        Prints(concat!("mknod /tmp/x c 250 9; mknod /tmp/y c 250 10; ", open_both!()), ALLOWED_THEN_DENIED),
    ),
    (
        "linux.resources.devices[].access",
        set!("linux/resources/devices", [{"allow": true, "type": "c", "major": 250, "minor": 9, "access": "r"}, {"allow": true, "type": "c", "major": 250, "minor": 10, "access": "w"}]),
        Prints(concat!("mknod /tmp/x c 250 9; mknod /tmp/y c 250 10; ", open_both!()), ALLOWED_THEN_DENIED),
    ),
    (
        "linux.resources.memory.limit",
        set!("linux/resources/memory", {"limit": 67_108_864}),
        Limit("memory/memory.limit_in_bytes", "memory.max", "67108864"),
    ),
    (
        "linux.resources.memory.reservation",
        set!("linux/resources/memory", {"reservation": 67_108_864}),
        Limit("memory/memory.soft_limit_in_bytes", "memory.low", "67108864"),
    ),
    (
        "linux.resources.memory.swap",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.memory.kernel",
        set!("linux/resources/memory", {"kernel": 4096}),
        Refused("linux.resources.memory.kernel"),
    ),
    (
        "linux.resources.memory.kernelTCP",
        set!("linux/resources/memory/kernelTCP", 8_388_608),
        OfV1("memory/memory.kmem.tcp.limit_in_bytes", "8388608", "linux.resources.memory.kernelTCP"),
    ),
    (
        "linux.resources.memory.swappiness",
        set!("linux/resources/memory/swappiness", 17),
        OfV1("memory/memory.swappiness", "17", "linux.resources.memory.swappiness"),
    ),
    (
        "linux.resources.memory.disableOOMKiller",
        set!("linux/resources/memory/disableOOMKiller", true),
        OfV1("memory/memory.oom_control", "oom_kill_disable 1", "linux.resources.memory.disableOOMKiller"),
    ),
    (
        "linux.resources.memory.useHierarchy",
        set!("linux/resources/memory", {"useHierarchy": false}),
        Refused("linux.resources.memory.useHierarchy"),
    ),
    (
        "linux.resources.memory.checkBeforeUpdate",
        nothing,
        Elsewhere("events::update_changes_what_is_named_and_nothing_else"),
    ),
    (
        "linux.resources.cpu.shares",
        set!("linux/resources/cpu", {"shares": 2048}),
        Limit("cpu/cpu.shares", "cpu.weight", "2048|174"),
    ),
    (
        "linux.resources.cpu.quota",
        set!("linux/resources/cpu", {"quota": 50_000}),
        Limit("cpu/cpu.cfs_quota_us", "cpu.max", "50000|50000 100000"),
    ),
    (
        "linux.resources.cpu.burst",
        set!("linux/resources/cpu", {"quota": 50_000, "burst": 5000}),
        Limit("cpu/cpu.cfs_burst_us", "cpu.max.burst", "5000"),
    ),
    (
        "linux.resources.cpu.period",
        set!("linux/resources/cpu", {"quota": 5000, "period": 50_000}),
        Limit("cpu/cpu.cfs_period_us", "cpu.max", "50000|5000 50000"),
    ),
    (
        "linux.resources.cpu.realtimeRuntime",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.cpu.realtimePeriod",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.cpu.cpus",
        set!("linux/resources/cpu", {"cpus": "0"}),
        Limit("cpuset/cpuset.cpus", "cpuset.cpus", "0"),
    ),
    (
        "linux.resources.cpu.mems",
        set!("linux/resources/cpu", {"mems": "0"}),
        Limit("cpuset/cpuset.mems", "cpuset.mems", "0"),
    ),
    ("linux.resources.cpu.idle", set!("linux/resources/cpu", {"idle": 1}), Limit("cpu/cpu.idle", "cpu.idle", "1")),
    (
        "linux.resources.pids.limit",
        set!("linux/resources/pids", {"limit": 17}),
        Limit("pids/pids.max", "pids.max", "17"),
    ),
    (
        "linux.resources.blockIO.weight",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.blockIO.leafWeight",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.blockIO.weightDevice",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    ("linux.resources.blockIO.throttleReadBpsDevice", nothing, Elsewhere("cgroups::rates_of_a_block_device_are_set")),
    ("linux.resources.blockIO.throttleWriteBpsDevice", nothing, Elsewhere("cgroups::rates_of_a_block_device_are_set")),
    ("linux.resources.blockIO.throttleReadIOPSDevice", nothing, Elsewhere("cgroups::rates_of_a_block_device_are_set")),
    ("linux.resources.blockIO.throttleWriteIOPSDevice", nothing, Elsewhere("cgroups::rates_of_a_block_device_are_set")),
    (
        "linux.resources.hugepageLimits[].pageSize",
        set!("linux/resources/hugepageLimits", [{"pageSize": "x", "limit": 1}]),
        Refused("linux.resources.hugepageLimits[0].pageSize"),
    ),
    (
        "linux.resources.hugepageLimits[].limit",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.network.classID",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.network.priorities",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    (
        "linux.resources.rdma",
        nothing,
        Elsewhere("crates/corten-runtime/src/plan/cgroup.rs::every_field_of_resources_is_the_limit_of_its_name"),
    ),
    ("linux.resources.unified", set!("linux/resources/unified", {"a/b": "1"}), Refused("linux.resources.unified")),
    ("solaris", set!("solaris", {"milestone": "a"}), Refused("solaris")),
    ("windows", set!("windows", {"servicing": true}), Refused("windows")),
    ("vm", set!("vm", {"kernel": {"path": "a"}}), Refused("vm")),
    ("zos", set!("zos", {"namespaces": [{"type": "a"}]}), Refused("zos")),
    ("freebsd", set!("freebsd", {"jail": {"host": "a"}}), Refused("freebsd")),
];

#[test]
fn every_field_of_the_specification_has_a_row() {
    let fields: BTreeSet<&str> = FIELDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let rows: BTreeSet<&str> = ROWS.iter().map(|(field, ..)| *field).collect();
    let missing: Vec<_> = fields.difference(&rows).collect();
    let unknown: Vec<_> = rows.difference(&fields).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "without a row: {missing:?}; not in the specification: {unknown:?}"
    );
    assert_eq!(rows.len(), ROWS.len(), "a field has two rows");
}

#[test]
fn every_field_that_is_shown_elsewhere_is_named_there() {
    let shown = |row: &Row| match row.2 {
        Elsewhere(scenario) => is_shown(row.0, scenario).err().map(|problem| format!("{}: {problem}", row.0)),
        _ => None,
    };
    let problems: Vec<String> = ROWS.iter().filter_map(shown).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_field_has_its_effect_or_is_refused_by_name() {
    let host = Host::new();
    let is_v2 = fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok();
    for (number, (field, change, shown)) in ROWS.iter().enumerate() {
        let id = format!("f{number}");
        let run = |script: &str| -> Ran { host.run_script(&id, script, change) };
        match shown {
            Prints(script, expected) => {
                let ran = run(script);
                assert_eq!(ran.out(), *expected, "{field}: {ran:?}");
            }
            Refused(said) => {
                let ran = run("true");
                assert!(ran.code != 0 && ran.stderr.contains(said), "{field}: {ran:?}");
            }
            Limit(v1, v2, expected) => {
                let _ = host.sleeping(&id, change);
                let found = limit(&host, &id, if is_v2 { v2 } else { v1 });
                let (of_v1, of_v2) = expected.split_once('|').unwrap_or((expected, expected));
                assert_eq!(found, if is_v2 { of_v2 } else { of_v1 }, "{field}");
                let _ = host.run(&["delete", "--force", &id]).ok();
            }
            OfV1(_, _, said) if is_v2 => {
                let ran = run("true");
                assert!(ran.code != 0 && ran.stderr.contains(said), "{field}: {ran:?}");
            }
            OfV1(file, expected, _) => {
                let _ = host.sleeping(&id, change);
                let found = limit(&host, &id, file);
                assert!(found.lines().any(|line| line == *expected), "{field}: {expected} in {found}");
                let _ = host.run(&["delete", "--force", &id]).ok();
            }
            Elsewhere(_) => {}
        }
    }
    host.assert_clean();
}

/// Why the test does not show the field: `module::name` here, or in the file of a crate, must exist and name the field.
fn is_shown(field: &str, scenario: &str) -> Result<(), String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Where only the program was copied to there is nothing to look at.
    if !here.is_dir() {
        return Ok(());
    }
    let (file, name) = scenario.split_once("::").expect("a file and a test");
    let path = match file.contains('/') {
        true => here.join("..").join(file),
        false => here.join("tests/runtime").join(format!("{file}.rs")),
    };
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (_, test) = text.split_once(&format!("fn {name}()")).ok_or(format!("{} has no test {name}", path.display()))?;
    // A function ends where its brace stands as far left as it does.
    let end = [test.find("\n}\n"), test.find("\n    }\n")];
    let indented = text.contains(&format!("    fn {name}()"));
    let body = &test[..end[usize::from(indented)].unwrap_or(test.len())];
    let word = field.rsplit('.').next().unwrap_or(field);
    let is_word = |(at, _): (usize, &str)| {
        let neighbours = (body[..at].chars().next_back(), body[at + word.len()..].chars().next());
        [neighbours.0, neighbours.1].into_iter().flatten().all(|next| !next.is_alphanumeric())
    };
    if body.match_indices(word).any(is_word) { Ok(()) } else { Err(format!("{name} does not name {word}")) }
}

fn limit(host: &Host, id: &str, file: &str) -> String {
    let state = fs::read_to_string(host.state().join(id).join("state.json")).expect("the record");
    let state: Value = serde_json::from_str(&state).expect("JSON");
    let (controller, file) = file.split_once('/').unwrap_or(("", file));
    let path = state["cgroup_paths"][controller].as_str().expect("the controller has a path");
    fs::read_to_string(format!("{path}/{file}")).unwrap_or_default().trim().to_owned()
}
