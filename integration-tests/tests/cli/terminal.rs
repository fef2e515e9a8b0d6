//! A person at a terminal: raw mode, size, detaching, signals.

use integration_tests::{DEADLINE, Kind, Ran, Stack, Terminal, send_signal, wait_for};
use std::process::{Child, Stdio};

/// Ctrl-p and ctrl-q.
const DETACH: &str = "\u{10}\u{11}";

fn each_daemon(prove: fn(&Stack)) {
    for kind in [Kind::Original, Kind::Ours] {
        let stack = Stack::start(kind);
        stack.load_busybox();
        prove(&stack);
    }
}

/// Asks the shell for its size until it is `size`: the size comes some time after the start, or after ours changed.
fn wait_for_size(terminal: &mut Terminal, size: &str) {
    wait_for("the container's terminal to have our size", DEADLINE, || {
        terminal.send("stty size\r");
        terminal.expect("# ");
        terminal.output().contains(size)
    });
}

#[test]
fn a_shell_runs_on_the_terminal_and_follows_its_size() {
    each_daemon(|stack| {
        let command = stack.corten().command(&["run", "--rm", "-it", "--network", "none", "busybox", "sh"]);
        let mut terminal = Terminal::spawn(command);
        terminal.expect("# ");
        assert!(!terminal.echoes(), "the terminal is raw while the shell has it");
        wait_for_size(&mut terminal, "24 80");
        terminal.resize(33, 99);
        wait_for_size(&mut terminal, "33 99");
        terminal.send("exit 3\r");
        assert_eq!(terminal.wait(), 3);
        assert!(terminal.echoes(), "the terminal is as it was");
    });
}

#[test]
fn the_keys_detach_and_the_container_runs_on() {
    each_daemon(|stack| {
        let corten = stack.corten();
        let run = ["run", "-it", "--name", "kept", "--network", "none", "busybox", "sh"];
        let mut terminal = Terminal::spawn(corten.command(&run));
        terminal.expect("# ");
        terminal.send(DETACH);
        assert_eq!(terminal.wait(), 0);
        assert!(terminal.echoes(), "the terminal is as it was");
        let state = corten.run(&["inspect", "-f", "{{.State.Running}}", "kept"]).ok();
        assert_eq!(state.out(), "true");

        let mut terminal = Terminal::spawn(corten.command(&["attach", "--detach-keys", "x,y", "kept"]));
        terminal.expect("# ");
        terminal.send("echo a$((1+1))b\r");
        terminal.expect("a2b");
        terminal.send("xy");
        assert_eq!(terminal.wait(), 1);
        terminal.expect("read escape sequence");
        assert!(terminal.echoes(), "the terminal is as it was");

        let mut terminal = Terminal::spawn(corten.command(&["attach", "kept"]));
        terminal.expect("# ");
        terminal.send("exit 5\r");
        assert_eq!(terminal.wait(), 5);
    });
}

