//! The engine's own files.

use integration_tests::{Kind, Stack};

use crate::{busybox, create, engine, expect, get, start};

#[test]
fn a_broken_record_costs_that_container_only() {
    let mut stack = engine();
    let broken = start(&stack, "broken", &busybox(&["sleep", "1000"]));
    let whole = create(&stack, "whole", &busybox(&["true"]));
    stack.kill();
    let containers = stack.cortend().data_root().join("containers");
    std::fs::write(containers.join(&broken).join("container.json"), "{\"format\":1,").unwrap();
    stack.restart();

    expect(get(&stack, &format!("/containers/{whole}/json")), 200);
    expect(get(&stack, &format!("/containers/{broken}/json")), 404);
    assert!(stack.cortend().daemon().log().contains("container set aside: its record is broken"));
    let kept = std::fs::read_dir(stack.cortend().data_root().join("broken")).unwrap().count();
    assert_eq!(kept, 1);
    // Its root filesystem is kept for its owner too.
    let snapshots = stack.ctr().run(&["snapshots", "ls"]).ok();
    assert!(snapshots.out().contains(&broken), "{}", snapshots.out());
    let _ = stack.ctr().run(&["task", "kill", "--signal", "KILL", &broken]);
}

#[test]
fn two_engines_on_one_root_are_refused() {
    let mut stack = Stack::start(Kind::Ours);
    let data_root = stack.cortend().data_root();
    let holder = stack.engine_pid();
    let socket = stack.root().join("second.sock");
    let ran = integration_tests::Ran::of(
        std::process::Command::new(integration_tests::programs::path("cortend"))
            .arg("-H")
            .arg(format!("unix://{}", socket.display()))
            .arg("--data-root")
            .arg(&data_root)
            .arg("--exec-root")
            .arg(stack.root().join("second-exec"))
            .arg("--pidfile")
            .arg(stack.root().join("second.pid")),
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    let expected = format!("is in use by another engine: process {holder} holds its lock");
    assert!(ran.err().contains(&expected), "{ran:?}");
}
