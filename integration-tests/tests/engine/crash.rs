//! Engine and supervisor are killed; containers are not.

use integration_tests::{DEADLINE, send_signal, wait_for};
use serde_json::{Value, json};

use crate::{busybox, delete, engine, expect, get, post, start, state, wait_for_exit};

#[test]
fn containers_outlive_both_and_their_ends_are_known_after() {
    let mut stack = engine();
    let lives = start(&stack, "lives", &busybox(&["sleep", "1000"]));
    let flag = stack.root().make("flag");
    let script = "while [ ! -e /flag/go ]; do sleep 0.05; done; exit 42";
    let mut body = busybox(&["sh", "-c", script]);
    body["HostConfig"]["Binds"] = json!([format!("{}:/flag", flag.display())]);
    let dies = start(&stack, "dies", &body);
    let paused = start(&stack, "paused", &busybox(&["sleep", "1000"]));
    expect(post(&stack, "/containers/paused/pause", &Value::Null), 204);
    let pid = state(&stack, &lives)["Pid"].clone();
    let dying = state(&stack, &dies)["Pid"].as_u64().unwrap();

    stack.kill();
    std::fs::write(flag.join("go"), "").unwrap();
    wait_for("the container to end while nobody looks", DEADLINE, || {
        let status = std::fs::read_to_string(format!("/proc/{dying}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    });
    stack.restart();

    assert_eq!(wait_for_exit(&stack, &dies), 42);
    assert_eq!(
        (state(&stack, &lives)["Pid"].clone(), state(&stack, &lives)["Status"].clone()),
        (pid, json!("running"))
    );
    assert_eq!(state(&stack, &paused)["Status"], "paused");
    expect(post(&stack, "/containers/paused/unpause", &Value::Null), 204);
    for name in ["lives", "dies", "paused"] {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
}

#[test]
fn a_supervisor_that_is_killed_is_started_again() {
    let mut stack = engine();
    start(&stack, "lives", &busybox(&["sleep", "1000"]));
    for _ in 0..3 {
        stack.kill_supervisor();
        expect(get(&stack, "/containers/lives/json"), 200);
        start(&stack, "another", &busybox(&["sleep", "1000"]));
        expect(delete(&stack, "/containers/another?force=1"), 204);
    }
    expect(post(&stack, "/containers/lives/stop?t=0", &Value::Null), 204);
}

#[test]
fn a_container_whose_shim_dies_is_settled_as_ended() {
    let stack = engine();
    let id = start(&stack, "orphan", &busybox(&["sleep", "1000"]));
    let pid = u32::try_from(state(&stack, &id)["Pid"].as_u64().unwrap()).unwrap();
    let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let shim: u32 = parent.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let _ = send_signal(shim, "KILL");
    wait_for("the container to be settled", DEADLINE, || state(&stack, &id)["Status"] == "exited");
    assert_eq!(state(&stack, &id)["ExitCode"], 137);
    wait_for("its process to be gone", DEADLINE, || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    expect(post(&stack, "/containers/orphan/start", &Value::Null), 204);
    expect(delete(&stack, "/containers/orphan?force=1"), 204);
}

#[test]
fn sigterm_leaves_containers_running_unless_told_otherwise() {
    let mut stack = engine();
    let id = start(&stack, "lives", &busybox(&["sleep", "1000"]));
    let pid = state(&stack, &id)["Pid"].clone();
    stack.cortend().daemon().terminate();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    stack.restart_engine();
    assert_eq!(state(&stack, &id)["Pid"], pid);
    expect(delete(&stack, "/containers/lives?force=1"), 204);
}
