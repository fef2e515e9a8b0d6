//! Proportional memory (PSS) of idle daemons and of a container's shim.

use std::fs;

use integration_tests::{Kind, Stack, parent_of, processes};

use crate::compare::Report;

const CONTAINERS: usize = 10;

/// Measures it.
pub fn measure(report: &mut Report) {
    let ours = Stack::start(Kind::Ours);
    let theirs = Stack::start(Kind::Original);
    let (mine, other) = (daemons(&ours), daemons(&theirs));
    report.bound("both daemons idle, PSS", mine, Some(other), 30.0, "MiB");
    let (mine, other) = (shim(&ours), shim(&theirs));
    report.bound("shim of a container, PSS (10 run)", mine, Some(other), 2.0, "MiB");
}

fn daemons(stack: &Stack) -> f64 {
    let names = ["cortend", "corten-supervis", "dockerd", "containerd"];
    let of_stack = processes().into_iter().filter(|process| {
        names.contains(&process.name.as_str())
            && process.arguments.iter().any(|argument| argument.contains(stack.root().name()))
    });
    of_stack.map(|process| pss_mib(process.pid)).sum()
}

fn shim(stack: &Stack) -> f64 {
    stack.load_busybox();
    let docker = stack.docker();
    let mut sum = 0.0;
    let names: Vec<String> = (0..CONTAINERS).map(|number| format!("idle{number}")).collect();
    for name in &names {
        let _ = docker.run(&["run", "-d", "--network", "none", "--name", name, "busybox", "sleep", "1000"]).ok();
    }
    for name in &names {
        let inspected = docker.run(&["inspect", "--format", "{{.State.Pid}}", name]).ok();
        let pid = inspected.out().parse().expect("inspect prints a pid");
        sum += pss_mib(parent_of(pid).expect("the container runs"));
    }
    sum / CONTAINERS as f64
}

/// Proportional set size of a process, in MiB (proc(5), "smaps_rollup").
pub fn pss_mib(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: f64 = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    kib / 1024.0
}
