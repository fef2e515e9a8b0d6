//! What the engine tells those who listen.

use serde_json::{Value, json};

use crate::{busybox, create, delete, engine, expect, get, post, start, wait_for_exit};

#[test]
fn a_life_is_told_in_dockers_order_and_words() {
    let stack = engine();
    let mut body = busybox(&["sh", "-c", "exit 5"]);
    body["Labels"] = json!({ "team": "blue" });
    let id = start(&stack, "told", &body);
    assert_eq!(wait_for_exit(&stack, &id), 5);
    expect(post(&stack, "/containers/told/rename?name=retold", &Value::Null), 204);
    expect(delete(&stack, "/containers/retold"), 204);
    create(&stack, "another", &busybox(&["true"]));

    let filters = "%7B%22container%22%3A%5B%22".to_owned() + &id + "%22%5D%7D";
    let told = get(&stack, &format!("/events?since=0&until=1&filters={filters}"));
    assert_eq!(told.text(), "");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let told = get(&stack, &format!("/events?since=0&until={now}&filters={filters}")).text();
    let events: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = events.iter().map(|event| event["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "start", "die", "rename", "destroy"]);
    let die = &events[2];
    assert_eq!((&die["status"], &die["id"], &die["from"]), (&json!("die"), &json!(id), &json!("busybox")));
    let attributes = &die["Actor"]["Attributes"];
    assert_eq!(
        (&attributes["exitCode"], &attributes["name"], &attributes["team"]),
        (&json!("5"), &json!("told"), &json!("blue"))
    );
    assert_eq!(events[3]["Actor"]["Attributes"]["oldName"], "/told");
    assert_eq!((&die["scope"], &die["Type"]), (&json!("local"), &json!("container")));
}

#[test]
fn a_kill_is_told_before_the_end_and_the_stop_after() {
    let stack = engine();
    let id = start(&stack, "killed", &busybox(&["sleep", "1000"]));
    expect(post(&stack, "/containers/killed/stop?t=0", &Value::Null), 204);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let filters = "%7B%22type%22%3A%7B%22container%22%3Atrue%7D%2C%22container%22%3A%7B%22killed%22%3Atrue%7D%7D";
    let told = get(&stack, &format!("/events?since=0&until={now}&filters={filters}")).text();
    let actions: Vec<_> =
        told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["Action"].clone()).collect();
    assert_eq!(actions.first(), Some(&json!("create")), "{id}: {told}");
    let place = |action: &str| actions.iter().position(|other| other == action);
    assert!(place("kill") < place("die") && place("die") < place("stop"), "{actions:?}");
}
