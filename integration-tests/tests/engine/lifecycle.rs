//! One container's life, verb by verb.

use std::process::Command;

use integration_tests::{DEADLINE, Leaks, wait_for};
use serde_json::{Value, json};

use crate::{
    busybox, create, delete, engine, expect, get, post, start, state, wait_for_exit, wait_for_status, wait_until_gone,
};

#[test]
fn a_container_lives_through_every_verb_and_leaves_nothing() {
    let stack = engine();
    let before = Leaks::of(stack.root());
    let id = create(&stack, "web", &busybox(&["sleep", "1000"]));
    let verb = |verb: &str| post(&stack, &format!("/containers/web/{verb}"), &Value::Null);

    expect(verb("start"), 204);
    expect(verb("start"), 304);
    let pid = state(&stack, &id)["Pid"].as_u64().unwrap();
    let tasks = stack.ctr().run(&["task", "ls"]).ok();
    assert!(tasks.out().contains(&format!(" {pid} ")), "{}", tasks.out());
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());

    expect(verb("pause"), 204);
    assert_eq!(state(&stack, &id)["Status"], "paused");
    expect(verb("unpause"), 204);
    expect(verb("rename?name=shop"), 204);
    expect(get(&stack, "/containers/shop/json"), 200);
    expect(get(&stack, "/containers/web/json"), 404);

    let update = json!({ "Memory": 32 << 20, "MemorySwap": 64 << 20, "RestartPolicy": { "Name": "unless-stopped" } });
    expect(post(&stack, "/containers/shop/update", &update), 200);
    let shown = get(&stack, "/containers/shop/json").json();
    assert_eq!(shown["HostConfig"]["Memory"], 32 << 20);
    assert_eq!(shown["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");

    expect(post(&stack, "/containers/shop/restart?t=0", &Value::Null), 204);
    let pid_again = state(&stack, &id)["Pid"].as_u64().unwrap();
    assert_ne!(pid_again, pid);
    // Before it is busybox, SIGTERM ends it.
    let comm = format!("/proc/{pid_again}/comm");
    let is_busybox = || std::fs::read_to_string(&comm).is_ok_and(|name| !name.starts_with("corten"));
    wait_for("the program to run", DEADLINE, is_busybox);
    expect(post(&stack, "/containers/shop/stop?t=0", &Value::Null), 204);
    expect(post(&stack, "/containers/shop/stop?t=0", &Value::Null), 304);
    assert_eq!(
        (state(&stack, &id)["Status"].clone(), state(&stack, &id)["ExitCode"].clone()),
        (json!("exited"), json!(137))
    );
    expect(delete(&stack, "/containers/shop"), 204);
    expect(delete(&stack, "/containers/shop"), 404);

    let here = |found: &Leaks| found.since(&before).without_files(|file| !file.contains(&id[..12]));
    wait_for("everything of the container to be gone", DEADLINE, || {
        let left = here(&Leaks::of(stack.root()));
        let counts = left.counts();
        counts.mounts == 0 && counts.processes == 0 && counts.files == 0 && counts.netns == 0
    });
    let snapshots = stack.ctr().run(&["snapshots", "ls"]).ok();
    assert!(!snapshots.out().contains(&id), "{}", snapshots.out());
}

#[test]
fn a_signal_ends_a_container_as_it_says() {
    let stack = engine();
    let body = busybox(&["sh", "-c", "trap 'exit 7' TERM; echo ready; while true; do sleep 0.1; done"]);
    let id = start(&stack, "traps", &body);
    let ready = |times: usize| {
        wait_for("the signal to be trapped", DEADLINE, || {
            get(&stack, "/containers/traps/logs?stdout=1").text().matches("ready").count() == times
        });
    };
    ready(1);
    expect(post(&stack, "/containers/traps/stop", &Value::Null), 204);
    assert_eq!(state(&stack, &id)["ExitCode"], 7);
    expect(post(&stack, "/containers/traps/start", &Value::Null), 204);
    ready(2);
    expect(post(&stack, "/containers/traps/kill?signal=TERM", &Value::Null), 204);
    assert_eq!(wait_for_exit(&stack, &id), 7);
    expect(post(&stack, "/containers/traps/start", &Value::Null), 204);
    expect(post(&stack, "/containers/traps/kill", &Value::Null), 204);
    assert_eq!(state(&stack, &id)["ExitCode"], 137);
}

