//! kill -9 of the runtime in the middle of its work: `delete --force` then leaves nothing, and the id is free.

use std::{process::Stdio, time::Duration};

use integration_tests::{DEADLINE, programs, wait_for};
use serde_json::json;

use crate::{Host, text};

/// Kills `create` or `run` at moments spread over its length, and cleans up by the record alone.
fn kill_in_the_middle_of(verb: &[&str]) {
    let host = Host::new();
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    let mut in_flight = 0;
    for round in 0..12_u64 {
        let mut command = host.command(verb);
        command.args(["--bundle", text(&bundle), "web"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut runtime = command.spawn().expect("it starts");
        // A debug build takes about 15 ms; the moment is what is tested, so it is a wait on the clock.
        pause(Duration::from_micros(1400 * round));
        let _ = runtime.kill();
        let ended = runtime.wait().expect("the child is ours");
        in_flight += u32::from(!ended.success());
        let _ = host.run(&["delete", "--force", "web"]).ok();
        host.assert_clean();
    }
    assert!(in_flight > 2, "only {in_flight} kills hit the runtime at work");
    // The id is free and the container can be made.
    host.create("web", &bundle);
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

/// Waits on the clock: the moment of a kill is what these tests vary.
fn pause(time: Duration) {
    let milliseconds = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    corten_sys::descriptors::wait_readable([], Some(milliseconds)).expect("nothing can fail");
}

#[test]
fn a_killed_create_is_removed_by_force() {
    kill_in_the_middle_of(&["create"]);
}

#[test]
fn a_killed_run_is_removed_by_force() {
    kill_in_the_middle_of(&["run", "--detach"]);
}

#[test]
fn a_killed_delete_is_finished_by_the_next() {
    let host = Host::new();
    for round in 0..12_u64 {
        let _ = host.sleeping(&format!("web{round}"), |_| {});
        let name = format!("web{round}");
        let mut delete = host.command(&["delete", "--force", &name]).spawn().expect("it starts");
        pause(Duration::from_micros(500 * round));
        let _ = delete.kill();
        let _ = delete.wait().expect("the child is ours");
        let _ = host.run(&["delete", "--force", &name]).ok();
        host.assert_clean();
    }
}

/// The first process is at work, in a hook that does not end: nobody will answer it, so it must not go on.
#[test]
fn the_first_process_ends_with_its_creator() {
    let host = Host::new();
    let mark = host.root.name().to_owned();
    let bundle = host.bundle("web", &["sleep", "1000"], |config| {
        let busybox = programs::original("busybox");
        let hook = json!({"path": text(&busybox), "args": ["sh", "-c", format!("sleep 1000; : {mark}-hook")]});
        config["hooks"] = json!({"createContainer": [hook]});
    });
    let mut command = host.command(&["create", "--bundle", text(&bundle), "web"]);
    let mut create = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let names = || -> Vec<Vec<String>> {
        let all = integration_tests::processes().into_iter().map(|process| process.arguments);
        all.filter(|arguments| arguments.iter().any(|argument| argument.contains(&mark))).collect()
    };
    let runs = || names().iter().flatten().any(|argument| argument.contains("-hook"));
    wait_for("the hook to run", DEADLINE, runs);
    create.kill().expect("it runs");
    let _ = create.wait().expect("the child is ours");
    wait_for("the hook and the first process to end with their creator", DEADLINE, || names().is_empty());
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}
