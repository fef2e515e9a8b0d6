//! How many system calls a container takes: a count is the same on every machine, where a time is not.

use std::{fs, process::Command};

use integration_tests::{Ran, programs};

use crate::{Host, text};

/// From the runtime's start to the execve of its payload: this, and that much for each hierarchy of cgroup v1, which
/// must be made, opened, joined and shown. A build without optimisation asks `F_GETFD` before every close, which is left
/// out, and starts with some 40 calls more than a static musl one. A kernel before 6.15 takes 12 more (open_tree_attr(2)).
const CALLS: usize = 302;
const CALLS_PER_HIERARCHY: usize = 6;

#[test]
fn a_container_takes_few_system_calls() {
    let host = Host::new();
    let bundle = host.bundle("web", &["true"], |_| {});
    let trace = host.root.join("trace");
    let mut strace = Command::new(programs::original("strace"));
    strace.args(["-f", "-o", text(&trace), "--"]).arg(programs::path("corten-runtime")).arg("--root").arg(host.state());
    let _ = Ran::of(strace.args(["run", "--bundle", text(&bundle), "web"])).ok();
    let trace = fs::read_to_string(trace).expect("strace wrote it");
    let is_call = |line: &&str| !line.contains(" resumed>") && !line.contains("F_GETFD") && !line.contains("+++");
    let calls = trace.lines().filter(is_call).take_while(|line| !line.contains("execve(\"/bin/true\"")).count();
    let groups = fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    let hierarchies = groups.lines().filter(|line| !line.starts_with("0:")).count();
    println!("{calls} system calls, {hierarchies} hierarchies of cgroup v1");
    let limit = CALLS + CALLS_PER_HIERARCHY * hierarchies;
    assert!(calls <= limit, "{calls} system calls, {limit} are the budget");
    host.assert_clean();
}
