//! A user without any privilege runs containers: what works as for root, what is done another way, what is refused and
//! in which words.

use std::{fs, os::unix::fs::chown, process::Command};

use integration_tests::Ran;
use serde_json::{Value, json};

use crate::{
    push, text,
    user::{FIRST_ID, GID, IDS, UID, User, as_user, delegate},
};

#[test]
fn a_user_runs_a_container() {
    let user = User::new();
    let script = "id -u; tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; cat /proc/self/setgroups; \
                  for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo $d lacks; done; \
                  echo x > /dev/null && head -c 2 /dev/zero | wc -c; touch /made && echo made; ls /sys/fs/cgroup | wc -l; \
                  [ -d /sys/kernel ] && mount | grep -c ' /sys '; grep CapBnd /proc/self/status";
    let ran = user.run_script("web", script, |_| {}).ok();
    let expected = format!("0\n 0 {UID} 1\n 0 {GID} 1\ndeny\n2\nmade\n0\n1\nCapBnd:\t0000000020000420\n",);
    assert_eq!(ran.stdout, expected);
    assert_eq!(ran.stderr, "");
    user.host.assert_clean();
}

#[test]
fn every_verb_works_or_says_what_lacks() {
    let user = User::new();
    let bundle = user.bundle("web", "echo started; sleep 1000; true", |_| {});
    user.detached(&["create", "--bundle", text(&bundle), "web"]);
    let state = user.state_of("web");
    assert_eq!(state["status"], "created");
    let _ = user.run(&["start", "web"]).ok();
    assert_eq!(user.state_of("web")["status"], "running");
    let listed = user.run(&["list"]).ok().stdout;
    assert!(listed.contains("web") && listed.contains("running"), "{listed}");
    let pid = user.state_of("web")["pid"].to_string();
    let listed = user.run(&["ps", "-f", "json", "web"]).ok().stdout;
    assert!(listed.contains(&pid), "{pid} in {listed}");
    // The user of the host, by whom the processes are known outside.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    assert!(status.contains(&format!("Uid:\t{UID}\t{UID}\t{UID}\t{UID}\n")), "{status}");

    let same = "for n in user pid mnt ipc uts net; do [ $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) ] || echo $n; done; \
                id -u; cat /proc/self/uid_map | tr -s ' '";
    assert_eq!(user.run(&["exec", "web", "sh", "-c", same]).ok().stdout, format!("0\n 0 {UID} 1\n"));
    assert_eq!(user.run(&["exec", "web", "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(
        user.run(&["exec", "--env", "A=b", "--cwd", "/tmp", "web", "sh", "-c", "echo $A; pwd"]).ok().stdout,
        "b\n/tmp\n"
    );

    for (arguments, said) in [
        (&["pause", "web"][..], "the freezer controller is not available"),
        (
            &["update", "--memory", "100000000", "web"],
            "linux.resources.memory.limit: the memory controller is not available",
        ),
        (&["events", "--stats", "web"], "container web has no cgroup"),
        (&["delete", "web"], "cannot delete container web that is not stopped: running"),
    ] {
        let ran = user.run(arguments);
        assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    }
    let _ = user.run(&["kill", "web", "KILL"]).ok();
    integration_tests::wait_for("web to be stopped", integration_tests::DEADLINE, || {
        user.state_of("web")["status"] == "stopped"
    });
    let _ = user.run(&["delete", "web"]).ok();
    user.host.assert_clean();
}

#[test]
fn a_container_on_the_hosts_processes_is_killed_too() {
    let user = User::new();
    let bundle = user.bundle("web", "exec sleep 1000", |config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
        namespaces.retain(|namespace| namespace["type"] != "pid");
        // A procfs shows a pid namespace, which must be one's own to be mounted.
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| mount["type"] != "proc");
        mounts.push(json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]}));
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    });
    let log = user.host.root.join("log");
    fs::write(&log, "").and_then(|()| chown(&log, Some(UID), Some(GID))).expect("root may");
    user.detached(&["--log", text(&log), "run", "--detach", "--bundle", text(&bundle), "web"]);
    let said = fs::read_to_string(&log).unwrap_or_default();
    assert!(said.contains("neither a cgroup nor a pid namespace"), "{said}");
    let ran = user.run(&["ps", "web"]);
    assert!(ran.code == 1 && ran.stderr.contains("cannot be told from others"), "{ran:?}");
    let _ = user.run(&["kill", "web", "KILL"]).ok();
    integration_tests::wait_for("web to be stopped", integration_tests::DEADLINE, || {
        user.state_of("web")["status"] == "stopped"
    });
    let _ = user.run(&["delete", "web"]).ok();
    user.host.assert_clean();
}

