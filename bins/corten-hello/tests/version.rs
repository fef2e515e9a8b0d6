//! Builds the program whenever the tests are built, so that the scenarios find it; and it must start.

use std::process::Command;

#[test]
fn the_program_starts_and_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_corten-hello")).arg("--version").output().expect("it was just built");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_isolates_it_is_printed() {
    let program = env!("CARGO_BIN_EXE_corten-hello");
    let output = Command::new(program).output().expect("it was just built");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for fact in ["pid", "user map", "hostname", "cgroup", "capabilities", "seccomp", "namespaces"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(fact)), "no {fact} in\n{text}");
    }
    assert!(output.status.success());
}