#[test]
fn an_exec_has_a_terminal_too() {
    each_daemon(|stack| {
        let corten = stack.corten();
        let _ = corten.run(&["run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "1000"]).ok();
        let mut terminal = Terminal::spawn(corten.command(&["exec", "-it", "box", "sh"]));
        terminal.expect("# ");
        wait_for_size(&mut terminal, "24 80");
        terminal.send("exit 4\r");
        assert_eq!(terminal.wait(), 4);
        assert!(terminal.echoes(), "the terminal is as it was");
        let _ = corten.run(&["rm", "-f", "box"]).ok();
    });
}

#[test]
fn a_stopped_container_is_started_on_the_terminal() {
    each_daemon(|stack| {
        let corten = stack.corten();
        let _ = corten.run(&["create", "-it", "--name", "later", "--network", "none", "busybox", "sh"]).ok();
        let mut terminal = Terminal::spawn(corten.command(&["start", "-ai", "later"]));
        terminal.expect("# ");
        terminal.send("exit 6\r");
        assert_eq!(terminal.wait(), 6);
        assert!(terminal.echoes(), "the terminal is as it was");
    });
}

/// Starts the command with its output in a pipe, and waits until it has said `ready`.
fn start_and_wait_for_ready(stack: &Stack, arguments: &[&str]) -> Child {
    use std::io::{BufRead, BufReader};
    let mut command = stack.corten().command(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("corten starts");
    let output = child.stdout.take().expect("its output is a pipe");
    let first = BufReader::new(output).lines().next().expect("it says something").expect("it says text");
    assert_eq!(first, "ready");
    child
}

fn code(child: &mut Child) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let mut status = None;
    wait_for("corten to end", DEADLINE, || {
        status = child.try_wait().expect("the child is ours");
        status.is_some()
    });
    let status = status.expect("it has ended");
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[test]
fn signals_are_passed_on_to_the_container() {
    each_daemon(|stack| {
        let script = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done";
        let mut child =
            start_and_wait_for_ready(stack, &["run", "--rm", "--network", "none", "busybox", "sh", "-c", script]);
        assert!(send_signal(child.id(), "USR1"), "it runs");
        assert_eq!(code(&mut child), 9);

        // Without a handler the first process of a container ignores TERM; --init is not there yet, so a child ends it.
        let script = "trap 'exit 143' TERM; echo ready; while :; do sleep 0.1; done";
        let mut child =
            start_and_wait_for_ready(stack, &["run", "--rm", "--network", "none", "busybox", "sh", "-c", script]);
        assert!(send_signal(child.id(), "TERM"), "it runs");
        assert_eq!(code(&mut child), 143);

        // Without the proxy the client alone ends.
        let arguments = [
            "run",
            "--name",
            "alone",
            "--sig-proxy=false",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            "echo ready; sleep 1000",
        ];
        let mut child = start_and_wait_for_ready(stack, &arguments);
        assert!(send_signal(child.id(), "TERM"), "it runs");
        assert_eq!(code(&mut child), 143);
        let state = stack.corten().run(&["inspect", "-f", "{{.State.Running}}", "alone"]).ok();
        assert_eq!(state.out(), "true");
        let _ = stack.corten().run(&["rm", "-f", "alone"]).ok();
    });
}

#[test]
fn a_killed_client_gives_the_terminal_back() {
    let stack = Stack::start(Kind::Original);
    stack.load_busybox();
    let run = ["run", "-it", "--sig-proxy=false", "--name", "left", "--network", "none", "busybox", "sh"];
    let mut terminal = Terminal::spawn(stack.corten().command(&run));
    terminal.expect("# ");
    assert!(!terminal.echoes());
    assert!(send_signal(terminal.pid(), "TERM"), "it runs");
    assert_eq!(terminal.wait(), 143);
    assert!(terminal.echoes(), "the terminal is as it was");
    let _ = stack.corten().run(&["rm", "-f", "left"]).ok();
}

#[test]
fn following_a_log_ends_with_the_signal() {
    each_daemon(|stack| {
        let corten = stack.corten();
        let _ = corten
            .run(&[
                "run",
                "-d",
                "--name",
                "talks",
                "--network",
                "none",
                "busybox",
                "sh",
                "-c",
                "echo ready; sleep 1000",
            ])
            .ok();
        let mut child = start_and_wait_for_ready(stack, &["logs", "-f", "talks"]);
        assert!(send_signal(child.id(), "INT"), "it runs");
        assert_eq!(code(&mut child), 130);
        let _ = corten.run(&["rm", "-f", "talks"]).ok();
    });
}

#[test]
fn output_of_megabytes_arrives_whole() {
    each_daemon(|stack| {
        let run = ["run", "--rm", "--network", "none", "busybox", "sh", "-c", "seq 1 1000000"];
        let ran: Ran = stack.corten().run(&run).ok();
        assert_eq!(ran.stdout.lines().count(), 1_000_000);
        assert!(ran.stdout.ends_with("\n1000000\n"));
    });
}
