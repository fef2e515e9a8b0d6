//! Containers that are started again.

use integration_tests::{DEADLINE, wait_for};
use serde_json::{Value, json};

use crate::{busybox, delete, engine, expect, get, post, start, state, wait_for_status};

#[test]
fn on_failure_tries_as_often_as_it_may() {
    let stack = engine();
    let mut body = busybox(&["sh", "-c", "exit 3"]);
    body["HostConfig"]["RestartPolicy"] = json!({ "Name": "on-failure", "MaximumRetryCount": 2 });
    let id = start(&stack, "tries", &body);
    wait_for("two restarts", DEADLINE, || {
        let shown = get(&stack, &format!("/containers/{id}/json")).json();
        shown["RestartCount"] == 2 && shown["State"]["Status"] == "exited"
    });
    assert_eq!(state(&stack, &id)["ExitCode"], 3);
}

#[test]
fn always_starts_again_until_somebody_stops_it() {
    let stack = engine();
    let mut body = busybox(&["sleep", "1000"]);
    body["HostConfig"]["RestartPolicy"] = json!({ "Name": "always" });
    let id = start(&stack, "stays", &body);
    let pid = state(&stack, &id)["Pid"].as_u64().unwrap();
    let _ = integration_tests::send_signal(u32::try_from(pid).unwrap(), "KILL");
    wait_for("another init", DEADLINE, || {
        let state = state(&stack, &id);
        state["Status"] == "running" && state["Pid"].as_u64() != Some(pid)
    });
    expect(post(&stack, "/containers/stays/stop?t=0", &Value::Null), 204);
    assert_eq!(state(&stack, &id)["Status"], "exited");
    assert_eq!(get(&stack, &format!("/containers/{id}/json")).json()["RestartCount"], 1);
}

#[test]
fn a_pending_start_is_called_off_by_a_stop_and_by_a_removal() {
    let stack = engine();
    let mut body = busybox(&["sh", "-c", "exit 1"]);
    body["HostConfig"]["RestartPolicy"] = json!({ "Name": "always" });
    let id = start(&stack, "loops", &body);
    wait_for("the pause to be long", DEADLINE, || {
        get(&stack, &format!("/containers/{id}/json")).json()["RestartCount"].as_u64() >= Some(4)
    });
    wait_for_status(&stack, &id, "restarting");
    expect(post(&stack, "/containers/loops/stop", &Value::Null), 204);
    assert_eq!(state(&stack, &id)["Status"], "exited");
    expect(post(&stack, "/containers/loops/start", &Value::Null), 204);
    expect(delete(&stack, "/containers/loops?force=1"), 204);
}

#[test]
fn policies_hold_over_a_restart_of_the_engine() {
    let mut stack = engine();
    let with = |policy: &str| {
        let mut body = busybox(&["sleep", "1000"]);
        body["HostConfig"]["RestartPolicy"] = json!({ "Name": policy });
        body
    };
    for policy in ["always", "unless-stopped", "no"] {
        start(&stack, policy, &with(policy));
        expect(post(&stack, &format!("/containers/{policy}/stop?t=0"), &Value::Null), 204);
    }
    stack.kill_and_restart();
    wait_for_status(&stack, "always", "running");
    assert_eq!(state(&stack, "unless-stopped")["Status"], "exited");
    assert_eq!(state(&stack, "no")["Status"], "exited");
}
