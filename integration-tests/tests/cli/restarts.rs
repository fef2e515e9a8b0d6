//! A daemon that dies while a client waits for an exit code, and the one that comes after.

use integration_tests::{DEADLINE, Kind, Stack, wait_for};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Stdio},
    thread,
};

/// Says `ready`, waits for a file, ends with 42.
const SCRIPT: &str = "echo ready; while [ ! -e /flag/go ]; do sleep 0.05; echo ready; done; exit 42";

/// Starts corten and waits until output comes.
fn attached(stack: &Stack, arguments: &[&str]) -> Child {
    let mut command = stack.corten().command(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("corten starts");
    let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    let mut first = String::new();
    output.read_line(&mut first).expect("it says something");
    assert_eq!(first, "ready\n", "{arguments:?}");
    // Somebody reads on, or corten would end for that.
    thread::spawn(move || output.read_to_end(&mut Vec::new()));
    child
}

fn code(child: &mut Child) -> Option<i32> {
    let mut status = None;
    wait_for("corten to end", DEADLINE, || {
        status = child.try_wait().expect("the child is ours");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

fn has_ended(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

/// Each way to be attached learns the true exit code, of a container that ends while both daemons are
/// dead, and of one that ends after they have come back.
#[test]
fn who_is_attached_learns_the_exit_code_from_the_next_daemon() {
    let mut stack = Stack::start(Kind::Ours);
    stack.load_busybox();
    for dead_at_the_end in [true, false] {
        let flag = stack.root().make("flag");
        let mount = format!("{}:/flag", flag.display());
        let corten = stack.corten();
        let of = |verb: &[&'static str], name: &'static str| -> Vec<String> {
            let rest = ["--name", name, "--network", "none", "-v", &mount, "busybox", "sh", "-c", SCRIPT];
            verb.iter().copied().chain(rest).map(str::to_owned).collect()
        };
        let _ = corten.run(&of(&["run", "-d"], "attached")).ok();
        let _ = corten.run(&of(&["create"], "started")).ok();
        let run = of(&["run"], "ran");
        let run: Vec<&str> = run.iter().map(String::as_str).collect();
        let removed = of(&["run", "--rm"], "removed");
        let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
        let mut clients = [
            attached(&stack, &["attach", "--no-stdin", "attached"]),
            attached(&stack, &["start", "-a", "started"]),
            attached(&stack, &["exec", "attached", "sh", "-c", SCRIPT]),
            attached(&stack, &run),
            attached(&stack, &removed),
        ];
        let pids: Vec<String> = ["attached", "started", "ran", "removed"]
            .map(|name| corten.run(&["inspect", "-f", "{{.State.Pid}}", name]).ok().out().to_owned())
            .to_vec();

        stack.kill();
        if dead_at_the_end {
            std::fs::write(flag.join("go"), "").expect("writable");
            wait_for("the containers to end while no daemon looks", DEADLINE, || pids.iter().all(|pid| has_ended(pid)));
        }
        stack.restart();
        std::fs::write(flag.join("go"), "").expect("writable");
        for (client, who) in clients.iter_mut().zip(["attach", "start -a", "exec", "run", "run --rm"]) {
            // An exec that its container's end overtakes is killed.
            let code = code(client);
            assert!(code == Some(42) || (who == "exec" && code == Some(137)), "{who}: {code:?}, {dead_at_the_end}");
        }
        std::fs::remove_file(flag.join("go")).expect("there");
        let _ = corten.run(&["rm", "-f", "attached", "started", "ran"]).ok();
        assert_eq!(corten.run(&["ps", "-aq"]).ok().out(), "");
    }
}
