//! `docker stats` and `docker top`.

use integration_tests::{DEADLINE, DockerCli, EngineApi, wait_for};
use serde_json::json;

use crate::{busybox, create, engine, expect, get, refusal, start};

#[test]
fn numbers_of_a_running_container_are_shown_by_both_clients() {
    let stack = engine();
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"],
        "HostConfig": { "NetworkMode": "none", "Memory": 67_108_864, "PidsLimit": 50 },
    });
    let id = start(&stack, "busy", &body);
    for docker in DockerCli::originals(&stack.socket()) {
        let format = ["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "busy"];
        let shown = docker.run(&format).ok();
        assert!(shown.out().starts_with("busy ") && shown.out().ends_with("/ 64MiB 1"), "{}", shown.out());
    }
    let one = expect(get(&stack, &format!("/containers/{id}/stats?stream=0&one-shot=1")), 200).json();
    assert_eq!((&one["id"], &one["name"]), (&json!(id), &json!("/busy")));
    assert_eq!(one["preread"], "0001-01-01T00:00:00Z");
    assert_eq!(one["precpu_stats"]["cpu_usage"]["total_usage"], 0);
    assert_eq!((&one["memory_stats"]["limit"], &one["pids_stats"]["limit"]), (&json!(67_108_864), &json!(50)));
    assert!(one["memory_stats"]["usage"].as_u64().unwrap() > 0);
    assert!(one["cpu_stats"]["system_cpu_usage"].as_u64() > one["cpu_stats"]["cpu_usage"]["total_usage"].as_u64());
    let is_v2 = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let counters = &one["memory_stats"]["stats"];
    assert_eq!(counters.get("anon").is_some(), is_v2, "{counters}");
    assert_eq!(counters.get("total_rss").is_some(), !is_v2, "{counters}");
    let two = expect(get(&stack, &format!("/containers/{id}/stats?stream=0")), 200).json();
    assert!(two["precpu_stats"]["cpu_usage"]["total_usage"].as_u64().unwrap() > 0);
    assert_ne!(two["preread"], "0001-01-01T00:00:00Z");
}

#[test]
fn one_that_does_not_run_has_its_name_only() {
    let stack = engine();
    let id = create(&stack, "idle", &busybox(&["true"]));
    let stats = expect(get(&stack, "/containers/idle/stats?stream=0"), 200).json();
    assert_eq!((&stats["id"], &stats["memory_stats"]), (&json!(id), &json!({})));
    assert_eq!(refusal(get(&stack, "/containers/nope/stats?stream=0"), 404), "No such container: nope");
    assert_eq!(refusal(get(&stack, "/containers/idle/top"), 409), format!("container {id} is not running"));
}

#[test]
fn top_shows_the_containers_processes_only() {
    let stack = engine();
    start(&stack, "busy", &busybox(&["sh", "-c", "sleep 1001 & exec sleep 1002"]));
    for docker in DockerCli::originals(&stack.socket()) {
        wait_for("both to sleep", DEADLINE, || {
            docker.run(&["top", "busy"]).ok().stdout.matches("sleep 100").count() == 2
        });
        let shown = docker.run(&["top", "busy"]).ok();
        let lines: Vec<&str> = shown.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{shown:?}");
        assert!(lines[0].starts_with("UID") && lines[1..].iter().all(|line| line.contains("sleep 100")), "{shown:?}");
        let chosen = docker.run(&["top", "busy", "-o", "pid,comm"]).ok();
        assert_eq!(chosen.stdout.lines().count(), 3, "{chosen:?}");
    }
    let api: EngineApi = stack.api();
    let posing = api.get("/containers/busy/top?ps_args=-o%20ppid%3DPID").unwrap();
    assert_eq!(refusal(posing, 400), "specifying \"ppid=PID\" is not allowed");
    let wrong = api.get("/containers/busy/top?ps_args=--oops").unwrap();
    assert!(refusal(wrong, 500).starts_with("ps: "));
}