#[test]
fn limits_without_delegated_cgroups_are_refused_by_name() {
    let user = User::new();
    let ran = user.run_script("limited", "true", |config| {
        config["linux"]["resources"] = json!({"pids": {"limit": 7}});
    });
    assert!(ran.code == 1 && ran.stderr.contains("linux.resources.pids.limit"), "{ran:?}");
    let parent = user.host.root.cgroup_parent();
    let ran =
        user.run_script("placed", "true", |config| config["linux"]["cgroupsPath"] = json!(format!("{parent}/web")));
    assert!(ran.code == 1 && ran.stderr.contains("make cgroup /sys/fs/cgroup/"), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{parent}/web: Permission denied")), "{ran:?}");
    user.host.assert_clean();
}

#[test]
fn limits_hold_in_delegated_cgroups() {
    let user = User::new();
    let parent = user.host.root.cgroup_parent();
    let _ = delegate(&parent);
    user.sleeping("web", |config| {
        config["linux"]["cgroupsPath"] = json!(format!("{parent}/web"));
        config["linux"]["resources"] = json!({"pids": {"limit": 7}, "devices": [{"allow": false, "access": "rwm"}]});
    });
    let pid = user.state_of("web")["pid"].to_string();
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    assert!(own.lines().any(|line| line.ends_with(&format!("{parent}/web"))), "{own}");
    let limit = integration_tests::cgroups::marked(user.host.root.name())
        .iter()
        .find_map(|path| fs::read_to_string(path.join("pids.max")).ok().filter(|text| text != "max\n"));
    assert_eq!(limit.as_deref(), Some("7\n"));
    // What is executed inside is limited with it.
    let inside = user.run(&["exec", "web", "cat", "/proc/self/cgroup"]).ok().stdout;
    assert!(inside.lines().any(|line| line.ends_with(&format!("{parent}/web"))), "{inside}");
    let forks = "i=0; while [ $i -lt 20 ]; do sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done; true";
    let forks = user.run(&["exec", "web", "sh", "-c", forks]);
    assert!(forks.stderr.contains("fork"), "{forks:?}");
    let _ = user.run(&["update", "--pids-limit", "9", "web"]).ok();
    let _ = user.run(&["pause", "web"]).ok();
    assert_eq!(user.state_of("web")["status"], "paused");
    let _ = user.run(&["resume", "web"]).ok();
    let events = user.run(&["events", "--stats", "web"]).ok().stdout;
    let events: Value = serde_json::from_str(&events).expect("it is JSON");
    assert_eq!(events["data"]["pids"]["limit"], 9, "{events}");
    let _ = user.run(&["delete", "--force", "web"]).ok();
    user.host.assert_clean();
}

/// The user's own id as 0, and the ranges from 1 on.
fn many_ids(config: &mut Value) {
    for (key, own) in [("uidMappings", UID), ("gidMappings", GID)] {
        config["linux"][key] = json!([
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": FIRST_ID, "size": IDS},
        ]);
    }
}

#[test]
fn more_ids_are_mapped_by_newuidmap_and_newgidmap() {
    let user = User::new();
    let script = "tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; cat /proc/self/setgroups; id";
    let bundle = user.bundle("web", script, |config| {
        many_ids(config);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [7, 8]});
        config["process"]["oomScoreAdj"] = json!(500);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 99}]);
        for mount in config["mounts"].as_array_mut().expect("an array") {
            if mount["type"] == "devpts" {
                push(mount, "/options", json!("gid=5"));
            }
        }
    });
    let ran = user.with_ranges(&["run", "--bundle", text(&bundle), "web"]).ok();
    let maps = format!(" 0 {UID} 1\n 1 {FIRST_ID} {IDS}\n 0 {GID} 1\n 1 {FIRST_ID} {IDS}\nallow\n");
    assert_eq!(ran.stdout, format!("{maps}uid=1000 gid=1001 groups=7,8\n"));
    user.host.assert_clean();
}

