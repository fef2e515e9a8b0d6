//! Step 3: which process is whose child.

use integration_tests::{Process, parent_of, process};

use crate::{Demo, show};

/// Starts a container and reads from /proc how the processes hang together.
pub fn run(demo: &mut Demo) {
    show::heading(3, "the process tree, read from /proc");
    demo.shell.corten(&["run", "-d", "--name", "tree", "busybox", "sleep", "1000"]);
    let inspected = demo.shell.corten(&["inspect", "--format", "{{.State.Pid}}", "tree"]);
    let container: u32 = inspected.out().parse().expect("inspect prints a pid");
    let engine = demo.cortend.daemon().pid();
    let supervisor = demo.cortend.supervisor_pid().expect("cortend started a supervisor");
    let shim = parent_of(container).expect("the container runs");
    for (depth, pid) in [(0, engine), (1, supervisor), (0, shim), (1, container)] {
        if let Some(Process { pid, parent, arguments, .. }) = process(pid) {
            let program = arguments.first().map_or("?", |path| path.rsplit('/').next().unwrap_or(path));
            let rest = arguments.get(1..).unwrap_or_default().join(" ");
            let rest: String = rest.chars().take(60).collect();
            show::say(&format!("{}{program} {rest}  (pid {pid}, child of {parent})", "   ".repeat(depth)));
        }
    }
    let name_of = |pid| process(pid).and_then(|process| process.arguments.first().cloned()).unwrap_or_default();
    show::check("cortend started the supervisor", parent_of(supervisor) == Some(engine));
    show::check("the container's parent is its shim", name_of(shim).ends_with("corten-shim"));
    show::check("the shim belongs to neither of the daemons", {
        parent_of(shim).is_some_and(|parent| parent != engine && parent != supervisor)
    });
    demo.shell.corten(&["rm", "-f", "tree"]);
}
