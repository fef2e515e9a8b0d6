//! A shim with a container that does nothing does nothing either.

use std::fs;

use corten_stdio::StdinMode;
use integration_tests::{DEADLINE, wait_for};

use crate::driver::{Streams, Supervisor};

/// How often the threads of a process have given up the processor of their own accord.
fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of = |status: String| {
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).map(str::to_owned);
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).map(of).sum()
}

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn an_idle_shim_has_two_threads_and_never_wakes() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&shim.ours(StdinMode::Open));
    supervisor.wait_for_topic("/tasks/start web");
    wait_for("at most two threads", DEADLINE, || threads(shim.pid()) <= 2);
    // It comes to rest: a stretch in which not one thread woke.
    wait_for("a rest without a wake-up", DEADLINE, || {
        let before = switches(shim.pid());
        !integration_tests::try_for(std::time::Duration::from_secs(2), || switches(shim.pid()) != before)
    });
    shim.kill("", 9).unwrap();
    assert_eq!(shim.wait(""), 137);
}

#[test]
fn execs_leave_no_descriptor_behind() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    let round = |number: u32| {
        let id = format!("e{number}");
        let output = supervisor.root.join("output");
        shim.exec(&id, "echo x", &Streams::file(&output)).unwrap();
        shim.start(&id).unwrap();
        assert_eq!(shim.wait(&id), 0);
        shim.delete(&id).unwrap();
        supervisor.wait_for_topic(&format!("/tasks/exit {id}"));
    };
    round(0);
    let mut before = 0;
    wait_for("the first exec's descriptors to be closed", DEADLINE, || {
        let now = descriptors(shim.pid());
        std::mem::replace(&mut before, now) == now
    });
    (1..10).for_each(round);
    wait_for("as many descriptors as before", DEADLINE, || descriptors(shim.pid()) <= before);
    shim.kill("", 9).unwrap();
    shim.wait("");
}
