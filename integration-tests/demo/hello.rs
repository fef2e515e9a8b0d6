//! Step 1: a container from an image that is made at first use.

use crate::{Demo, show};

/// Runs `hello` and looks at what it says of its isolation.
pub fn run(demo: &Demo) {
    show::heading(1, "an image made at first use from a program of ours, offline");
    let hello = demo.shell.corten(&["run", "--rm", "hello"]);
    show::check(
        "the program was process 1 of its own pid namespace",
        hello.stdout.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next().is_some_and(|word| word.trim_end_matches(':') == "pid") && words.next() == Some("1")
        }),
    );
    let limited =
        demo.shell.corten(&["run", "--rm", "--memory", "64m", "--pids-limit", "32", "--hostname", "box", "hello"]);
    show::check("a memory limit of 64 MiB, 32 processes and the host name reached it", {
        ["memory 64 MiB", "pids 32", "box"].iter().all(|word| limited.stdout.contains(word))
    });
}
