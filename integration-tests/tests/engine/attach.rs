//! Attached clients: before the start, at a terminal, and with the engine dead.

use integration_tests::{DEADLINE, DockerCli, Terminal, wait_for};
use serde_json::{Value, json};

use crate::{busybox, create, engine, get, post, refusal, start, state, wait_for_exit, wait_for_status};

/// What types CTRL-p CTRL-q.
const DETACH: &str = "\u{10}\u{11}";

/// Makes the terminal that size, with a signal each time: docker's CLI looks at the size first and listens afterwards,
/// so that it misses a change between the two.
fn resize(terminal: &Terminal, rows: u16, columns: u16) {
    terminal.resize(rows, columns + 1);
    terminal.resize(rows, columns);
}

#[test]
fn a_terminal_is_sized_resized_detached_from_and_attached_to_again() {
    let stack = engine();
    for (number, docker) in DockerCli::originals(&stack.socket()).into_iter().enumerate() {
        let name = format!("it{number}");
        let run = ["run", "-it", "--name", &name, "--network", "none", "busybox", "sh"];
        let mut terminal = Terminal::spawn(docker.command(&run));
        terminal.expect("/ #");
        // The client tells the size after the start.
        wait_for("the shell to know its terminal's size", DEADLINE, || {
            terminal.send("stty size\n");
            terminal.output().contains("24 80")
        });
        wait_for("the shell to know its terminal's new size", DEADLINE, || {
            resize(&terminal, 40, 100);
            terminal.send("stty size\n");
            terminal.output().contains("40 100")
        });
        terminal.send(DETACH);
        assert_eq!(terminal.wait(), 0, "{}", docker.label);
        assert_eq!(state(&stack, &name)["Status"], "running");

        let mut again = Terminal::spawn(docker.command(&["attach", &name]));
        again.send("echo again$((2+2))\n");
        again.expect("again4");
        again.send("exit 7\n");
        assert_eq!(again.wait(), 7, "{}", docker.label);
        assert!(again.echoes(), "the terminal is as it was before");
    }
}

#[test]
fn run_it_stays_attached_while_the_engine_is_dead() {
    let mut stack = engine();
    let docker = stack.docker();
    let run = ["run", "-it", "--name", "it", "--network", "none", "busybox", "sh"];
    let mut terminal = Terminal::spawn(docker.command(&run));
    terminal.expect("/ #");
    // The prompt may come before the engine's answer to start, which the client has to have; then it tells of its size.
    wait_for("the client to have its answer", DEADLINE, || {
        resize(&terminal, 33, 90);
        terminal.send("stty size\n");
        terminal.output().contains("33 90")
    });
    stack.kill();
    terminal.send("echo alive$((3+3))\n");
    terminal.expect("alive6");
    stack.restart();
    terminal.send("echo still$((4+4))\n");
    terminal.expect("still8");
    wait_for_status(&stack, "it", "running");
    terminal.send("exit 5\n");
    terminal.wait();
    assert_eq!(wait_for_exit(&stack, "it"), 5);
}

#[test]
fn input_ends_with_the_client_that_was_first() {
    let stack = engine();
    let docker = stack.docker();
    let fed =
        docker.run_with_input(&["run", "--rm", "-i", "--network", "none", "busybox", "wc", "-c"], &[b'x'; 3_000_000]);
    assert_eq!((fed.code, fed.out()), (0, "3000000"), "{fed:?}");
}

#[test]
fn output_of_megabytes_reaches_the_client_and_the_log_whole() {
    let stack = engine();
    let docker = stack.docker();
    let script =
        "i=0; while [ $i -lt 60000 ]; do echo \"$i 0123456789012345678901234567890123456789\"; i=$((i+1)); done";
    let ran = docker.run(&["run", "--name", "big", "--network", "none", "busybox", "sh", "-c", script]).ok();
    assert_eq!(ran.stdout.lines().count(), 60_000);
    let logged = docker.run(&["logs", "big"]).ok();
    assert!(logged.stdout == ran.stdout, "the log has {} bytes, the client {}", logged.stdout.len(), ran.stdout.len());
}

#[test]
fn what_was_said_before_is_shown_when_asked_for() {
    let stack = engine();
    let id = start(&stack, "talker", &busybox(&["sh", "-c", "echo said; echo cried >&2"]));
    wait_for_exit(&stack, &id);
    let answer = post(&stack, &format!("/containers/{id}/attach?logs=1&stdout=1&stderr=1"), &Value::Null);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"\x01\0\0\0\0\0\0\x05said\n\x02\0\0\0\0\0\0\x06cried\n");
    assert!(answer.headers.contains("application/vnd.docker.raw-stream"), "{}", answer.headers);
}

#[test]
fn a_client_without_an_upgrade_reads_the_output_as_a_body() {
    let stack = engine();
    let id = create(&stack, "late", &busybox(&["sh", "-c", "echo out"]));
    let api = stack.api();
    let path = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1");
    let attached = std::thread::spawn(move || api.post(&path, &Value::Null));
    // It is parked before its answer is sent, and the engine says so.
    wait_for("the attach event", DEADLINE, || {
        get(&stack, "/events?since=0&until=1&filters={}").status == 200 && attaches(&stack) == 1
    });
    assert_eq!(post(&stack, &format!("/containers/{id}/start"), &Value::Null).status, 204);
    let answer = attached.join().unwrap().unwrap();
    assert_eq!(answer.body, b"\x01\0\0\0\0\0\0\x04out\n");
}

fn attaches(stack: &integration_tests::Stack) -> usize {
    // A bound in the past asks for what was kept, and ends.
    let filters = "%7B%22event%22%3A%5B%22attach%22%5D%7D";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    get(stack, &format!("/events?since=0&until={now:.3}&filters={filters}")).text().lines().count()
}

#[test]
fn what_cannot_be_attached_to_is_said_as_text() {
    let stack = engine();
    let answer = post(&stack, "/containers/nope/attach?stream=1&stdout=1", &Value::Null);
    assert_eq!((answer.status, answer.text().as_str()), (404, "No such container: nope\r\n"));
    let id = start(&stack, "paused", &busybox(&["sleep", "1000"]));
    let keys = post(&stack, &format!("/containers/{id}/attach?stream=1&detachKeys=ctrl-1"), &Value::Null);
    assert_eq!((keys.status, keys.text().as_str()), (400, "Invalid detach keys (ctrl-1) provided\r\n"));
    post(&stack, &format!("/containers/{id}/pause"), &Value::Null);
    let paused = post(&stack, "/containers/paused/attach?stream=1&stdout=1", &Value::Null);
    assert_eq!(paused.status, 409);
    assert_eq!(paused.text(), "container paused is paused, unpause the container before attach\r\n");
    let resized = post(&stack, "/containers/nope/resize?h=1&w=1", &json!(null));
    assert_eq!(refusal(resized, 404), "No such container: nope");
}
