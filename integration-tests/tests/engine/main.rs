//! The engine through its API and through both docker CLIs.

#![allow(clippy::unwrap_used)]

mod apparmor;
mod archives_leave;
mod attach;
mod compose;
mod copying;
mod crash;
mod create;
mod disk_usage;
mod events;
mod exec;
mod hostile;
mod http;
mod images;
mod lifecycle;
mod like_docker;
mod limits;
mod logs;
mod networks;
mod networks_alone;
mod networks_drivers;
mod networks_firewalld;
mod networks_lacking;
mod networks_live;
mod networks_names;
mod pull_kills;
mod refusals;
mod registries;
mod restart_policy;
mod run;
mod runtimes;
mod security;
mod stats;
mod store;

use integration_tests::{Answer, DEADLINE, Kind, Stack, wait_for};
use serde_json::{Value, json};

/// Our engine on our supervisor, with busybox.
fn engine() -> Stack {
    let stack = Stack::start(Kind::Ours);
    stack.load_busybox();
    stack
}

/// The body of a create: busybox without a network.
fn busybox(arguments: &[&str]) -> Value {
    json!({ "Image": "busybox", "Cmd": arguments, "HostConfig": { "NetworkMode": "none" } })
}

/// Creates a container and returns its id.
fn create(stack: &Stack, name: &str, body: &Value) -> String {
    let answer = post(stack, &format!("/containers/create?name={name}"), body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["Id"].as_str().unwrap_or_default().to_owned()
}

/// Creates and starts a container and returns its id.
fn start(stack: &Stack, name: &str, body: &Value) -> String {
    let id = create(stack, name, body);
    expect(post(stack, &format!("/containers/{id}/start"), &Value::Null), 204);
    id
}

fn get(stack: &Stack, path: &str) -> Answer {
    stack.api().get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
}

fn post(stack: &Stack, path: &str, body: &Value) -> Answer {
    stack.api().post(path, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
}

fn delete(stack: &Stack, path: &str) -> Answer {
    stack.api().delete(path).unwrap_or_else(|error| panic!("DELETE {path}: {error}"))
}

/// The answer, which must have that status.
fn expect(answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer
}

/// The message of a refusal, which must have that status.
fn refusal(answer: Answer, status: u16) -> String {
    expect(answer, status).json()["message"].as_str().unwrap_or_default().to_owned()
}

/// What inspect says under `State`.
fn state(stack: &Stack, id: &str) -> Value {
    get(stack, &format!("/containers/{id}/json")).json()["State"].clone()
}

/// Waits until the container has that status.
fn wait_for_status(stack: &Stack, id: &str, status: &str) {
    let what = format!("container {id} to be {status}");
    wait_for(&what, DEADLINE, || state(stack, id)["Status"] == status);
}

/// The exit status that `wait` tells.
fn wait_for_exit(stack: &Stack, id: &str) -> i64 {
    let answer = expect(post(stack, &format!("/containers/{id}/wait"), &Value::Null), 200);
    answer.json()["StatusCode"].as_i64().unwrap_or(-1)
}

/// Waits until the engine knows no container of that id.
fn wait_until_gone(stack: &Stack, id: &str) {
    let what = format!("container {id} to be gone");
    wait_for(&what, DEADLINE, || get(stack, &format!("/containers/{id}/json")).status == 404);
}
