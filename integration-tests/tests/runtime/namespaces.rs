//! Namespaces: own, joined by path, user namespaces with mappings, time offsets.

use std::fs;

use serde_json::{Value, json};

use crate::{Host, push, set};

fn namespaces(config: &mut Value, kinds: &[&str]) {
    set(config, "/linux/namespaces", kinds.iter().map(|kind| json!({"type": kind})).collect());
}

#[test]
fn a_container_joins_the_namespaces_of_another() {
    let host = Host::new();
    let _ = host.sleeping("first", |_| {});
    let pid = host.state_of("first")["pid"].to_string();
    let of = |kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("it runs").display().to_string();
    let script = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; hostname";
    let ran = host.run_script("second", script, |config| {
        namespaces(config, &["mount"]);
        config["hostname"] = json!("");
        for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
            push(config, "/linux/namespaces", json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
        }
    });
    let expected = format!("{}\n{}\n{}\n{}\nbundle\n", of("net"), of("ipc"), of("uts"), of("pid"));
    assert_eq!(ran.ok().stdout, expected);
    assert_eq!(host.status("first"), "running");
    let _ = host.run(&["delete", "-f", "first"]).ok();
    host.assert_clean();
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    let host = Host::new();
    let ran = host.run_script("web", "true", |config| {
        namespaces(config, &["mount", "uts"]);
        push(config, "/linux/namespaces", json!({"type": "network", "path": "/nope"}));
    });
    assert!(ran.stderr.contains("network namespace /nope: no such file or directory"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn without_a_pid_namespace_kill_reaches_every_process() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sh", "-c", "sleep 1000 & sleep 1000; true"], |config| {
        namespaces(config, &["mount", "uts", "ipc", "network"]);
    });
    host.create("web", &bundle);
    let _ = host.run(&["start", "web"]).ok();
    let pids = || host.run(&["ps", "-f", "json", "web"]).ok().stdout.matches(',').count() + 1;
    integration_tests::wait_for("three processes", integration_tests::DEADLINE, || pids() == 3);
    let _ = host.run(&["kill", "web", "KILL"]).ok();
    host.wait_for_status("web", "stopped");
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}

/// A configuration in a user namespace whose ids lie at 100000 on the host.
fn in_user_namespace(config: &mut Value) {
    push(config, "/linux/namespaces", json!({"type": "user"}));
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    config["linux"]["uidMappings"] = mapping.clone();
    config["linux"]["gidMappings"] = mapping;
}

