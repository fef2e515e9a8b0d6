//! cgroup v2 alone: its files, device programs, freezer, delegation, and how processes come in and go.
//!
//! These run where v2 has the controllers: `make test` and `make test-vm` boot a small machine for them
//! (packaging/vm-scenarios.sh). On a host with v1 they are ignored, not passed.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    path::PathBuf,
    process::Command,
};

use corten_sys::bpf;
use integration_tests::{DEADLINE, Ran, programs, wait_for};
use serde_json::{Value, json};

use crate::{Host, push, text};

/// The container's directory.
fn directory(host: &Host, name: &str) -> PathBuf {
    PathBuf::from(format!("/sys/fs/cgroup/{}/{name}", host.root.name()))
}

#[track_caller]
fn value(host: &Host, name: &str, file: &str) -> String {
    let path = directory(host, name).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn delete(host: &Host, name: &str) {
    let _ = host.run(&["delete", "--force", name]).ok();
    host.assert_clean();
}

/// The runtime under strace with its children; the container's program ends by itself.
fn traced(host: &Host, calls: &str, arguments: &[&str]) -> (Ran, String) {
    let trace = host.root.join("trace");
    let mut command = Command::new(programs::original("strace"));
    command.args(["-f", "-e", calls, "-o", text(&trace), "--"]).arg(programs::path("corten-runtime"));
    let ran = Ran::of(command.arg("--root").arg(host.state()).args(arguments));
    (ran, fs::read_to_string(trace).expect("strace wrote it"))
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn every_limit_has_its_file() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20, "reservation": 32 << 20});
        config["linux"]["resources"]["cpu"] =
            json!({"shares": 2048, "quota": 50_000, "period": 200_000, "burst": 9000});
        config["linux"]["resources"]["pids"] = json!({"limit": 20});
        config["linux"]["resources"]["unified"] = json!({"memory.high": "50331648", "cgroup.max.descendants": "3"});
    });
    for (file, expected) in [
        ("memory.max", "67108864"),
        ("memory.low", "33554432"),
        ("memory.high", "50331648"),
        ("cpu.weight", "174"),
        ("cpu.max", "50000 200000"),
        ("cpu.max.burst", "9000"),
        ("pids.max", "20"),
        ("cgroup.max.descendants", "3"),
    ] {
        assert_eq!(value(&host, "web", file), expected, "{file}");
    }
    // Update changes what is named and nothing else; both ends of the weights' range.
    for (flags, file, expected) in [
        (["--cpu-share", "2"], "cpu.weight", "1"),
        (["--cpu-share", "1024"], "cpu.weight", "100"),
        (["--cpu-share", "262144"], "cpu.weight", "10000"),
        (["--memory", "128M"], "memory.max", "134217728"),
        (["--pids-limit", "-1"], "pids.max", "max"),
        (["--cpu-idle", "1"], "cpu.idle", "1"),
    ] {
        let _ = host.run(&["update", flags[0], flags[1], "web"]).ok();
        assert_eq!(value(&host, "web", file), expected, "{flags:?}");
    }
    assert_eq!(
        (value(&host, "web", "memory.high"), value(&host, "web", "cpu.max")),
        ("50331648".into(), "50000 200000".into())
    );
    let file = host.root.join("limits");
    fs::write(&file, json!({"unified": {"memory.high": "max", "pids.max": "7"}}).to_string())
        .expect("the root is ours");
    let _ = host.run(&["update", "--resources", text(&file), "web"]).ok();
    assert_eq!((value(&host, "web", "memory.high"), value(&host, "web", "pids.max")), ("max".into(), "7".into()));
    delete(&host, "web");
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn what_v2_does_not_have_is_refused_by_name() {
    let host = Host::new();
    let refused = |name: &str, resources: Value| {
        let ran = host.run_script(name, "true", |config| config["linux"]["resources"] = resources);
        host.assert_clean();
        assert_eq!(ran.code, 1, "{ran:?}");
        ran.stderr
    };
    for (name, resources) in [
        ("memory.swappiness", json!({"memory": {"swappiness": 10}})),
        ("memory.disableOOMKiller", json!({"memory": {"disableOOMKiller": true}})),
        ("memory.kernelTCP", json!({"memory": {"kernelTCP": 4096}})),
        ("blockIO.leafWeight", json!({"blockIO": {"leafWeight": 10}})),
        ("cpu.realtimeRuntime", json!({"cpu": {"realtimeRuntime": 5}})),
        ("network", json!({"network": {"classID": 5}})),
    ] {
        let said = refused(name, resources);
        let named = said.contains(&format!("linux.resources.{name}: "));
        assert!(named && said.contains("not possible with cgroup v2"), "{name}: {said}");
    }
    for (number, (key, value)) in [("no.such", "1"), ("../x/pids.max", "1"), ("memory.high", "many")].iter().enumerate()
    {
        let said = refused(&format!("unified{number}"), json!({"unified": {*key: value}}));
        assert!(said.contains(key), "{key}: {said}");
    }
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").expect("v2");
    if !controllers.contains("cpuset") {
        let said = refused("cpuset", json!({"cpu": {"cpus": "0"}}));
        assert!(said.contains("linux.resources.cpu.cpus: the cpuset controller is not available"), "{said}");
    }
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn devices_are_decided_by_one_program() {
    let host = Host::new();
    let script = "mknod /tmp/x c 250 9; mknod /tmp/y c 250 8; cat /tmp/x /tmp/y; cat /tmp/go; sleep 1000";
    let rules = json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 250, "minor": 9, "access": "rw"}]);
    let count = |name: &str| {
        let directory = File::open(directory(&host, name)).expect("the container has a cgroup");
        bpf::count_device_programs(directory.as_fd()).expect("root may ask")
    };
    let bundle = host.bundle("web", &["sh", "-c", script], |config| config["linux"]["resources"]["devices"] = rules);
    // Another program is there before: it is replaced, not joined by a second one that would have to agree.
    let left_over = directory(&host, "web");
    fs::create_dir_all(&left_over).expect("root may make a cgroup");
    let deny_all = bpf::load_device_program(&DENY_ALL).expect("the kernel takes the program");
    let opened = File::open(&left_over).expect("it was just made");
    bpf::replace_device_programs(opened.as_fd(), deny_all.as_fd()).expect("root may attach it");
    assert_eq!(count("web"), 1);

    host.create("web", &bundle);
    assert_eq!(count("web"), 1);
    let _ = host.run(&["start", "web"]).ok();
    let said = || fs::read_to_string(host.root.join("web.out")).unwrap_or_default();
    wait_for("the container to have tried", DEADLINE, || said().contains("/tmp/go'"));
    assert!(said().contains("x': No such device") && said().contains("y': Operation not permitted"), "{}", said());
    // An update of something else leaves it as it is, and an exec is under it.
    let _ = host.run(&["update", "--pids-limit", "30", "web"]).ok();
    assert_eq!(count("web"), 1);
    let ran = host.run(&["exec", "web", "cat", "/tmp/x", "/tmp/y"]);
    assert!(ran.stderr.contains("x': No such device") && ran.stderr.contains("y': Operation not permitted"), "{ran:?}");
    delete(&host, "web");
}

