//! AppArmor: docker's default profile, loaded by the engine, and the profiles containers ask for.
//!
//! These need a kernel that has it switched on: they run in the machine of packaging/vm-scenarios.sh.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use integration_tests::{Ran, TempRoot, programs};
use serde_json::json;

use crate::{busybox, engine, expect, get, start};

const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// The default profile is one for the whole machine, and these tests take it away: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static PROFILE: Mutex<()> = Mutex::new(());
    PROFILE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_loaded(name: &str) -> bool {
    let loaded = fs::read_to_string(LOADED).unwrap();
    loaded.lines().any(|line| line == format!("{name} (enforce)"))
}

#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn every_container_is_confined_unless_it_says_otherwise() {
    let _alone = alone();
    let stack = engine();
    let options = expect(get(&stack, "/info"), 200).json()["SecurityOptions"].clone();
    assert!(options.as_array().unwrap().contains(&json!("name=apparmor")), "{options}");
    assert!(is_loaded("docker-default"));

    let docker = stack.docker();
    let current = "cat /proc/self/attr/current";
    for (flags, said) in [
        (&[][..], "docker-default (enforce)"),
        (&["--security-opt", "apparmor=unconfined"], "unconfined"),
        (&["--security-opt", "apparmor:docker-default", "--privileged"], "docker-default (enforce)"),
        (&["--privileged"], "unconfined"),
    ] {
        let before = ["run", "--rm", "--network", "none"].as_slice();
        let ran = docker.run(&[before, flags, &["busybox", "sh", "-c", current]].concat());
        assert_eq!(ran.ok().out(), said, "{flags:?}");
    }
    let ran =
        docker.run(&["run", "--rm", "--network", "none", "--security-opt", "apparmor=nobodys", "busybox", "true"]);
    assert!(ran.code != 0 && ran.err().contains("unable to apply apparmor profile: nobodys"), "{ran:?}");

    // It is seen in inspect, and holds for an exec.
    let id = start(&stack, "web", &busybox(&["sleep", "1000"]));
    assert_eq!(get(&stack, &format!("/containers/{id}/json")).json()["AppArmorProfile"], "docker-default");
    assert_eq!(docker.run(&["exec", "web", "sh", "-c", current]).ok().out(), "docker-default (enforce)");
    // Somebody unloaded it: who needs it has it loaded again.
    fs::write("/sys/kernel/security/apparmor/.remove", "docker-default").unwrap();
    assert!(!is_loaded("docker-default"));
    let ran = docker.run(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", current]);
    assert_eq!(ran.ok().out(), "docker-default (enforce)");
}

/// With every capability and without a filter of system calls, so that nothing but the profile is in the way.
#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn the_default_profile_keeps_root_from_the_host() {
    let _alone = alone();
    let stack = engine();
    let docker = stack.docker();
    // Each script in a shell of its own; its exit status and its last complaint.
    let run = |profile: &str, scripts: &[&str]| -> Vec<String> {
        let each = scripts.iter().map(|script| format!("sh -c '{script}' 2>/tmp/said; echo $? $(tail -n 1 /tmp/said)"));
        let all = each.collect::<Vec<_>>().join("\n");
        let profile = format!("apparmor={profile}");
        let options = ["--privileged", "--security-opt", &profile, "busybox", "sh", "-c", &all];
        let ran = docker.run(&[&["run", "--rm", "--network", "none"][..], &options].concat()).ok();
        ran.stdout.lines().map(str::to_owned).collect()
    };
    // Each of them works without a profile.
    let denied = [
        "mount -t tmpfs none /home",
        "echo 1 > /proc/sys/vm/swappiness",
        "echo x > /proc/sys/kernel/hostname",
        "test -w /proc/sysrq-trigger && : >> /proc/sysrq-trigger",
        ": >> /sys/kernel/uevent_helper || : >> /sys/kernel/mm/ksm/run || : >> /sys/kernel/profiling || : >> /sys/kernel/rcu_normal",
    ];
    for (script, said) in denied.iter().zip(run("unconfined", &denied)) {
        assert!(said.starts_with('0'), "{script}: {said}");
    }
    for (script, said) in denied.iter().zip(run("docker-default", &denied)) {
        assert!(!said.starts_with('0') && said.to_lowercase().contains("permission denied"), "{script}: {said}");
    }
    // What a container needs works: its own processes' files, its shared memory's limits, its cgroup, signals.
    let allowed = [
        "echo 0 > /proc/self/oom_score_adj",
        "echo 65536 > /proc/sys/kernel/shmmax",
        "mkdir /sys/fs/cgroup/mine",
        "sleep 1000 & kill $! && wait $!; test $? = 143",
        "umount /dev/shm",
    ];
    for (script, said) in allowed.iter().zip(run("docker-default", &allowed)) {
        assert!(said.starts_with('0'), "{script}: {said}");
    }
    // And it can be ended from outside.
    let _ = start(&stack, "web", &busybox(&["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"]));
    let _ = docker.run(&["stop", "web"]).ok();
}

/// It may be another docker's, or an administrator's.
#[test]
#[ignore = "needs AppArmor: packaging/vm-scenarios.sh"]
fn a_default_profile_that_is_there_is_left_as_it_is() {
    let _alone = alone();
    let rules = "file, capability, network, mount, umount, signal, ptrace, deny /etc/passwd r,";
    let root = TempRoot::new();
    let file = root.join("profile");
    fs::write(&file, format!("profile docker-default flags=(attach_disconnected) {{ {rules} }}\n")).unwrap();
    let mut parser = std::process::Command::new(programs::original("apparmor_parser"));
    let _ = Ran::of(parser.args(["--replace", "--skip-cache"]).arg(&file)).ok();
    let stack = engine();
    let read = ["run", "--rm", "--network", "none", "busybox", "cat", "/etc/passwd"];
    let ran = stack.docker().run(&read);
    assert!(ran.code == 1 && ran.err().contains("Permission denied"), "{ran:?}");
    fs::write("/sys/kernel/security/apparmor/.remove", "docker-default").unwrap();
    assert!(stack.docker().run(&read).ok().stdout.contains("root:x:0:0"));
}
