//! After a kill -9: what lives is adopted, what died is settled.

use integration_tests::{DEADLINE, Supervisor, TempRoot, processes, send_signal, wait_for, wait_for_some};

use crate::{IMAGE, ctr, names, supervisor_with_image, task, wait_for_status};

/// The shim of a container.
fn shim_of(root: &TempRoot, id: &str) -> u32 {
    wait_for_some(&format!("the shim of {id}"), DEADLINE, || {
        let found = processes().into_iter().find(|process| {
            let arguments = format!("{process:?}");
            arguments.contains("containerd-shim")
                && arguments.contains(root.name())
                && arguments.contains(&format!("{id:?}"))
        });
        found.map(|process| process.pid)
    })
}

fn bundles(root: &TempRoot, supervisor: &Supervisor) -> Vec<String> {
    names(&supervisor.state().join("io.containerd.runtime.v2.task").join(root.name()))
}

#[test]
fn running_tasks_are_found_again_and_can_be_used() {
    let root = TempRoot::new();
    let mut supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("run -d {IMAGE} one sleep 1000")).ok();
    let before = task(&supervisor, "one").expect("it runs");
    supervisor.daemon().kill();
    supervisor.restart(&root);
    assert_eq!(task(&supervisor, "one").expect("it still runs"), before);
    assert_eq!(ctr(&supervisor, "tasks exec --exec-id e1 one echo again").ok().out(), "again");
    let _ = ctr(&supervisor, "tasks kill -s KILL one").ok();
    wait_for_status(&supervisor, "one", "STOPPED");
    let _ = ctr(&supervisor, "tasks rm one");
    let _ = ctr(&supervisor, "containers rm one").ok();
    assert_eq!(bundles(&root, &supervisor), Vec::<String>::new());
}

#[test]
fn an_exit_while_it_was_dead_is_told_truly() {
    let root = TempRoot::new();
    let mut supervisor = supervisor_with_image(&root);
    let fifo = root.join("go");
    let ran = supervisor.ctr().run(&[
        "run",
        "-d",
        "--mount",
        &format!("type=bind,src={},dst=/mnt,options=rbind:rw", root.path().display()),
        IMAGE,
        "one",
        "sh",
        "-c",
        "until [ -e /mnt/go ]; do sleep 0.01; done; exit 7",
    ]);
    let _ = ran.ok();
    let pid = task(&supervisor, "one").expect("it runs").1;
    supervisor.daemon().kill();
    std::fs::write(&fifo, "").expect("the root is writable");
    wait_for("the container's end", DEADLINE, || integration_tests::process(pid).is_none());
    supervisor.restart(&root);
    wait_for_status(&supervisor, "one", "STOPPED");
    assert!(ctr(&supervisor, "tasks rm one").stderr.contains("exit with non-zero exit code 7"));
}

#[test]
fn a_shim_that_died_with_it_is_settled_at_the_start() {
    let root = TempRoot::new();
    let mut supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("run -d {IMAGE} one sleep 1000")).ok();
    let pid = task(&supervisor, "one").expect("it runs").1;
    supervisor.daemon().kill();
    assert!(send_signal(shim_of(&root, "one"), "KILL"), "it runs");
    supervisor.restart(&root);
    wait_for("the task to be settled", DEADLINE, || task(&supervisor, "one").is_none());
    wait_for("its process to be gone", DEADLINE, || integration_tests::process(pid).is_none());
    wait_for("its bundle to be gone", DEADLINE, || bundles(&root, &supervisor).is_empty());
    assert_eq!(ctr(&supervisor, "containers ls -q").ok().out(), "one");
    let _ = ctr(&supervisor, "tasks start -d one").ok();
    assert_eq!(task(&supervisor, "one").expect("it runs again").0, "RUNNING");
}

#[test]
fn a_shim_that_dies_takes_its_task_with_it() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("run -d {IMAGE} one sleep 1000")).ok();
    let pid = task(&supervisor, "one").expect("it runs").1;
    assert!(send_signal(shim_of(&root, "one"), "KILL"), "it runs");
    wait_for("the task to be gone", DEADLINE, || task(&supervisor, "one").is_none());
    wait_for("its process to be gone", DEADLINE, || integration_tests::process(pid).is_none());
    wait_for("its bundle to be gone", DEADLINE, || bundles(&root, &supervisor).is_empty());
    let _ = ctr(&supervisor, "containers rm one").ok();
}

#[test]
fn ending_it_properly_leaves_shims_and_containers_alone() {
    let root = TempRoot::new();
    let mut supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("run -d {IMAGE} one sleep 1000")).ok();
    let before = task(&supervisor, "one").expect("it runs");
    supervisor.daemon().terminate();
    assert!(!supervisor.address().exists(), "its socket is removed");
    supervisor.restart(&root);
    assert_eq!(task(&supervisor, "one").expect("it still runs"), before);
}

#[test]
fn a_directory_that_is_no_bundle_does_not_stop_the_start() {
    let root = TempRoot::new();
    let mut supervisor = Supervisor::start(&root);
    supervisor.daemon().kill();
    let bundles = supervisor.state().join("io.containerd.runtime.v2.task").join(root.name());
    for name in ["empty", "garbage"] {
        std::fs::create_dir_all(bundles.join(name)).expect("writable");
    }
    std::fs::write(bundles.join("garbage/address"), "unix:///no/such/socket").expect("writable");
    supervisor.restart(&root);
    wait_for("both to be removed", DEADLINE, || names(&bundles).is_empty());
}
