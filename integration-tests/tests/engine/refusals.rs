//! Statuses and texts that clients depend on, one by one.

use serde_json::{Value, json};

use crate::{busybox, create, delete, engine, expect, get, post, refusal, start, state};

#[test]
fn states_refuse_verbs_in_dockers_words() {
    let stack = engine();
    let running = start(&stack, "running", &busybox(&["sleep", "1000"]));
    let stopped = create(&stack, "stopped", &busybox(&["true"]));
    let verb = |name: &str, verb: &str| post(&stack, &format!("/containers/{name}/{verb}"), &Value::Null);

    let not_running = format!("container {stopped} is not running");
    assert_eq!(refusal(verb("stopped", "kill"), 409), format!("cannot kill container: stopped: {not_running}"));
    assert_eq!(refusal(verb("stopped", "pause"), 409), not_running);
    assert_eq!(refusal(verb("stopped", "resize?h=1&w=1"), 409), not_running);
    expect(verb("stopped", "stop"), 304);
    expect(verb("running", "start"), 304);
    assert_eq!(refusal(verb("running", "unpause"), 500), format!("Container {running} is not paused"));
    expect(verb("running", "pause"), 204);
    assert_eq!(refusal(verb("running", "pause"), 409), format!("Container {running} is already paused"));
    assert_eq!(
        refusal(delete(&stack, "/containers/running"), 409),
        "cannot remove container \"running\": container is paused and must be unpaused first"
    );
    expect(verb("running", "unpause"), 204);
    assert_eq!(
        refusal(delete(&stack, "/containers/running"), 409),
        "cannot remove container \"running\": container is running: stop the container before removing or force remove"
    );
    for verb in ["start", "stop", "kill", "pause", "unpause", "restart", "wait", "update", "rename?name=xx"] {
        let body = json!({});
        let message = refusal(post(&stack, &format!("/containers/nope/{verb}"), &body), 404);
        assert!(message.ends_with("No such container: nope"), "{verb}: {message}");
    }
    assert_eq!(refusal(verb("stopped", "unpause"), 500), format!("Container {stopped} is not paused"));
    assert!(refusal(verb("running", "rename?name=-x"), 400).contains("Invalid container name (/-x)"));
    assert_eq!(refusal(verb("running", "rename?name="), 400), "Neither old nor new names may be empty");
    assert!(refusal(verb("running", "rename?name=stopped"), 409).contains("is already in use by container"));
    assert_eq!(refusal(verb("running", "wait?condition=bad"), 400), "invalid condition: \"bad\"");
    assert_eq!(
        refusal(verb("running", "kill?signal=NOPE"), 400),
        "cannot kill container: running: invalid signal: NOPE"
    );
    let long_body = json!({ "Binds": ["/a:/b"] });
    assert_eq!(post(&stack, "/containers/stopped/start", &long_body).status, 400);
    assert_eq!(state(&stack, &stopped)["Status"], "created");
}

#[test]
fn a_prefix_of_several_ids_is_refused() {
    let stack = engine();
    // Seventeen containers: two of them begin with the same digit.
    let ids: Vec<_> = (0..17).map(|number| create(&stack, &format!("n{number}"), &busybox(&["true"]))).collect();
    let digit = ids.iter().map(|id| &id[..1]).find(|digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1);
    let digit = digit.unwrap();
    let refused = refusal(get(&stack, &format!("/containers/{digit}/json")), 400);
    assert_eq!(refused, format!("multiple IDs found with provided prefix: {digit}"));
    let pruned = expect(post(&stack, "/containers/prune", &Value::Null), 200).json();
    assert_eq!(pruned["ContainersDeleted"].as_array().unwrap().len(), 17);
    let pruned = expect(post(&stack, "/containers/prune", &Value::Null), 200);
    assert_eq!(pruned.text(), "{\"ContainersDeleted\":null,\"SpaceReclaimed\":0}\n");
}

#[test]
fn a_start_that_fails_says_why_and_the_container_stays_created() {
    let stack = engine();
    for (name, command, status, code) in
        [("missing", "/nope", 400, 127), ("directory", "/etc", 400, 126), ("unknown", "nope", 400, 127)]
    {
        let id = create(&stack, name, &busybox(&[command]));
        let refused = refusal(post(&stack, &format!("/containers/{id}/start"), &Value::Null), status);
        let state = state(&stack, &id);
        assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("created"), &json!(code)), "{refused}");
        assert_eq!(state["Error"], refused);
        // Nothing of it is left: the next start begins from nothing, and removal finds nothing.
        assert_eq!(refusal(post(&stack, &format!("/containers/{id}/start"), &Value::Null), status), refused);
        expect(delete(&stack, &format!("/containers/{id}")), 204);
    }
    let mut body = busybox(&["true"]);
    body["User"] = json!("nobody-of-that-name");
    create(&stack, "stranger", &body);
    let refused = refusal(post(&stack, "/containers/stranger/start", &Value::Null), 400);
    assert_eq!(refused, "unable to find user nobody-of-that-name: no matching entries in passwd file");
}