#[test]
fn paused_containers_are_stopped_and_removed_by_force() {
    let stack = engine();
    for (name, force) in [("one", false), ("two", true)] {
        let id = start(&stack, name, &busybox(&["sleep", "1000"]));
        expect(post(&stack, &format!("/containers/{id}/pause"), &Value::Null), 204);
        if force {
            expect(delete(&stack, &format!("/containers/{id}?force=1")), 204);
        } else {
            expect(post(&stack, &format!("/containers/{id}/stop?t=1"), &Value::Null), 204);
            expect(delete(&stack, &format!("/containers/{id}")), 204);
        }
    }
}

#[test]
fn a_container_that_asks_for_it_is_removed_after_its_end_but_not_by_a_restart() {
    let stack = engine();
    let mut body = busybox(&["sleep", "1000"]);
    body["HostConfig"]["AutoRemove"] = json!(true);
    let id = start(&stack, "fleeting", &body);
    expect(post(&stack, "/containers/fleeting/restart?t=0", &Value::Null), 204);
    assert_eq!(state(&stack, &id)["Status"], "running");
    let docker = stack.docker();
    let waiting = std::thread::spawn(move || docker.command(&["wait", "fleeting"]).output().expect("docker runs"));
    expect(post(&stack, "/containers/fleeting/kill", &Value::Null), 204);
    wait_until_gone(&stack, &id);
    let waited = waiting.join().unwrap();
    // The wait may have come too late; it never hangs.
    assert!(waited.stdout.starts_with(b"137") || !waited.status.success(), "{waited:?}");
}

#[test]
fn two_docker_clis_list_and_inspect() {
    let stack = engine();
    let id = start(&stack, "shown", &busybox(&["sleep", "1000"]));
    create(&stack, "waits", &busybox(&["true"]));
    for docker in integration_tests::DockerCli::originals(&stack.socket()) {
        let listed = docker.run(&["ps", "--all", "--format", "{{.Names}} {{.Image}} {{.State}} {{.Command}}"]).ok();
        assert_eq!(
            listed.out(),
            "waits busybox created \"true\"\nshown busybox running \"sleep 1000\"",
            "{}",
            docker.label
        );
        let running = docker.run(&["ps", "--quiet", "--no-trunc"]).ok();
        assert_eq!(running.out(), id);
        for (filter, names) in [
            ("name=^/sho", "shown"),
            ("status=created", "waits"),
            ("ancestor=busybox", "waits\nshown"),
            ("since=shown", "waits"),
            ("label=none", ""),
        ] {
            let listed = docker.run(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]).ok();
            assert_eq!(listed.out(), names, "{} {filter}", docker.label);
        }
        let shown = docker.run(&["inspect", "--format", "{{.State.Status}} {{.Name}} {{.Id}}", "shown"]).ok();
        assert_eq!(shown.out(), format!("running /shown {id}"));
        let _ = docker.run(&["inspect", "nothing-of-that-name"]).code(1);
    }
}

#[test]
fn containers_share_namespaces_when_asked() {
    let stack = engine();
    let id = start(&stack, "first", &busybox(&["sleep", "1000"]));
    let pid = state(&stack, &id)["Pid"].as_u64().unwrap();
    let link = |kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string();
    let (net, pids) = (link("net"), link("pid"));
    let mut body = busybox(&["sh", "-c", "readlink /proc/self/ns/net; readlink /proc/self/ns/pid"]);
    body["HostConfig"]["NetworkMode"] = json!("container:first");
    body["HostConfig"]["PidMode"] = json!("container:first");
    create(&stack, "second", &body);
    let ran = stack.docker().run(&["start", "--attach", "second"]).ok();
    assert_eq!(ran.out(), format!("{net}\n{pids}"));

    expect(post(&stack, "/containers/first/stop?t=0", &Value::Null), 204);
    let refused = crate::refusal(post(&stack, "/containers/second/start", &Value::Null), 409);
    assert!(refused.starts_with("cannot join network namespace of a non running container"), "{refused}");
    wait_for_status(&stack, "second", "exited");

    let mut body = busybox(&["sh", "-c", "hostname; readlink /proc/self/ns/net"]);
    body["HostConfig"] = json!({ "NetworkMode": "host", "UTSMode": "host", "PidMode": "host", "IpcMode": "host" });
    create(&stack, "open", &body);
    let ran = stack.docker().run(&["start", "--attach", "open"]).ok();
    let own = Command::new("sh").args(["-c", "hostname; readlink /proc/self/ns/net"]).output().unwrap();
    assert_eq!(ran.out(), String::from_utf8_lossy(&own.stdout).trim());
}

