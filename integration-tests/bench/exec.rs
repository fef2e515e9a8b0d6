//! An exec by the API alone: create, start without attaching, inspect until it has ended.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use integration_tests::Stack;
use serde_json::Value;

use crate::{
    compare::{Report, interleaved},
    run::stacks,
};

const ROUNDS: usize = 30;

/// Measures it.
pub fn measure(report: &mut Report) {
    let (ours, theirs) = stacks();
    for stack in [&ours, &theirs] {
        let _ = stack
            .docker()
            .run(&["run", "-d", "--network", "none", "--name", "target", "busybox", "sleep", "1000"])
            .ok();
    }
    let (mine, other) = interleaved(ROUNDS, || exec(&ours), || exec(&theirs));
    report.ratio("exec true by the API", mine, other, 0.3);
}

fn exec(stack: &Stack) {
    let socket = stack.socket();
    let create = r#"{"Cmd":["true"],"AttachStdout":true}"#;
    let created = request(&socket, "POST", "/v1.41/containers/target/exec", create);
    let id = created["Id"].as_str().expect("exec create answers an id").to_owned();
    // Attached, so that the answer ends when the process has.
    request(&socket, "POST", &format!("/v1.41/exec/{id}/start"), r#"{"Detach":false}"#);
    let inspected = request(&socket, "GET", &format!("/v1.41/exec/{id}/json"), "");
    assert_eq!((inspected["Running"].as_bool(), inspected["ExitCode"].as_i64()), (Some(false), Some(0)), "{inspected}");
}

/// One request on a connection of its own; the body as JSON, null when it is none.
pub fn request(socket: &Path, method: &str, path: &str, body: &str) -> Value {
    let mut stream = UnixStream::connect(socket).expect("the engine listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("the engine reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the engine answers");
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    assert!(status.starts_with('2') || status == "101", "{method} {path}: {head}\n{body}");
    let body = body.split_once('{').map_or("", |(_, rest)| rest);
    let end = body.rfind('}').unwrap_or_default();
    serde_json::from_str(&format!("{{{}}}", &body[..end])).unwrap_or(Value::Null)
}
