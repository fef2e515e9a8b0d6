//! A command on a terminal is typed at, resized and waited for.

use std::process::Command;

use integration_tests::{Terminal, programs};

#[test]
fn a_shell_on_a_terminal_answers_and_sees_its_size() {
    let mut command = Command::new(programs::original("busybox"));
    command.arg("sh");
    let mut terminal = Terminal::spawn(command);
    terminal.send("echo first=$((40+2)); tty\n");
    terminal.expect("first=42");
    terminal.expect("/dev/pts/");
    terminal.resize(50, 132);
    terminal.send("stty size\n");
    terminal.expect("50 132");
    terminal.send("exit 7\n");
    assert_eq!(terminal.wait(), 7);
}