#[test]
fn sizes_are_added_up_when_they_are_asked_for() {
    let stack = engine();
    let id = start(&stack, "writes", &busybox(&["sh", "-c", "head -c 100000 /dev/zero > /tmp/x; exec sleep 1000"]));
    let size = || expect(get(&stack, &format!("/containers/{id}/json?size=1")), 200).json();
    wait_for("what was written to show", DEADLINE, || size()["SizeRw"].as_i64() >= Some(100_000));
    let shown = size();
    assert!(shown["SizeRootFs"].as_i64() > shown["SizeRw"].as_i64().map(|bytes| bytes + 100_000), "{shown}");
    let listed = expect(get(&stack, "/containers/json?size=1"), 200).json()[0].clone();
    assert_eq!((&listed["SizeRw"], &listed["SizeRootFs"]), (&shown["SizeRw"], &shown["SizeRootFs"]));
    let plain = expect(get(&stack, &format!("/containers/{id}/json")), 200).json();
    assert_eq!((plain.get("SizeRw"), plain.get("SizeRootFs")), (None, None));
}

#[test]
fn the_primary_group_is_among_a_process_s_groups() {
    let stack = engine();
    let body = |user: &str| {
        let mut body = busybox(&["sh", "-c", "exec sleep 1000"]);
        body["User"] = json!(user);
        body["HostConfig"]["GroupAdd"] = json!(["4242"]);
        body
    };
    for (name, user, groups) in [("root", "", "0 4242"), ("other", "1234:5678", "4242 5678")] {
        let id = start(&stack, name, &body(user));
        let status = std::fs::read_to_string(format!("/proc/{}/status", state(&stack, &id)["Pid"])).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
        assert_eq!(line.trim(), groups, "{user:?}");
    }
}

/// A 404 to a create makes clients pull the image.
#[test]
fn a_network_of_a_container_that_is_not_there_is_refused_by_the_start() {
    let stack = engine();
    let mut body = busybox(&["true"]);
    body["HostConfig"]["NetworkMode"] = json!("container:nope");
    let id = create(&stack, "joins", &body);
    let refused = expect(post(&stack, &format!("/containers/{id}/start"), &Value::Null), 404).json();
    assert_eq!(refused["message"], "joining network namespace of container: No such container: nope");
}

#[test]
fn processors_that_the_host_lacks_are_refused_and_a_dangerous_limit_is_warned_of() {
    let stack = engine();
    let with = |field: &str, value: Value| {
        let mut body = busybox(&["true"]);
        body["HostConfig"][field] = value;
        post(&stack, "/containers/create", &body)
    };
    let refused = expect(with("CpusetCpus", json!("4097")), 400).json();
    let text = refused["message"].as_str().unwrap_or_default();
    assert!(text.starts_with("Requested CPUs are not available - requested 4097, available: 0"), "{text}");
    let id = create(&stack, "limited", &busybox(&["true"]));
    let refused = expect(post(&stack, &format!("/containers/{id}/update"), &json!({ "Memory": 1024 })), 400).json();
    assert_eq!(refused["message"], "Minimum memory limit allowed is 6MB");
    let made = expect(with("OomKillDisable", json!(true)), 201).json();
    assert!(
        made["Warnings"][0].as_str().unwrap_or_default().contains("OomKillDisable")
            || made["Warnings"][0].as_str().unwrap_or_default().starts_with("OOM killer is disabled"),
        "{made}"
    );
}
