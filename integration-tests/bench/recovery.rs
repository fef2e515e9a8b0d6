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
    // Waits for the answer to a ping; one that tells of containers comes when each was looked at.
    stack.restart();
    let listed = stack.api().get("/containers/json").expect("the engine answers");
    let took = started.elapsed();
    assert_eq!(listed.json().as_array().map(Vec::len), Some(CONTAINERS), "all containers were found again");
    report.bound("API back after kill -9 of both, 50 containers", took.as_secs_f64() * 1e3, None, 500.0, "ms");
}
