//! config.json, the process of an exec, the limits of an update: from JSON to a plan or a sentence.

use std::{collections::BTreeMap, path::Path};

use corten_cgroups::Cgroup;
use corten_runtime::{
    plan::{self, Plan},
    spec::{Process, Resources, Spec},
};
use serde_json::{Value, json};

use crate::{
    each_input,
    mutate::{Random, bytes, document},
};

/// Every part of the specification that there is something behind.
fn config() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "process": process(),
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "h",
        "domainname": "d",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=65536k"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
            {"destination": "/data", "type": "bind", "source": "/tmp", "options": ["rbind", "rro", "idmap", "rslave"],
                "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
                "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]},
            {"destination": "/up", "type": "tmpfs", "source": "x", "options": ["tmpcopyup", "nodiratime"]},
        ],
        "hooks": {
            "prestart": [{"path": "/bin/a", "args": ["a", "b"], "env": ["A=b"], "timeout": 5}],
            "createContainer": [{"path": "/bin/a"}], "startContainer": [{"path": "/bin/a"}], "poststop": [{"path": "/b"}],
        },
        "annotations": {"a": "b"},
        "linux": {
            "cgroupsPath": "/a/b",
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "user"}, {"type": "time"}, {"type": "cgroup"},
                {"type": "network", "path": "/proc/1/ns/net"}, {"type": "ipc"}, {"type": "uts"}],
            "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 438, "uid": 1, "gid": 2}],
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "resources": resources(),
            "rootfsPropagation": "slave",
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "personality": {"domain": "LINUX32"},
            "timeOffsets": {"boottime": {"secs": 5, "nanosecs": 7}},
            "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]},
        },
    })
}

fn process() -> Value {
    json!({
        "terminal": true, "consoleSize": {"height": 24, "width": 80},
        "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [5, 6]},
        "args": ["sh", "-c", "true"], "env": ["PATH=/bin", "HOME=/root"], "cwd": "/",
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}],
        "noNewPrivileges": true, "apparmorProfile": "a", "oomScoreAdj": 5,
        "scheduler": {"policy": "SCHED_DEADLINE", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"], "runtime": 1,
            "deadline": 2, "period": 3},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3},
        "execCPUAffinity": {"initial": "0-3,7", "final": "0"},
    })
}

fn resources() -> Value {
    json!({
        "devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
        "memory": {"limit": 1 << 20, "reservation": 1, "swap": -1, "kernelTCP": 1, "swappiness": 5, "disableOOMKiller": false},
        "cpu": {"shares": 2, "quota": 1000, "burst": 1, "period": 10000, "realtimeRuntime": 0, "cpus": "0-1", "mems": "0", "idle": 0},
        "pids": {"limit": 5},
        "blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
        "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
        "rdma": {"mlx": {"hcaHandles": 1}},
        "unified": {"memory.high": "1"},
    })
}

/// Half of the inputs are JSON, so that what comes after the parser is reached.
fn input(random: &mut Random, good: &Value) -> Vec<u8> {
    let changed = if random.one_in(2) { document(random, good) } else { good.clone() };
    let text = changed.to_string().into_bytes();
    if random.one_in(2) { bytes(random, &text) } else { text }
}

fn cgroups() -> [Cgroup; 2] {
    let paths = |paths: &[(&str, &str)]| {
        let paths: BTreeMap<_, _> = paths.iter().map(|(name, path)| ((*name).to_owned(), path.into())).collect();
        Cgroup::from_paths(&paths)
    };
    [
        paths(&[("", "/sys/fs/cgroup/x")]),
        paths(&[("pids", "/sys/fs/cgroup/pids/x"), ("memory", "/sys/fs/cgroup/memory/x")]),
    ]
}

#[test]
fn a_configuration_becomes_a_plan_or_a_sentence() {
    let (good, cgroups) = (config(), cgroups());
    let spec = Spec::parse(good.to_string().as_bytes()).expect("the good one is taken");
    let plan = Plan::from_spec(&spec, Path::new("/bundle"), &cgroups[1]).expect("and becomes a plan");
    assert!(plan.process.filter.make().expect("with a filter").is_some());
    let mut planned = 0;
    each_input("config.json", |random| {
        let text = input(random, &good);
        let spec = match Spec::parse(&text) {
            Ok(spec) => spec,
            Err(error) => return assert!(!error.to_string().is_empty()),
        };
        for cgroup in &cgroups {
            let plan = Plan::from_spec(&spec, Path::new("/bundle"), cgroup);
            match plan.and_then(|plan| plan.process.filter.make().map(drop)) {
                Ok(()) => planned += 1,
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    });
    assert!(planned > 50, "only {planned} inputs were good enough to become a plan");
}

#[test]
fn the_process_of_an_exec_becomes_a_plan_or_a_sentence() {
    let good = process();
    let process = Process::parse(good.to_string().as_bytes(), "process.json").expect("the good one is taken");
    let extra = plan::Extra { capabilities: &["CAP_CHOWN".to_owned()] };
    let _ = plan::exec_process(&process, &extra, None).expect("and becomes a plan");
    each_input("--process", |random| {
        let text = input(random, &good);
        if let Ok(process) = Process::parse(&text, "process.json") {
            let _ = plan::exec_process(&process, &extra, None);
        }
    });
}

#[test]
fn limits_of_an_update_are_read_or_refused() {
    let good = resources();
    each_input("--resources", |random| {
        let text = input(random, &good);
        if let Ok(resources) = serde_json::from_slice::<Resources>(&text) {
            let _ = plan::limits(&resources);
        }
    });
}
