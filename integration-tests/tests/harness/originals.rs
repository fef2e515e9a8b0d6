//! Debian's own daemons under the harness.

use std::process::Command;

use integration_tests::{Containerd, DockerCli, Kind, Leaks, Ran, Stack, TempRoot, busybox, programs};

#[test]
fn runc_runs_a_bundle() {
    let root = TempRoot::new();
    let bundle = busybox::bundle(&root, "one", &["sh", "-c", "echo from $(hostname); exit 42"], |_| {});
    let ran = Ran::of(
        Command::new(programs::original("runc"))
            .arg("--root")
            .arg(root.join("state"))
            .args(["run", "--bundle"])
            .arg(&bundle)
            .arg(format!("{}-one", root.name())),
    );
    assert_eq!((ran.code, ran.out()), (42, "from bundle"), "{ran:?}");
}

#[test]
fn containerd_imports_both_archives_and_runs_one() {
    let root = TempRoot::new();
    let containerd = Containerd::start(&root);
    let ctr = containerd.ctr();
    let docker = busybox::docker_archive_file(&root, &["example.com/busybox:1"]);
    let oci = busybox::oci_layout_file(&root, "example.com/busybox:2");
    let _ = ctr.run(&["images", "import", &docker.display().to_string()]).ok();
    let _ = ctr.run(&["images", "import", &oci.display().to_string()]).ok();
    let names = ctr.run(&["images", "ls", "-q"]).ok();
    assert_eq!(names.out(), "example.com/busybox:1\nexample.com/busybox:2");
    let ran = ctr.run(&["run", "--rm", "example.com/busybox:1", "one", "echo", "hi"]);
    assert_eq!((ran.code, ran.out()), (0, "hi"), "{ran:?}");
}

#[test]
fn dockerd_runs_a_loaded_image_and_leaves_nothing() {
    let stack = Stack::start(Kind::Original);
    stack.load_busybox();
    let before = Leaks::of(stack.root());
    for docker in DockerCli::originals(&stack.socket()) {
        let ran = docker.run(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit 42"]);
        assert_eq!(ran.code, 42, "{} {ran:?}", docker.label);
    }
    let after = Leaks::of(stack.root()).since(&before).without_files(|_| true);
    // dockerd keeps its parent cgroups, as ours may.
    assert!(after.counts().mounts == 0 && after.counts().processes == 0, "{after}");
}
