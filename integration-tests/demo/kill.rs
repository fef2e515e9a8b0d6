//! Step 4: both daemons die at once, and nobody but them notices.

use std::{fs, path::Path};

use integration_tests::{DEADLINE, Terminal, process, wait_for};

use crate::{Demo, show};

/// How many numbered lines the container writes while no daemon lives: more than 8 MiB of them.
const LINES: usize = 1_300_000;

/// Kills cortend and the supervisor, lets the containers go on, restarts, and compares.
pub fn run(demo: &mut Demo) {
    show::heading(4, "kill -9 of cortend and corten-supervisor at once");
    let gate = demo.root.make("gate");
    let bind = format!("{}:/gate:ro", gate.display());
    let writer = format!("while [ ! -e /gate/write ]; do usleep 10000; done; seq 1 {LINES}; exec sleep 1000");
    let leaver = "while [ ! -e /gate/leave ]; do usleep 10000; done; echo leaving; exit 42";
    demo.shell.corten(&["run", "-d", "--name", "writer", "-v", &bind, "busybox", "sh", "-c", &writer]);
    demo.shell.corten(&["run", "-d", "--name", "leaver", "-v", &bind, "busybox", "sh", "-c", leaver]);
    let words = ["run", "-it", "--name", "shell", "busybox", "sh"];
    show::typed(&words);
    let mut terminal = Terminal::spawn(demo.shell.command(&words));
    terminal.send("echo before=$((40+1))\n");
    terminal.expect("before=41");

    let writer_pid = pid(demo, "writer");
    let leaver_pid = pid(demo, "leaver");
    let log = demo.shell.quietly(&["inspect", "--format", "{{.LogPath}}", "writer"]).out().to_owned();
    show::say(&format!(
        "kill -9 {} {}",
        demo.cortend.daemon().pid(),
        demo.cortend.supervisor_pid().expect("a supervisor runs")
    ));
    demo.cortend.kill_both();

    show::check("the container still runs", process(writer_pid).is_some());
    terminal.send("echo after=$((40+2))\n");
    terminal.expect("after=42");
    show::check("the terminal of `run -it` is still attached", true);
    fs::write(gate.join("write"), "").expect("the demo's directory is writable");
    wait_for("8 MiB of new output in the log", DEADLINE, || size(Path::new(&log)) > 8 << 20);
    show::check("more than 8 MiB reached the log while no daemon lived", true);
    fs::write(gate.join("leave"), "").expect("the demo's directory is writable");
    wait_for("the second container to exit", DEADLINE, || process(leaver_pid).is_none());

    demo.cortend.restart(&demo.root);
    show::say("cortend was started again; it started the supervisor");
    demo.shell.corten(&["ps", "-a"]);
    show::check("the container was found again, the same process", pid(demo, "writer") == writer_pid);
    let code = demo.shell.corten(&["wait", "leaver"]);
    show::check("the one that exited meanwhile has its true exit code", code.out() == "42");
    show::check("and its last line", demo.shell.corten(&["logs", "leaver"]).out() == "leaving");
    wait_for("the writer to finish", DEADLINE, || {
        demo.shell.quietly(&["logs", "--tail", "1", "writer"]).out() == LINES.to_string()
    });
    show::typed(&["logs", "writer"]);
    let text = demo.shell.quietly(&["logs", "writer"]).stdout;
    let numbers = text.lines().map(|line| line.parse::<usize>());
    show::check(&format!("logs: lines 1 to {LINES} without a gap"), numbers.eq((1..=LINES).map(Ok)));
    terminal.send("exit 7\n");
    show::check("the attached shell ended with its own exit code 7", terminal.wait() == 7);
    demo.shell.corten(&["rm", "-f", "writer", "leaver", "shell"]);
}

fn pid(demo: &Demo, name: &str) -> u32 {
    let inspected = demo.shell.quietly(&["inspect", "--format", "{{.State.Pid}}", name]);
    inspected.out().parse().expect("inspect prints a pid")
}

/// Size of the log, rotated files included.
fn size(path: &Path) -> u64 {
    let Some((directory, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else { return 0 };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of_log = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
    of_log.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}