/// `r0 = 0; exit`.
const DENY_ALL: [bpf::Instruction; 2] = [
    bpf::Instruction { code: 0xb4, registers: 0, offset: 0, immediate: 0 },
    bpf::Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
];

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn a_paused_container_is_frozen_as_a_whole() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let _ = host.run(&["pause", "web"]).ok();
    assert_eq!((value(&host, "web", "cgroup.freeze"), host.status("web")), ("1".into(), "paused".into()));
    assert!(value(&host, "web", "cgroup.events").contains("frozen 1"));
    let refused = host.run(&["exec", "web", "true"]);
    assert!(refused.code == 255 && refused.stderr.contains("cannot exec in a paused container"), "{refused:?}");
    let _ = host.run(&["resume", "web"]).ok();
    assert_eq!((value(&host, "web", "cgroup.freeze"), host.status("web")), ("0".into(), "running".into()));
    assert_eq!(host.run(&["exec", "web", "echo", "back"]).ok().stdout, "back\n");
    // A frozen one dies when it is deleted.
    let _ = host.run(&["pause", "web"]).ok();
    delete(&host, "web");
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn the_first_process_is_born_in_its_cgroup() {
    let host = Host::new();
    let bundle = host.bundle("web", &["cat", "/proc/self/cgroup"], |_| {});
    let (ran, trace) = traced(&host, "trace=clone3,openat,openat2", &["run", "--bundle", text(&bundle), "web"]);
    assert_eq!(ran.ok().out(), format!("0::/{}/web", host.root.name()));
    assert!(trace.lines().any(|line| line.contains("clone3(") && line.contains("CLONE_INTO_CGROUP")), "{trace}");
    assert!(!trace.contains("cgroup.procs\", O_W") && !trace.contains("cgroup.procs\", O_RDWR"), "{trace}");
    host.assert_clean();
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn an_exec_is_born_in_the_cgroup_and_follows_the_first_process() {
    let host = Host::new();
    let with_cgroups = |config: &mut Value| {
        push(config, "/linux/namespaces", json!({"type": "cgroup"}));
        let options = json!(["rw", "nosuid", "noexec", "nodev"]);
        let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options});
        push(config, "/mounts", mount);
    };
    // A container that is given its own tree divides it as systemd does: processes are only in the leaves.
    let script = "cat /proc/self/cgroup; cd /sys/fs/cgroup; cat cgroup.controllers; mkdir init && echo 1 > init/cgroup.procs && \
                  echo '+pids +memory' > cgroup.subtree_control && cat init/cgroup.controllers; sleep 1000";
    let bundle = host.bundle("web", &["sh", "-c", script], with_cgroups);
    host.create("web", &bundle);
    // Every level above has handed its controllers down.
    let all = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").expect("v2").trim().to_owned();
    assert_eq!(value(&host, "web", "cgroup.controllers"), all);
    assert_eq!(value(&host, "web", "../cgroup.subtree_control"), all);

    let before = host.run(&["exec", "web", "cat", "/proc/self/cgroup"]);
    assert_eq!(before.ok().out(), "0::/", "the namespace's root is the container's cgroup");
    let _ = host.run(&["start", "web"]).ok();
    let said = || fs::read_to_string(host.root.join("web.out")).unwrap_or_default();
    let expected = format!("0::/\n{all}\nmemory pids\n");
    wait_for("the container to divide its cgroup", DEADLINE, || said() == expected);
    // Nobody may be in the container's own directory any more: an exec goes where its first process is.
    let after = host.run(&["exec", "web", "cat", "/proc/self/cgroup"]);
    assert_eq!(after.ok().out(), "0::/init");
    // What was made below goes as well.
    delete(&host, "web");
    assert!(!directory(&host, "web").exists());
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn every_process_is_killed_by_one_write() {
    let host = Host::new();
    // Without a pid namespace nothing else ends them: a session of its own each, and one ignores what it can.
    let script = "trap '' TERM HUP; for i in 1 2 3 4 5 6; do setsid sleep 1000 & done; echo ready; wait; sleep 1000";
    let bundle = host.bundle("web", &["sh", "-c", script], |config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    host.create("web", &bundle);
    let _ = host.run(&["start", "web"]).ok();
    wait_for("seven processes", DEADLINE, || value(&host, "web", "cgroup.procs").lines().count() == 7);
    let (ran, trace) = traced(&host, "trace=openat,openat2,kill,pidfd_send_signal", &["delete", "--force", "web"]);
    let _ = ran.ok();
    assert!(trace.contains("/web/cgroup.kill\""), "{trace}");
    let signals = trace.lines().filter(|line| line.contains("SIGKILL")).count();
    assert!(signals <= 1, "the first process by its handle, the others by the cgroup: {trace}");
    host.assert_clean();
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn stats_tell_of_v2() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864});
        config["linux"]["resources"]["pids"] = json!({"limit": 9});
    });
    let ran = host.run(&["events", "--stats", "web"]).ok();
    let data = &serde_json::from_str::<Value>(&ran.stdout).expect("JSON")["data"];
    assert_eq!(data["pids"], json!({"current": 1, "limit": 9}));
    assert_eq!(data["memory"]["usage"]["limit"], 67_108_864);
    assert!(data["memory"]["raw"]["anon"].is_u64(), "memory.stat's own names: {data}");
    assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|used| used > 0), "{data}");
    delete(&host, "web");
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn the_view_of_cgroups_is_the_containers_with_a_namespace_and_the_hosts_without() {
    let host = Host::new();
    let of_template = host.root.make("template");
    let _ = host.run(&["spec", "--bundle", text(&of_template)]).ok();
    let template = fs::read_to_string(of_template.join("config.json")).expect("written");
    assert!(template.contains("\"type\": \"cgroup\"\n"), "{template}");
    let own = format!("0::/{}/web\n", host.root.cgroup_parent().trim_start_matches('/'));
    for (name, has_namespace, script, seen) in [
        ("own", true, "cat /proc/self/cgroup /sys/fs/cgroup/pids.max", "0::/\n9\n".to_owned()),
        (
            "host",
            false,
            "cat /proc/self/cgroup; test -d /sys/fs/cgroup/$(cut -d: -f3 /proc/self/cgroup) && echo there",
            own.replace("/web", "/host") + "there\n",
        ),
    ] {
        let ran = host.run_script(name, script, |config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
            namespaces.retain(|namespace| namespace["type"] != "cgroup");
            if has_namespace {
                namespaces.push(json!({"type": "cgroup"}));
            }
            config["linux"]["resources"]["pids"] = json!({"limit": 9});
            let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "ro"]});
            push(config, "/mounts", mount);
        });
        assert_eq!(ran.ok().stdout, seen, "{name}");
    }
    host.assert_clean();
}

#[test]
#[ignore = "needs cgroup v2: packaging/vm-scenarios.sh"]
fn an_exec_follows_a_first_process_that_left_the_containers_cgroup() {
    let host = Host::new();
    let moved = format!("/{}/moved", host.root.cgroup_parent().trim_start_matches('/'));
    let script =
        format!("mkdir /sys/fs/cgroup{moved} && echo 1 > /sys/fs/cgroup{moved}/cgroup.procs && exec sleep 1000");
    let bundle = host.bundle("web", &["sh", "-c", &script], |config| {
        let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]});
        push(config, "/mounts", mount);
    });
    host.create("web", &bundle);
    let _ = host.run(&["start", "web"]).ok();
    let own = directory(&host, "web");
    wait_for("the container to leave its cgroup", DEADLINE, || fs::remove_dir(&own).is_ok());
    assert_eq!(host.run(&["exec", "web", "cat", "/proc/self/cgroup"]).ok().out(), format!("0::{moved}"));
    let _ = host.run(&["delete", "--force", "web"]).ok();
    wait_for("the other cgroup to be empty", DEADLINE, || fs::remove_dir(format!("/sys/fs/cgroup{moved}")).is_ok());
    host.assert_clean();
}
