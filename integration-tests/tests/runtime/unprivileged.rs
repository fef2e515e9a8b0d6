//! A user without any privilege runs containers: what works as for root, what is done another way, what is refused and
//! in which words.

use std::{fs, os::unix::fs::chown, process::Command};

use integration_tests::{Ran, Terminal};
use serde_json::{Value, json};

use crate::{
    push, text,
    user::{FIRST_ID, GID, IDS, UID, User, delegate, many_ids},
};

#[test]
fn a_user_runs_a_container() {
    let user = User::new();
    let script = "id -u; tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; cat /proc/self/setgroups; \
                  for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo $d lacks; done; \
                  echo x > /dev/null && head -c 2 /dev/zero | wc -c; touch /made && echo made; ls -d /sys/fs/cgroup/pids 2>/dev/null; \
                  [ -d /sys/kernel ] && mount | grep -c ' /sys '; grep CapBnd /proc/self/status; readlink /dev/ptmx";
    let ran = user.run_script("web", script, |config| {
        let ptmx = json!({"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2});
        config["linux"]["devices"] = json!([ptmx]);
    });
    let ran = ran.ok();
    // The caller's own groups, where v1 has them; that they cannot be written is another test's.
    let group = "/sys/fs/cgroup/pids";
    let group = if fs::metadata(group).is_ok() { format!("{group}\n") } else { String::new() };
    let expected =
        format!("0\n 0 {UID} 1\n 0 {GID} 1\ndeny\n2\nmade\n{group}1\nCapBnd:\t0000000020000420\npts/ptmx\n",);
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
    // Also before it is started.
    assert_eq!(user.run(&["exec", "web", "id", "-u"]).ok().stdout, "0\n");
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

#[test]
fn clocks_of_its_own_go_with_a_user_namespace_of_the_users_that_is_joined() {
    let user = User::new();
    user.sleeping("one", |_| {});
    user.sleeping_with_many_ids("many");
    for first in ["one", "many"] {
        let pid = user.state_of(first)["pid"].to_string();
        let script = "readlink /proc/self/ns/user; tr -s ' ' < /proc/self/timens_offsets; cut -d. -f1 /proc/uptime; \
                      readlink /proc/self/ns/time; readlink /proc/self/ns/time_for_children";
        let joined = |config: &mut Value| {
            config["linux"]["namespaces"] = json!([
                {"type": "user", "path": format!("/proc/{pid}/ns/user")}, {"type": "pid"}, {"type": "mount"}, {"type": "ipc"},
                {"type": "time"},
            ]);
            config["hostname"] = json!("");
            config["linux"]["timeOffsets"] =
                json!({"boottime": {"secs": 1_000_000_000, "nanosecs": 5}, "monotonic": {"secs": 7, "nanosecs": 8}});
        };
        let found = user.run_script(&format!("second-{first}"), script, joined).ok().stdout;
        let lines: Vec<&str> = found.lines().collect();
        let link = fs::read_link(format!("/proc/{pid}/ns/user")).expect("it runs");
        assert_eq!(lines[..3], [&link.display().to_string(), "monotonic 7 8", "boottime 1000000000 5"], "{found}");
        assert!(lines[3].parse::<u64>().is_ok_and(|seconds| seconds > 1_000_000_000), "{found}");
        assert_eq!(lines[4], lines[5]);
        // Those who come later are in it as well.
        let third = format!("third-{first}");
        user.sleeping(&third, joined);
        let offsets = user.run(&["exec", &third, "cat", "/proc/self/timens_offsets"]).ok().stdout;
        assert!(offsets.contains("1000000000"), "{offsets}");
        for name in [&third, first] {
            let _ = user.run(&["delete", "--force", name]).ok();
        }
    }
    user.host.assert_clean();
}

#[test]
fn a_terminal_works_without_a_group_for_it() {
    let user = User::new();
    let bundle = user.bundle("web", "true", |config| {
        config["process"]["args"] = json!(["sh"]);
        config["process"]["terminal"] = json!(true);
    });
    let mut terminal = Terminal::spawn(user.command(&["run", "--bundle", text(&bundle), "web"]));
    terminal.send("tty; ls -l /dev/console; echo $((6*7))\n");
    for text in ["/dev/pts/0", "/dev/console", "42"] {
        terminal.expect(text);
    }
    let mut inside = Terminal::spawn(user.command(&["exec", "--tty", "web", "sh"]));
    inside.send("tty; exit 3\n");
    inside.expect("/dev/pts/1");
    assert_eq!(inside.wait(), 3);
    terminal.send("exit 5\n");
    assert_eq!(terminal.wait(), 5);
    user.host.assert_clean();
}

#[test]
fn clocks_hooks_filters_and_parameters_are_set_for_a_user_too() {
    let user = User::new();
    let told = user.host.root.make("told");
    chown(&told, Some(UID), Some(GID)).expect("root may");
    let script = "cut -d. -f1 /proc/uptime; cat /proc/sys/net/ipv4/ip_forward; grep Seccomp: /proc/self/status; \
                  mkdir /forbidden || echo filtered; ulimit -n; hostname; exit 4";
    let ran = user.run_script("web", script, |config| {
        push(config, "/linux/namespaces", json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000, "nanosecs": 0}});
        push(config, "/linux/namespaces", json!({"type": "network"}));
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]});
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 99}]);
        let hook =
            |name: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("cat > {}/{name}", told.display())]}]);
        config["hooks"] = json!({"createRuntime": hook("created"), "poststop": hook("stopped")});
    });
    assert_eq!(ran.code, 4, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].parse::<u64>().is_ok_and(|seconds| seconds > 1_000_000_000), "{ran:?}");
    assert_eq!(lines[1..], ["1", "Seccomp:\t2", "filtered", "99", "runc"], "{ran:?}");
    for name in ["created", "stopped"] {
        let state = fs::read_to_string(told.join(name)).unwrap_or_default();
        assert!(state.contains("\"id\":\"web\""), "{name}: {state}");
    }
    user.host.assert_clean();
}
