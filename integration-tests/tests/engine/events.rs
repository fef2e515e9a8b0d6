//! What the engine tells those who listen.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use integration_tests::{DEADLINE, Kind, Stack, Terminal, wait_for};
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

/// How often the engine has told that action so far.
fn times_told(stack: &Stack, action: &str) -> usize {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let told = get(stack, &format!("/events?since=0&until={now}")).text();
    told.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap()["Action"] == action).count()
}

/// Becomes the stream of what `path` asks for, waits for a prompt, and types the keys: the daemon then ends it.
fn detach(stack: &Stack, path: &str, body: &str, once_attached: impl FnOnce()) {
    let mut stream = UnixStream::connect(stack.socket()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = "Host: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Type: application/json";
    write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut seen = Vec::new();
    let mut read_until = |text: &str, stream: &mut UnixStream| {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains(text) {
            let count = stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "{path} ended before {text:?}: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..count]);
        }
    };
    read_until("101 UPGRADED", &mut stream);
    once_attached();
    read_until("/ #", &mut stream);
    stream.write_all(b"\x10\x11").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
}

/// docker's own client looks for the keys itself and just leaves; others leave that to the daemon.
#[test]
fn who_types_the_keys_is_told_of_and_who_leaves_otherwise_is_not() {
    for kind in [Kind::Original, Kind::Ours] {
        let stack = Stack::start(kind);
        stack.load_busybox();
        let body = json!({
            "Image": "busybox", "Tty": true, "OpenStdin": true, "HostConfig": { "NetworkMode": "none" },
        });
        create(&stack, "shell", &body);
        detach(&stack, "/containers/shell/attach?stream=1&stdin=1&stdout=1", "", || {
            expect(post(&stack, "/containers/shell/start", &Value::Null), 204);
        });
        wait_for("the event of detaching from a container", DEADLINE, || times_told(&stack, "detach") == 1);
        let config = json!({ "Cmd": ["sh"], "Tty": true, "AttachStdin": true, "AttachStdout": true });
        let exec = expect(post(&stack, "/containers/shell/exec", &config), 201).json()["Id"].clone();
        let path = format!("/exec/{}/start", exec.as_str().unwrap());
        detach(&stack, &path, &json!({ "Tty": true }).to_string(), || {});
        // dockerd 20.10 means to tell it, and fails to see it in an error that it has wrapped.
        let execs = usize::from(kind == Kind::Ours);
        wait_for("the event of detaching from an exec", DEADLINE, || times_told(&stack, "exec_detach") == execs);

        let docker = stack.docker();
        let mut terminal = Terminal::spawn(docker.command(&["attach", "shell"]));
        terminal.send("exit 3\n");
        assert_eq!(terminal.wait(), 3);
        wait_for("the end to be told", DEADLINE, || times_told(&stack, "die") == 1);
        assert_eq!((times_told(&stack, "detach"), times_told(&stack, "exec_detach")), (1, execs));
    }
}