#[test]
fn root_of_a_user_namespace_is_nobody_outside() {
    let host = Host::new();
    let data = host.root.make("data");
    let script = "id -u; cat /proc/self/uid_map | tr -s ' '; touch /tmp/mine && stat -c %u /tmp/mine; echo x > /dev/null && echo null; \
                  touch /data/x; mount -t tmpfs tmpfs /home && echo mounted; hostname renamed && hostname";
    let bundle = host.bundle("web", &["sh", "-c", script], |config| {
        in_user_namespace(config);
        let caps = config["process"]["capabilities"].clone();
        for set in ["bounding", "effective", "permitted"] {
            let mut list = caps[set].clone();
            list.as_array_mut().expect("an array").push(json!("CAP_SYS_ADMIN"));
            config["process"]["capabilities"][set] = list;
        }
        push(
            config,
            "/mounts",
            json!({"destination": "/data", "type": "bind", "source": data.display().to_string(), "options": ["bind"]}),
        );
    });
    // The rootfs belongs to the host's root: nothing can be made in it from inside.
    fs::create_dir(bundle.join("rootfs/data")).expect("the bundle is ours");
    let ran = host.run(&["run", "--bundle", crate::text(&bundle), "web"]);
    assert_eq!(ran.stdout, "0\n 0 100000 65536\n0\nnull\nmounted\nrenamed\n", "{ran:?}");
    assert!(ran.stderr.contains("/data/x: Permission denied"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn exec_enters_a_user_namespace() {
    let host = Host::new();
    let _ = host.sleeping("web", in_user_namespace);
    let pid = host.state_of("web")["pid"].to_string();
    assert!(fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs").contains("Uid:\t100000"));
    let ran = host.run(&["exec", "web", "sh", "-c", "id -u; readlink /proc/self/ns/user"]).ok();
    let user = fs::read_link(format!("/proc/{pid}/ns/user")).expect("it runs");
    assert_eq!(ran.stdout, format!("0\n{}\n", user.display()));
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_user_namespace_is_joined_by_path() {
    let host = Host::new();
    let _ = host.sleeping("first", in_user_namespace);
    let pid = host.state_of("first")["pid"].to_string();
    let ran =
        host.run_script("second", "id -u; readlink /proc/self/ns/user; touch /dev/shm/x && echo wrote", |config| {
            push(config, "/linux/namespaces", json!({"type": "user", "path": format!("/proc/{pid}/ns/user")}));
        });
    let user = fs::read_link(format!("/proc/{pid}/ns/user")).expect("it runs");
    assert_eq!(ran.stdout, format!("0\n{}\nwrote\n", user.display()), "{ran:?}");
    let _ = host.run(&["delete", "-f", "first"]).ok();
    host.assert_clean();
}

#[test]
fn clocks_of_a_time_namespace_are_offset() {
    let host = Host::new();
    let ran = host.run_script("web", "cut -d. -f1 /proc/uptime", |config| {
        push(config, "/linux/namespaces", json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000, "nanosecs": 0}});
    });
    assert!(ran.ok().out().parse::<u64>().expect("a number") > 1_000_000_000);
    host.assert_clean();
}

#[test]
fn clocks_of_its_own_go_with_a_joined_user_namespace() {
    let host = Host::new();
    let _ = host.sleeping("first", in_user_namespace);
    let pid = host.state_of("first")["pid"].to_string();
    let joined = |config: &mut Value| {
        push(config, "/linux/namespaces", json!({"type": "user", "path": format!("/proc/{pid}/ns/user")}));
        push(config, "/linux/namespaces", json!({"type": "time"}));
        config["linux"]["timeOffsets"] =
            json!({"boottime": {"secs": 1_000_000_000, "nanosecs": 5}, "monotonic": {"secs": 7, "nanosecs": 8}});
    };
    let script = "readlink /proc/self/ns/user; tr -s ' ' < /proc/self/timens_offsets; cut -d. -f1 /proc/uptime";
    let found = host.run_script("second", script, joined).ok().stdout;
    let lines: Vec<&str> = found.lines().collect();
    let user = fs::read_link(format!("/proc/{pid}/ns/user")).expect("it runs").display().to_string();
    assert_eq!(lines[..3], [&user, "monotonic 7 8", "boottime 1000000000 5"], "{found}");
    assert!(lines[3].parse::<u64>().is_ok_and(|seconds| seconds > 1_000_000_000), "{found}");
    let _ = host.sleeping("third", joined);
    let offsets = host.run(&["exec", "third", "cat", "/proc/self/timens_offsets"]).ok().stdout;
    assert!(offsets.contains("1000000000"), "{offsets}");
    // A value that the kernel does not take is told with the file it was meant for.
    let ran = host.run_script("fourth", "true", |config| {
        joined(config);
        config["linux"]["timeOffsets"]["boottime"]["secs"] = json!(-1_000_000_000);
    });
    assert!(ran.code == 1 && ran.stderr.contains("timens_offsets: numerical result out of range"), "{ran:?}");
    for name in ["third", "first"] {
        let _ = host.run(&["delete", "-f", name]).ok();
    }
    host.assert_clean();
}

#[test]
fn events_travel_as_the_propagation_says() {
    let host = Host::new();
    let data = host.root.make("data");
    let ran = host.run_script("web", "grep -E ' /(p|s) ' /proc/self/mountinfo", |config| {
        let source = data.display().to_string();
        push(
            config,
            "/mounts",
            json!({"destination": "/p", "type": "bind", "source": source, "options": ["rbind", "rprivate"]}),
        );
        push(
            config,
            "/mounts",
            json!({"destination": "/s", "type": "bind", "source": source, "options": ["rbind", "rshared"]}),
        );
    });
    let out = ran.ok().stdout;
    let line =
        |target: &str| out.lines().find(|line| line.contains(&format!(" {target} "))).expect("mounted").to_owned();
    assert!(!line("/p").contains("shared:") && !line("/p").contains("master:"), "{out}");
    assert!(line("/s").contains("shared:"), "{out}");
    host.assert_clean();
}

#[test]
fn a_joined_user_namespace_need_not_own_the_others() {
    let host = Host::new();
    let _ = host.sleeping("owner", in_user_namespace);
    let _ = host.sleeping("host", |_| {});
    let (owner, plain) = (host.state_of("owner")["pid"].to_string(), host.state_of("host")["pid"].to_string());
    let ran = host.run_script("web", "readlink /proc/self/ns/user; readlink /proc/self/ns/net", |config| {
        let mounts = config["mounts"].as_array_mut().expect("an array");
        // Nobody may mount these without owning the network namespace.
        mounts.retain(|mount| !["sysfs", "cgroup", "mqueue"].iter().any(|kind| mount["type"] == *kind));
        config["linux"]["namespaces"] = json!([
            {"type": "user", "path": format!("/proc/{owner}/ns/user")}, {"type": "mount"}, {"type": "pid"}, {"type": "uts"},
            {"type": "network", "path": format!("/proc/{plain}/ns/net")},
            {"type": "time", "path": "/proc/self/ns/time"},
        ]);
    });
    let link = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("it runs");
    let expected = format!("{}\n{}\n", link(&owner, "user").display(), link(&plain, "net").display());
    assert_eq!(ran.stdout, expected, "{ran:?}");
    for name in ["owner", "host"] {
        let _ = host.run(&["delete", "-f", name]).ok();
    }
    host.assert_clean();
}

#[test]
fn a_joined_time_namespace_does_not_hide_the_process() {
    let host = Host::new();
    let _ = host.sleeping("first", |config| {
        push(config, "/linux/namespaces", json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000, "nanosecs": 0}});
    });
    let pid = host.state_of("first")["pid"].to_string();
    let _ = host.sleeping("second", |config| {
        push(config, "/linux/namespaces", json!({"type": "time", "path": format!("/proc/{pid}/ns/time")}));
    });
    // The time of start by which it is known again is that of the host's clock.
    assert_eq!(host.status("second"), "running");
    let offset = host.run(&["exec", "second", "cat", "/proc/self/timens_offsets"]).ok().stdout;
    assert!(offset.contains("100000"), "{offset}");
    for name in ["first", "second"] {
        let _ = host.run(&["delete", "-f", name]).ok();
    }
    host.assert_clean();
}

/// Every namespace of the process `pid` but the mount namespace, by path.
fn join_all(config: &mut Value, pid: &str) {
    let joined =
        [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("user", "user"), ("time", "time")];
    let joined = joined.map(|(kind, file)| json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
    config["linux"]["namespaces"] = json!(joined);
    push(config, "/linux/namespaces", json!({"type": "mount"}));
    config["hostname"] = json!("");
}

#[test]
fn a_container_joins_every_namespace_of_one_with_users_and_clocks_of_its_own() {
    let host = Host::new();
    let _ = host.sleeping("first", |config| {
        in_user_namespace(config);
        push(config, "/linux/namespaces", json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000, "nanosecs": 0}});
    });
    let pid = host.state_of("first")["pid"].to_string();
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("it runs").display().to_string();
    let names = ["net", "ipc", "uts", "pid", "user", "time"];
    let expected: String = names.iter().map(|name| link(name) + "\n").collect();
    // In the foreground: what it leaves is removed by a runtime that kept the host's rights.
    let script = "for n in net ipc uts pid user time; do readlink /proc/self/ns/$n; done; tr -s ' ' < /proc/self/uid_map; \
                  grep -c 100000 /proc/self/timens_offsets";
    let ran = host.run_script("second", script, |config| join_all(config, &pid));
    assert_eq!(ran.ok().stdout, expected + " 0 100000 65536\n1\n");
    let _ = host.sleeping("third", |config| join_all(config, &pid));
    assert_eq!(host.status("third"), "running");
    let ran = host.run(&["exec", "third", "readlink", "/proc/self/ns/time"]).ok();
    assert_eq!(ran.out(), link("time"));
    for name in ["third", "first"] {
        let _ = host.run(&["delete", "-f", name]).ok();
    }
    host.assert_clean();
}