#[test]
fn a_map_that_is_not_taken_is_named_with_its_reason() {
    let user = User::new();
    let bundle = user.bundle("web", "true", many_ids);
    // Nothing in /etc/subuid.
    let ran = user.run(&["run", "--bundle", text(&bundle), "web"]);
    assert!(ran.code == 1 && ran.stderr.contains("write uid_map") && ran.stderr.contains("/etc/subuid"), "{ran:?}");
    assert!(ran.stderr.contains("newuidmap: "), "{ran:?}");
    let mut without = as_user();
    without.args(["env", "PATH=/nowhere"]).arg(user.host.root.join("runtime")).arg("--root").arg(user.host.state());
    let without = Ran::of(without.args(["run", "--bundle", text(&bundle), "web"]));
    assert!(without.stderr.contains("newuidmap (package uidmap) is not in PATH"), "{without:?}");
    // Ids of somebody else.
    let foreign = user.bundle("foreign", "true", |config| {
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    });
    let ran = user.with_ranges(&["run", "--bundle", text(&foreign), "web"]);
    assert!(ran.code == 1 && ran.stderr.contains("uid_map") && ran.stderr.contains("0 0 1"), "{ran:?}");
    // What the kernel does not take even from root.
    let overlap = user.host.run_script("overlap", "true", |config| {
        push(config, "/linux/namespaces", json!({"type": "user"}));
        let twice =
            json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 3000, "size": 1}]);
        config["linux"]["uidMappings"] = twice;
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    });
    assert!(
        overlap.code == 1 && overlap.stderr.contains("5 3000 1") && overlap.stderr.contains("invalid argument"),
        "{overlap:?}"
    );
    user.host.assert_clean();
}

#[test]
fn what_needs_privilege_is_refused_in_a_sentence() {
    let user = User::new();
    for (name, said, change) in [
        (
            "no-users",
            "rootless container requires user namespaces",
            Box::new(|config: &mut Value| {
                let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
                namespaces.retain(|namespace| namespace["type"] != "user");
                for key in ["uidMappings", "gidMappings"] {
                    config["linux"].as_object_mut().expect("an object").remove(key);
                }
            }) as Box<dyn Fn(&mut Value)>,
        ),
        (
            "score",
            "set process.oomScoreAdj to -500: permission denied",
            Box::new(|config: &mut Value| config["process"]["oomScoreAdj"] = json!(-500)),
        ),
        (
            "group",
            "set options: invalid argument",
            Box::new(|config: &mut Value| {
                let mount = json!({"destination": "/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"]});
                push(config, "/mounts", mount);
            }),
        ),
        (
            "mapped",
            "id-mapped mounts are not supported for rootless containers",
            Box::new(|config: &mut Value| {
                let mapping = json!([{"containerID": 0, "hostID": UID, "size": 1}]);
                let mount = json!({"destination": "/m", "type": "bind", "source": "/tmp", "options": ["bind"],
                                   "uidMappings": mapping, "gidMappings": mapping});
                push(config, "/mounts", mount);
            }),
        ),
        (
            "missing",
            "stat /no/such/source: no such file or directory",
            Box::new(|config: &mut Value| {
                push(
                    config,
                    "/mounts",
                    json!({"destination": "/m", "type": "bind", "source": "/no/such/source", "options": ["bind"]}),
                );
            }),
        ),
        (
            "groups",
            "set user and groups: operation not permitted",
            Box::new(|config: &mut Value| config["process"]["user"]["additionalGids"] = json!([0])),
        ),
        (
            "user",
            "set user and groups: invalid argument",
            Box::new(|config: &mut Value| config["process"]["user"]["uid"] = json!(1000)),
        ),
    ] {
        let ran = user.run_script(name, "true", change);
        assert!(ran.code == 1 && ran.stderr.contains(said), "{name}: {ran:?}");
        user.host.assert_clean();
    }
}

