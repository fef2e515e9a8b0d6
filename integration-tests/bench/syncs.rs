//! How often the whole chain waits for the disk in one `run --rm`.

use std::{fs, process::Command};

use integration_tests::{DEADLINE, Kind, Stack, programs, wait_for};

use crate::compare::Report;

/// Measures it with strace on both daemons and all they start.
pub fn measure(report: &mut Report) {
    let mut stack = Stack::start(Kind::Ours);
    stack.load_busybox();
    let _ = stack.docker().run(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    let log = stack.root().join("syncs");
    let engine = stack.cortend().daemon().pid();
    let supervisor = stack.cortend().supervisor_pid().expect("cortend started a supervisor");
    let mut tracer = Command::new(programs::original("strace"))
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync,syncfs,sync_file_range,msync", "-o"])
        .arg(&log)
        .args(["-p", &engine.to_string(), "-p", &supervisor.to_string()])
        .spawn()
        .expect("strace is installed");
    for pid in [engine, supervisor] {
        wait_for("strace to have attached", DEADLINE, || traced(pid));
    }
    let _ = stack.docker().run(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    let _ = integration_tests::send_signal(tracer.id(), "TERM");
    let _ = tracer.wait();
    let calls = fs::read_to_string(&log).unwrap_or_default();
    let count = calls.lines().filter(|line| line.contains("sync") && !line.contains("resumed")).count();
    report.bound("fsync and fdatasync per docker run --rm", count as f64, None, 5.0, "");
}

fn traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
}