#[test]
fn users_of_its_own_and_the_network_of_another_go_together() {
    let host = Host::new();
    let _ = host.sleeping("first", |_| {});
    let pid = host.state_of("first")["pid"].to_string();
    let ran = host.run_script("second", "readlink /proc/self/ns/net; id -u", |config| {
        in_user_namespace(config);
        let mounts = config["mounts"].as_array_mut().expect("an array");
        // Nobody may mount it without owning the network namespace.
        mounts.retain(|mount| mount["type"] != "sysfs" && mount["type"] != "cgroup");
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "network", "path": format!("/proc/{pid}/ns/net")}));
    });
    let net = fs::read_link(format!("/proc/{pid}/ns/net")).expect("it runs");
    assert_eq!(ran.ok().stdout, format!("{}\n0\n", net.display()));
    let ran = host.run_script("third", "true", |config| {
        in_user_namespace(config);
        push(config, "/linux/namespaces", json!({"type": "time", "path": format!("/proc/{pid}/ns/net")}));
    });
    assert!(ran.stderr.contains(&format!("time namespace /proc/{pid}/ns/net: invalid argument")), "{ran:?}");
    let _ = host.run(&["delete", "-f", "first"]).ok();
    host.assert_clean();
}

#[test]
fn hooks_of_the_host_stay_in_its_namespaces_when_the_container_joins_others() {
    let host = Host::new();
    let _ = host.sleeping("first", in_user_namespace);
    let pid = host.state_of("first")["pid"].to_string();
    let notes = host.root.join("notes");
    let hook = format!("readlink /proc/self/ns/pid /proc/self/ns/user >> {}", notes.display());
    for (name, kinds) in [("pid", &["pid"][..]), ("both", &["pid", "user"])] {
        let ran = host.run_script(name, "true", |config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("an array");
            namespaces.retain(|namespace| namespace["type"] != "pid");
            for kind in kinds {
                namespaces.push(json!({"type": kind, "path": format!("/proc/{pid}/ns/{kind}")}));
            }
            let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", hook], "env": ["PATH=/bin:/usr/bin"]}]);
            config["hooks"] = json!({"createRuntime": hook, "poststop": hook});
        });
        let _ = ran.ok();
    }
    let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).expect("proc(5)").display().to_string();
    let expected = format!("{}\n{}\n", own("pid"), own("user")).repeat(4);
    assert_eq!(fs::read_to_string(notes).expect("the hooks ran"), expected);
    let _ = host.run(&["delete", "-f", "first"]).ok();
    host.assert_clean();
}