#[test]
fn a_host_without_user_namespaces_is_told_by_its_switch() {
    let user = User::new();
    let bundle = user.bundle("web", "true", |_| {});
    // The limit of a namespace in between, which is its root's to set, holds below it.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = as_user();
    command.args(["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]);
    let inner = user.host.root.join("runtime");
    command.arg(inner).arg("--root").arg(user.host.state()).args(["run", "--bundle", text(&bundle), "web"]);
    let ran = Ran::of(&mut command);
    assert!(ran.code == 1 && ran.stderr.contains("user.max_user_namespaces is 0 on this host"), "{ran:?}");
    user.host.assert_clean();
}

#[test]
fn a_sysfs_of_a_network_that_is_not_owned_is_the_hosts_and_read_only() {
    let user = User::new();
    let script = "[ -d /sys/kernel ] && echo there; awk '$5 ~ \"^/sys\" && $6 !~ /^ro/' /proc/self/mountinfo";
    let ran = user.run_script("web", script, |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/sys")));
        mounts.push(json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev"]}));
    });
    assert_eq!(ran.ok().stdout, "there\n");
    user.host.assert_clean();
}

#[test]
fn attributes_of_a_source_stay_locked() {
    let user = User::new();
    let locked = user.host.root.make("locked");
    let options = "nosuid,nodev,noexec,noatime";
    let _ = Ran::of(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", text(&locked)])).ok();
    let run = |name: &str, options: Value| {
        user.run_script(name, "grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6", |config| {
            let mount = json!({"destination": "/m", "type": "bind", "source": text(&locked), "options": options});
            push(config, "/mounts", mount);
        })
    };
    assert_eq!(run("kept", json!(["rbind", "ro"])).ok().stdout, "ro,nosuid,nodev,noexec,noatime\n");
    // As with runc: what is asked for by name and cannot be had is an error.
    let taken = run("taken", json!(["rbind", "ro", "suid", "exec"]));
    assert!(taken.code == 1 && taken.stderr.contains("operation not permitted"), "{taken:?}");
    let _ = Ran::of(Command::new("umount").arg(&locked)).ok();
    user.host.assert_clean();
}

#[test]
fn a_user_namespace_of_the_users_own_is_joined_by_path() {
    let user = User::new();
    user.sleeping("first", |_| {});
    let pid = user.state_of("first")["pid"].to_string();
    let of = |name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("it runs").display().to_string();
    let script = "readlink /proc/self/ns/user; readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts";
    let ran = user.run_script("second", script, |config| {
        let path = |file: &str| format!("/proc/{pid}/ns/{file}");
        config["linux"]["namespaces"] = json!([
            {"type": "user", "path": path("user")}, {"type": "pid", "path": path("pid")},
            {"type": "ipc", "path": path("ipc")}, {"type": "mount"}, {"type": "uts"},
        ]);
    });
    let found = ran.ok().stdout;
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found[..3], [of("user"), of("pid"), of("ipc")]);
    assert_ne!(found[3], of("uts"));
    let _ = user.run(&["delete", "--force", "first"]).ok();
    user.host.assert_clean();
}
