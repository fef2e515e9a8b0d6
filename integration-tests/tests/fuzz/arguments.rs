//! The runtime's command line.

use std::ffi::OsString;

use crate::{each_input, mutate::word};

const WORDS: [&str; 26] = [
    "--root",
    "/r",
    "--log",
    "l",
    "--log-format=json",
    "--systemd-cgroup",
    "--debug",
    "create",
    "run",
    "exec",
    "kill",
    "delete",
    "update",
    "events",
    "spec",
    "list",
    "-d",
    "--bundle",
    "-b=x",
    "--preserve-fds",
    "3",
    "--user",
    "1:2",
    "--process",
    "id",
    "--",
];

#[test]
fn a_command_line_is_an_invocation_or_a_failure() {
    each_input("command line", |random| {
        let line: Vec<OsString> = (0..random.below(9))
            .map(|_| if random.one_in(4) { word(random) } else { random.of(&WORDS).to_owned() })
            .map(OsString::from)
            .collect();
        let _ = corten_runtime_api::parse::parse(&line);
    });
}
