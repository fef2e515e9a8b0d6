//! `docker logs`: whole, its end, a span of time, and while it is written.

use integration_tests::{DEADLINE, DockerCli, Terminal, wait_for};
use serde_json::json;

use crate::{busybox, engine, expect, get, post, refusal, start, wait_for_exit};

#[test]
fn both_clients_show_lines_tails_and_times() {
    let stack = engine();
    let script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done";
    let id = start(&stack, "lines", &busybox(&["sh", "-c", script]));
    wait_for_exit(&stack, &id);
    for docker in DockerCli::originals(&stack.socket()) {
        let logs = |arguments: &[&str]| docker.run(&[&["logs"], arguments, &["lines"]].concat()).ok();
        let whole = logs(&[]);
        assert_eq!((whole.out(), whole.err()), ("out1\nout2\nout3", "err1\nerr2\nerr3"), "{}", docker.label);
        let tail = logs(&["--tail", "2"]);
        assert_eq!(tail.stdout.lines().count() + tail.stderr.lines().count(), 2, "{tail:?}");
        assert_eq!(logs(&["--tail", "0"]).out(), "");
        assert_eq!(logs(&["--since", "1h"]).out(), whole.out());
        assert_eq!(logs(&["--until", "1h"]).out(), "");
        assert_eq!(logs(&["--follow"]).out(), whole.out(), "a container that has ended is not followed");
        let stamped = logs(&["--timestamps"]);
        for line in stamped.stdout.lines() {
            let (time, text) = line.split_once(' ').expect("a time stands before the line");
            assert!(time.len() == 30 && time.ends_with('Z') && text.starts_with("out"), "{line}");
        }
    }
}

#[test]
fn following_goes_on_until_the_container_ends() {
    let stack = engine();
    let docker = stack.docker();
    let script = "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo last";
    start(&stack, "talker", &busybox(&["sh", "-c", script]));
    let mut following = Terminal::spawn(docker.command(&["logs", "--follow", "talker"]));
    following.expect("first");
    let _ = docker.run(&["exec", "talker", "touch", "/go"]).ok();
    following.expect("last");
    assert_eq!(following.wait(), 0);
}

#[test]
fn a_follower_that_leaves_is_let_go() {
    let mut stack = engine();
    start(&stack, "quiet", &busybox(&["sleep", "1000"]));
    let pid = stack.engine_pid();
    let readers = move || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let names = threads.map(|thread| std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default());
        names.filter(|name| name.trim() == "logs").count()
    };
    let docker = stack.docker();
    let followers: Vec<Terminal> =
        (0..3).map(|_| Terminal::spawn(docker.command(&["logs", "--follow", "quiet"]))).collect();
    wait_for("three readers", DEADLINE, || readers() == 3);
    drop(followers);
    wait_for("no reader", DEADLINE, || readers() == 0);
}

#[test]
fn lines_longer_than_a_record_come_out_as_one() {
    let stack = engine();
    let id = start(&stack, "long", &busybox(&["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo"]));
    wait_for_exit(&stack, &id);
    for docker in DockerCli::originals(&stack.socket()) {
        let shown = docker.run(&["logs", "--timestamps", "long"]).ok();
        assert_eq!(shown.stdout.len(), 31 + 100_001, "one time, one line: {}", docker.label);
    }
}

#[test]
fn labels_and_variables_are_shown_as_details() {
    let stack = engine();
    let body = json!({
        "Image": "busybox", "Cmd": ["echo", "hi"], "Labels": { "team": "a b" }, "Env": ["ROLE=x"],
        "HostConfig": {
            "NetworkMode": "none",
            "LogConfig": { "Type": "json-file", "Config": { "labels": "team", "env": "ROLE" } },
        },
    });
    let id = start(&stack, "labelled", &body);
    wait_for_exit(&stack, &id);
    let shown = stack.docker().run(&["logs", "--details", "labelled"]).ok();
    assert_eq!(shown.out(), "ROLE=x,team=a+b hi");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let stack = engine();
    assert_eq!(refusal(get(&stack, "/containers/nope/logs?stdout=1"), 404), "No such container: nope");
    let body = json!({
        "Image": "busybox", "Cmd": ["true"],
        "HostConfig": { "NetworkMode": "none", "LogConfig": { "Type": "none" } },
    });
    let id = start(&stack, "mute", &body);
    wait_for_exit(&stack, &id);
    let text = refusal(get(&stack, &format!("/containers/{id}/logs?stdout=1")), 501);
    assert_eq!(text, "configured logging driver does not support reading");
    let neither = refusal(get(&stack, &format!("/containers/{id}/logs")), 400);
    assert_eq!(neither, "must specify at least one of 'stdout' or 'stderr'");
}

#[test]
fn a_terminals_log_has_no_frames() {
    let stack = engine();
    let body = json!({
        "Image": "busybox", "Cmd": ["echo", "hi"], "Tty": true, "HostConfig": { "NetworkMode": "none" },
    });
    let id = start(&stack, "tty", &body);
    wait_for_exit(&stack, &id);
    let answer = expect(get(&stack, &format!("/containers/{id}/logs?stdout=1")), 200);
    assert_eq!(answer.body, b"hi\r\n");
    assert!(answer.headers.contains("application/vnd.docker.raw-stream"), "{}", answer.headers);
    let framed = start(&stack, "framed", &busybox(&["echo", "hi"]));
    wait_for_exit(&stack, &framed);
    for (version, kind) in [("v1.41", "raw"), ("v1.42", "multiplexed")] {
        let answer = expect(get(&stack, &format!("/{version}/containers/{framed}/logs?stdout=1")), 200);
        assert_eq!(answer.body, b"\x01\0\0\0\0\0\0\x03hi\n");
        assert!(answer.headers.contains(&format!("application/vnd.docker.{kind}-stream")), "{}", answer.headers);
    }
    let _ = post(&stack, "/containers/prune", &json!(null));
}
