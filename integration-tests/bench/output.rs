//! 100 MB of a container's output into its log.

use integration_tests::{DEADLINE, Stack, wait_for};

use crate::{
    compare::{Report, interleaved},
    memory::pss_mib,
    run::stacks,
};

const ROUNDS: usize = 3;
/// Numbered lines of about 100 MB.
const LINES: &str = "13000000";

/// Measures it, and the memory of our shim afterwards.
pub fn measure(report: &mut Report) {
    let (ours, theirs) = stacks();
    let (mine, other) = interleaved(ROUNDS, || write(&ours), || write(&theirs));
    report.ratio("100 MB of output into the log", mine, other, 1.0);
    report.bound("shim after 100 MB of output, PSS", shim_after_output(&ours), None, 3.0, "MiB");
}

fn write(stack: &Stack) {
    let docker = stack.docker();
    let started = docker.run(&["run", "-d", "--network", "none", "busybox", "seq", "1", LINES]).ok();
    let _ = docker.run(&["wait", started.out()]).ok();
    let _ = docker.run(&["rm", started.out()]).ok();
}

fn shim_after_output(stack: &Stack) -> f64 {
    let docker = stack.docker();
    let script = format!("seq 1 {LINES}; exec sleep 1000");
    let _ = docker.run(&["run", "-d", "--network", "none", "--name", "talker", "busybox", "sh", "-c", &script]).ok();
    wait_for("the last line in the log", DEADLINE, || docker.run(&["logs", "--tail", "1", "talker"]).out() == LINES);
    let inspected = docker.run(&["inspect", "--format", "{{.State.Pid}}", "talker"]).ok();
    let pid = inspected.out().parse().expect("inspect prints a pid");
    pss_mib(integration_tests::parent_of(pid).expect("the container runs"))
}
