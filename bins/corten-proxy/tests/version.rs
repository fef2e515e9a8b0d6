//! Builds the program whenever the tests are built, so that the scenarios find it; and it must start.

use std::process::Command;

#[test]
fn the_program_starts_and_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_corten-proxy")).arg("--version").output().expect("it was just built");
    assert!(output.status.success(), "{output:?}");
}
