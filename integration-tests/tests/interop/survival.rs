//! Both of docker's CLIs, while cortend and the supervisor die at once and come back.

use std::fs;

use integration_tests::{DEADLINE, DockerCli, Kind, Stack, Terminal, process, wait_for};

/// Numbered lines of a hundred bytes, more than 8 MiB of them, written while no daemon lives.
const LINES: usize = 90_000;

#[test]
fn debians_docker_finds_everything_again() {
    survive(DockerCli::debian);
}

#[test]
fn the_newest_docker_finds_everything_again() {
    survive(DockerCli::newest);
}

fn survive(docker: impl Fn(&std::path::Path) -> DockerCli) {
    let mut stack = Stack::start(Kind::Ours);
    stack.load_busybox();
    let docker = docker(&stack.socket());
    let gate = stack.root().make("gate");
    let bind = format!("{}:/gate:ro", gate.display());
    let run = |name: &str, script: &str| {
        let flags = ["run", "-d", "--network", "none", "--name", name, "-v", &bind, "busybox", "sh", "-c", script];
        let _ = docker.run(&flags).ok();
        pid(&docker, name)
    };
    let wait = |file: &str| format!("while [ ! -e /gate/{file} ]; do usleep 10000; done");
    let lines = format!("awk 'BEGIN {{ for (i = 1; i <= {LINES}; i++) printf \"%099d\\n\", i }}'");
    let writer = run("writer", &format!("{}; {lines}; exec sleep 1000", wait("write")));
    let leaver = run("leaver", &format!("{}; echo leaving; exit 42", wait("leave")));
    let mut terminal =
        Terminal::spawn(docker.command(&["run", "-it", "--network", "none", "--name", "shell", "busybox", "sh"]));
    terminal.send("echo before=$((40+1))\n");
    terminal.expect("before=41");
    let log = docker.run(&["inspect", "--format", "{{.LogPath}}", "writer"]).ok().out().to_owned();

    stack.kill();
    terminal.send("echo after=$((40+2))\n");
    terminal.expect("after=42");
    fs::write(gate.join("write"), "").expect("the gate can be written");
    wait_for("8 MiB in the log", DEADLINE, || fs::metadata(&log).is_ok_and(|log| log.len() > 8 << 20));
    fs::write(gate.join("leave"), "").expect("the gate can be written");
    wait_for("the second container to end", DEADLINE, || process(leaver).is_none());

    stack.restart();
    assert_eq!(pid(&docker, "writer"), writer);
    let mut names: Vec<String> =
        docker.run(&["ps", "--format", "{{.Names}}"]).ok().stdout.lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["shell", "writer"]);
    assert_eq!(docker.run(&["wait", "leaver"]).ok().out(), "42");
    assert_eq!(docker.run(&["logs", "leaver"]).ok().out(), "leaving");
    let last = format!("{LINES:099}");
    wait_for("the last line", DEADLINE, || docker.run(&["logs", "--tail", "1", "writer"]).ok().out() == last);
    let text = docker.run(&["logs", "writer"]).ok().stdout;
    assert!(text.lines().map(|line| line.parse::<usize>()).eq((1..=LINES).map(Ok)), "a line is missing");
    terminal.send("exit 7\n");
    assert_eq!(docker.run(&["wait", "shell"]).ok().out(), "7");
    // Docker's CLI asked the engine that died for the exit code; it ends, and the terminal is as it was.
    let _ = terminal.wait();
    assert!(terminal.echoes());
    let _ = docker.run(&["rm", "-f", "writer", "leaver", "shell"]).ok();
}

fn pid(docker: &DockerCli, name: &str) -> u32 {
    docker.run(&["inspect", "--format", "{{.State.Pid}}", name]).ok().out().parse().expect("inspect prints a pid")
}
