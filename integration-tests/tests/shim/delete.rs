//! `corten-shim delete`: after a shim that was killed.

use corten_stdio::StdinMode;
use integration_tests::{DEADLINE, processes, send_signal, wait_for};

use crate::driver::{Shim, Streams, Supervisor, runtime};

fn kill_shim(shim: &Shim<'_>) {
    let pid = shim.pid();
    assert!(send_signal(pid, "KILL"));
    wait_for("the end of the killed shim", DEADLINE, || !is_alive(pid));
}

/// A zombie waits for an init that may be slow.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

#[test]
fn a_killed_shim_takes_its_container_with_it() {
    for name in ["runc", "corten-runtime"] {
        let supervisor = Supervisor::new();
        let mut shim = supervisor.shim("web", "sleep 1000");
        shim.runtime = runtime(name);
        let pid = shim.run(&shim.ours(StdinMode::Open));
        kill_shim(&shim);
        let deleted = shim.delete_after_death();
        assert_eq!((deleted.exit_status, deleted.pid), (137, pid), "{name}");
        assert!(!is_alive(pid), "{name}");
        assert!(!supervisor.root.join("web.sock").exists());
        // Asked again, with nothing left, it succeeds.
        assert_eq!(shim.delete_after_death().exit_status, 137);
        assert!(processes().iter().all(|process| process.pid != pid || !is_alive(pid)));
    }
}

#[test]
fn an_exit_the_shim_saw_before_it_was_killed_is_told() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "exit 42");
    let pid = shim.run(&Streams::default());
    assert_eq!(shim.wait(""), 42);
    kill_shim(&shim);
    let deleted = shim.delete_after_death();
    assert_eq!((deleted.exit_status, deleted.pid), (42, pid));
}