#[test]
fn a_container_in_the_hosts_mount_namespace_has_its_own_root_and_leaves_no_mount() {
    let host = Host::new();
    let in_host = |config: &mut Value| {
        namespaces(config, &["pid", "network", "ipc", "uts"]);
        set(config, "/root", json!({"path": "rootfs", "readonly": true}));
    };
    let script = "readlink /proc/self/ns/mnt; cat /proc/1/comm; touch /x; test -e /boot || echo elsewhere";
    let ran = host.run_script("web", script, in_host);
    let own = fs::read_link("/proc/self/ns/mnt").expect("proc(5)");
    assert_eq!(ran.stdout, format!("{}\nsh\nelsewhere\n", own.display()), "{ran:?}");
    assert!(ran.stderr.contains("/x: Read-only file system"), "{ran:?}");
    host.assert_clean();
    let bundle = host.sleeping("other", in_host);
    fs::write(bundle.join("rootfs/mark"), "here").expect("the bundle is ours");
    let ran = host.run(&["exec", "other", "sh", "-c", "cat /mark; cd ../..; ls -d boot"]);
    assert!(ran.stdout == "here" && ran.stderr.contains("boot: No such file"), "an exec is in its root: {ran:?}");
    let _ = host.run(&["delete", "-f", "other"]).ok();
    assert!(bundle.join("rootfs/bin").exists(), "nothing is removed through a mount");
    host.assert_clean();
    let missing = host.bundle("missing", &["/nope"], in_host);
    assert_eq!(host.run(&["run", "--bundle", crate::text(&missing), "missing"]).code, 1);
    assert!(missing.join("rootfs/bin").exists());
    host.assert_clean();
}
