//! kill -9 in the middle of things: nothing acknowledged is lost, nothing is left over.

use std::process::Stdio;

use integration_tests::{DEADLINE, Supervisor, TempRoot, busybox, wait_for};

use crate::{IMAGE, ctr, names, text};

/// Kills it when `count` of the things that an import makes one after the other are there.
#[test]
fn an_import_that_was_cut_short_can_be_repeated() {
    let root = TempRoot::new();
    let archive = busybox::docker_archive_file(&root, &["busybox:test"]);
    let mut supervisor = Supervisor::start(&root);
    let content = supervisor.root().join("io.containerd.content.v1.content");
    let snapshots = supervisor.root().join("io.containerd.snapshotter.v1.overlayfs/snapshots");
    let progress =
        || names(&content.join("ingest")).len() + names(&content.join("blobs/sha256")).len() + names(&snapshots).len();
    let mut in_flight = 0;
    for count in 1..=5 {
        let mut command = supervisor.ctr().command(&["images", "import", text(&archive)]);
        let mut import =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ctr starts");
        wait_for("the import to get there or end", DEADLINE, || progress() >= count || try_wait(&mut import));
        let ended = try_wait(&mut import);
        supervisor.daemon().kill();
        // Otherwise it would wait for the supervisor to come back.
        let _ = import.kill();
        let status = import.wait().expect("our child");
        in_flight += usize::from(!ended);
        supervisor.restart(&root);
        let images = ctr(&supervisor, "images ls -q").ok();
        if status.success() {
            assert_eq!(images.out(), IMAGE, "an acknowledged image is there");
        }
        for image in images.out().lines() {
            let check = ctr(&supervisor, &format!("images check name=={image}")).ok();
            assert!(check.stdout.contains("complete"), "{check:?}");
            let _ = ctr(&supervisor, &format!("images rm --sync {image}")).ok();
        }
        let _ = ctr(&supervisor, "leases ls").ok();
        for lease in ctr(&supervisor, "leases ls -q").ok().out().lines() {
            let _ = ctr(&supervisor, &format!("leases rm --sync {lease}")).ok();
        }
    }
    assert!(in_flight >= 3, "only {in_flight} of 5 kills hit an import");
    let _ = supervisor.ctr().run(&["images", "import", text(&archive)]).ok();
    assert_eq!(ctr(&supervisor, &format!("run --rm {IMAGE} one echo hi")).ok().out(), "hi");
    let _ = ctr(&supervisor, &format!("images rm --sync {IMAGE}")).ok();
    wait_for("everything to be gone", DEADLINE, || {
        names(&content.join("blobs/sha256")).is_empty() && names(&snapshots).is_empty()
    });
}

/// Kills it while containers are created and started; every record agrees with reality afterwards.
#[test]
fn a_run_that_was_cut_short_leaves_what_can_be_removed() {
    let root = TempRoot::new();
    let mut supervisor = crate::supervisor_with_image(&root);
    let bundles = supervisor.state().join("io.containerd.runtime.v2.task").join(root.name());
    for round in 0..5 {
        let id = format!("c{round}");
        let mut command = supervisor.ctr().command(&["run", "-d", IMAGE, &id, "sleep", "1000"]);
        let mut run =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ctr starts");
        let file = ["config.json", "log", "address", "init.pid", "options.json"][round];
        wait_for("the run to get there or end", DEADLINE, || {
            bundles.join(&id).join(file).exists() || try_wait(&mut run)
        });
        supervisor.daemon().kill();
        let _ = run.kill();
        let _ = run.wait();
        supervisor.restart(&root);
        if crate::task(&supervisor, &id).is_some() {
            let _ = ctr(&supervisor, &format!("tasks rm -f {id}"));
        }
        wait_for("the task to be gone", DEADLINE, || crate::task(&supervisor, &id).is_none());
        wait_for("its bundle to be gone", DEADLINE, || names(&bundles).is_empty());
        if ctr(&supervisor, "containers ls -q").ok().out() == id {
            let _ = ctr(&supervisor, &format!("containers rm {id}")).ok();
        }
    }
    assert_eq!(ctr(&supervisor, "containers ls -q").ok().out(), "");
    assert_eq!(ctr(&supervisor, &format!("run --rm {IMAGE} one echo hi")).ok().out(), "hi");
}

fn try_wait(child: &mut std::process::Child) -> bool {
    child.try_wait().is_ok_and(|status| status.is_some())
}
