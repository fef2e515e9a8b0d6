//! What a container writes is in its log, whoever lives.

use corten_stdio::StdinMode;
use integration_tests::{DEADLINE, wait_for};

use crate::driver::{Streams, Supervisor};

#[test]
fn eight_megabytes_are_logged_without_a_gap_while_no_supervisor_lives() {
    const LINES: usize = 84_000;
    let mut supervisor = Supervisor::new();
    supervisor.go_away();
    let shim = supervisor
        .shim("web", &format!("i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); printf '%0100d\\n' $i; done; exit 3"));
    shim.run(&shim.ours(StdinMode::Closed));
    assert_eq!(shim.wait(""), 3);
    let logged = shim.logged();
    assert!(logged.len() > 8 << 20, "{} bytes", logged.len());
    let numbers = logged.lines().map(|line| line.trim_start_matches('0').parse::<usize>().unwrap());
    assert!(numbers.eq(1..=LINES));
    drop(shim);
    // And the supervisor, back again, learns all that happened.
    supervisor.come_back();
    supervisor.wait_for_topic("/tasks/exit web");
    assert_eq!(supervisor.topics(), ["/tasks/create web", "/tasks/start web", "/tasks/exit web"]);
}

#[test]
fn a_full_log_moves_on() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done");
    let mut file = shim.stdio_file(StdinMode::Closed);
    (file.max_size_bytes, file.max_files) = (20_000, 3);
    shim.run(&Streams::ours(&shim.bundle.join("stdio.json"), &file));
    assert_eq!(shim.wait(""), 0);
    shim.delete("").unwrap();
    let names = ["x-json.log", "x-json.log.1", "x-json.log.2"];
    assert!(names.iter().all(|name| shim.bundle.join(name).is_file()));
    assert!(!shim.bundle.join("x-json.log.3").exists());
    assert!(shim.logged().ends_with("2999\n3000\n"));
}

#[test]
fn the_log_of_a_container_that_still_runs_can_be_read() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "echo first; sleep 1000");
    shim.run(&shim.ours(StdinMode::Closed));
    wait_for("the first line in the log", DEADLINE, || shim.logged() == "first\n");
    shim.kill("", 9).unwrap();
    assert_eq!(shim.wait(""), 137);
}
