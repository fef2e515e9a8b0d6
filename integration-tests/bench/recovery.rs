//! How long the API is away after `kill -9` of both daemons with 50 containers running.

use std::time::Instant;

use integration_tests::{Kind, Stack};

use crate::compare::Report;

const CONTAINERS: usize = 50;

/// Measures it.
pub fn measure(report: &mut Report) {
    let mut stack = Stack::start(Kind::Ours);
    stack.load_busybox();
    let docker = stack.docker();
    for number in 0..CONTAINERS {
        let name = format!("kept{number}");
        let _ = docker.run(&["run", "-d", "--network", "none", "--name", &name, "busybox", "sleep", "1000"]).ok();
    }
    stack.kill();
    let started = Instant::now();
    // Waits for the answer to a ping.
    stack.restart();
    report.bound(
        "API back after kill -9 of both, 50 containers",
        started.elapsed().as_secs_f64() * 1e3,
        None,
        500.0,
        "ms",
    );
    let listed = docker.run(&["ps", "-q"]).ok();
    assert_eq!(listed.stdout.lines().count(), CONTAINERS, "all containers were found again");
}
