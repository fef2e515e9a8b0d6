//! Tasks through Debian's shim and runc.

use integration_tests::{DEADLINE, Leaks, TempRoot, programs, wait_for};

use crate::{IMAGE, ctr, names, supervisor_with_image, task, wait_for_status};

#[test]
fn a_container_runs_prints_and_its_exit_code_is_told() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("run --rm {IMAGE} first true")).ok();
    let before = Leaks::of(&root);
    let ran = ctr(&supervisor, &format!("run --rm {IMAGE} one echo hi")).ok();
    assert_eq!(ran.out(), "hi");
    let ran = supervisor.ctr().run(&["run", "--rm", IMAGE, "two", "sh", "-c", "exit 42"]);
    assert_eq!(ran.code, 42);
    let after = Leaks::of(&root).since(&before).without_files(|path| !path.contains("/state/"));
    assert!(after.is_empty(), "{after}");
}

#[test]
fn a_task_lives_its_whole_life() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("run -d {IMAGE} one sleep 1000")).ok();
    let (status, pid) = task(&supervisor, "one").expect("it is listed");
    assert_eq!(status, "RUNNING");

    let exec = ctr(&supervisor, "tasks exec --exec-id e1 one echo from exec").ok();
    assert_eq!(exec.out(), "from exec");
    assert_eq!(ctr(&supervisor, "tasks exec --exec-id e2 one false").code, 1);

    let _ = ctr(&supervisor, "tasks pause one").ok();
    assert_eq!(task(&supervisor, "one").expect("it is listed").0, "PAUSED");
    let _ = ctr(&supervisor, "tasks resume one").ok();
    assert_eq!(task(&supervisor, "one").expect("it is listed").0, "RUNNING");

    assert!(ctr(&supervisor, "tasks ps one").ok().stdout.contains(&pid.to_string()));
    assert!(ctr(&supervisor, "tasks metrics one").ok().stdout.contains("memory.usage_in_bytes"));

    let busy = ctr(&supervisor, "tasks rm one");
    assert!(busy.stderr.contains("must be stopped before deletion"), "{busy:?}");
    let taken = ctr(&supervisor, &format!("run -d {IMAGE} one true"));
    assert!(taken.stderr.contains("already exists"), "{taken:?}");

    let _ = ctr(&supervisor, "tasks kill -s KILL one").ok();
    wait_for_status(&supervisor, "one", "STOPPED");
    assert!(ctr(&supervisor, "tasks rm one").stderr.contains("exit with non-zero exit code 137"));
    let _ = ctr(&supervisor, "containers rm one").ok();
    assert_eq!(task(&supervisor, "one"), None);
    let bundles = supervisor.state().join("io.containerd.runtime.v2.task").join(root.name());
    assert_eq!(names(&bundles), Vec::<String>::new());
}

#[test]
fn a_create_that_fails_leaves_nothing_and_says_what_the_runtime_said() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("run --rm {IMAGE} first true")).ok();
    let before = Leaks::of(&root);
    let ran = ctr(&supervisor, &format!("run --rm {IMAGE} one /no/such/program"));
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("failed to create shim task: OCI runtime create failed"), "{ran:?}");
    let ran = ctr(&supervisor, &format!("run --rm --runtime io.containerd.nope.v2 {IMAGE} two true"));
    assert!(ran.stderr.contains("binary not installed \"containerd-shim-nope-v2\""), "{ran:?}");
    let ran = ctr(&supervisor, &format!("run --rm --runtime nope {IMAGE} three true"));
    assert!(ran.stderr.contains("invalid runtime name nope"), "{ran:?}");
    assert_eq!(ctr(&supervisor, "tasks ls -q").ok().out(), "");
    let after = Leaks::of(&root).since(&before).without_files(|path| !path.contains("/state/"));
    assert!(after.is_empty(), "{after}");
}

#[test]
fn twenty_containers_run_at_once() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    std::thread::scope(|scope| {
        let runs = names.iter().map(|name| {
            let supervisor = &supervisor;
            scope.spawn(move || ctr(supervisor, &format!("run --rm {IMAGE} {name} echo {name}")))
        });
        for (run, name) in runs.collect::<Vec<_>>().into_iter().zip(&names) {
            assert_eq!(run.join().expect("no panic").ok().out(), name);
        }
    });
    assert_eq!(ctr(&supervisor, "containers ls -q").ok().out(), "");
}

#[test]
fn our_shim_is_the_runtime_named_corten_and_is_adopted_as_well() {
    let root = TempRoot::new();
    let mut supervisor = supervisor_with_image(&root);
    let _ = programs::path("corten-shim");
    let runtime = "--runtime io.containerd.corten.v2";
    assert_eq!(ctr(&supervisor, &format!("run --rm {runtime} {IMAGE} one echo hi")).ok().out(), "hi");
    assert_eq!(
        supervisor
            .ctr()
            .run(&["run", "--rm", "--runtime", "io.containerd.corten.v2", IMAGE, "two", "sh", "-c", "exit 42"])
            .code,
        42
    );
    let _ = ctr(&supervisor, &format!("run -d {runtime} {IMAGE} three sleep 1000")).ok();
    let before = task(&supervisor, "three");
    supervisor.daemon().kill();
    supervisor.restart(&root);
    assert_eq!(task(&supervisor, "three"), before);
    assert_eq!(ctr(&supervisor, "tasks exec --exec-id e1 three echo again").ok().out(), "again");
    let _ = ctr(&supervisor, "tasks kill -s KILL three").ok();
    wait_for_status(&supervisor, "three", "STOPPED");
    assert!(ctr(&supervisor, "tasks rm three").stderr.contains("exit with non-zero exit code 137"));
    let bundles = supervisor.state().join("io.containerd.runtime.v2.task").join(root.name());
    wait_for("its bundle to be gone", DEADLINE, || names(&bundles).is_empty());
}

#[test]
fn a_bundle_that_an_earlier_task_left_is_in_nobodys_way() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let left = supervisor.state().join("io.containerd.runtime.v2.task").join(root.name()).join("one");
    std::fs::create_dir_all(left.join("rootfs")).expect("writable");
    std::fs::write(left.join("config.json"), "{}").expect("writable");
    assert_eq!(ctr(&supervisor, &format!("run --rm {IMAGE} one echo hi")).ok().out(), "hi");
    assert!(!left.exists());
}
