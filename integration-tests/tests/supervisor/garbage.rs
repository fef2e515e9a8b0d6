//! Garbage collection: what is referred to stays, what is not goes.

use std::{fs, process::Stdio};

use integration_tests::{DEADLINE, ImageFiles, Ran, Supervisor, TempRoot, busybox, docker_archive, wait_for};

use crate::{IMAGE, ctr, names, supervisor_with_image, text};

fn content(supervisor: &Supervisor) -> Vec<String> {
    ctr(supervisor, "content ls -q").ok().out().lines().map(str::to_owned).collect()
}

/// Has garbage collected now: the removal of a lease with --sync does.
fn collect(supervisor: &Supervisor) {
    let _ = ctr(supervisor, "leases create --id now").ok();
    let _ = ctr(supervisor, "leases rm --sync now").ok();
}

#[test]
fn content_that_nothing_refers_to_goes_with_its_file() {
    let root = TempRoot::new();
    let supervisor = Supervisor::start(&root);
    let mut command = supervisor.ctr().command(&["content", "ingest", "ref"]);
    let _ = Ran::with_input(&mut command, b"other").ok();
    wait_for("content without reference to go", DEADLINE, || {
        collect(&supervisor);
        content(&supervisor).is_empty()
    });
    let blobs = supervisor.root().join("io.containerd.content.v1.content/blobs/sha256");
    assert_eq!(names(&blobs), Vec::<String>::new());
}

#[test]
fn an_image_and_a_container_keep_what_they_stand_on() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("containers create {IMAGE} one true")).ok();
    collect(&supervisor);
    let kept = content(&supervisor);
    assert!(kept.len() >= 3, "{kept:?}");
    let _ = ctr(&supervisor, &format!("images rm --sync {IMAGE}")).ok();
    assert_eq!(content(&supervisor), Vec::<String>::new());
    // The container's own snapshot stands on the image's.
    let left = ctr(&supervisor, "snapshots ls").ok().stdout;
    assert_eq!(left.lines().count(), 3, "{left}");
    let _ = ctr(&supervisor, "containers rm one").ok();
    collect(&supervisor);
    assert_eq!(ctr(&supervisor, "snapshots ls").ok().stdout.lines().count(), 1);
}

#[test]
fn a_lease_with_an_end_is_removed_when_it_has_come() {
    let root = TempRoot::new();
    let supervisor = Supervisor::start(&root);
    let _ = ctr(&supervisor, "leases create --id short --expires 1s").ok();
    assert!(ctr(&supervisor, "leases ls -q").ok().stdout.contains("short"));
    wait_for("the lease to end", DEADLINE, || !ctr(&supervisor, "leases ls -q").ok().stdout.contains("short"));
}

#[test]
fn a_blob_shared_by_two_namespaces_goes_with_the_second() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let other = supervisor.ctr().in_namespace(&format!("{}-b", root.name()));
    crate::import(&other, &root);
    let blobs = supervisor.root().join("io.containerd.content.v1.content/blobs/sha256");
    let _ = ctr(&supervisor, &format!("images rm --sync {IMAGE}")).ok();
    assert!(names(&blobs).len() >= 3);
    let run = other.run(&["images", "check"]).ok();
    assert!(run.stdout.contains("complete"), "{run:?}");
    let _ = other.run(&["images", "rm", "--sync", IMAGE]).ok();
    assert_eq!(names(&blobs), Vec::<String>::new());
}

#[test]
fn a_lease_is_kept_through_a_kill() {
    let root = TempRoot::new();
    let mut supervisor = Supervisor::start(&root);
    let _ = ctr(&supervisor, "leases create --id hold").ok();
    supervisor.daemon().kill();
    supervisor.restart(&root);
    assert!(ctr(&supervisor, "leases ls -q").ok().stdout.contains("hold"));
    let _ = ctr(&supervisor, "leases rm --sync hold").ok();
}

#[test]
fn a_snapshot_collected_while_a_layer_is_written_into_it_leaves_nothing() {
    let root = TempRoot::new();
    let supervisor = Supervisor::start(&root);
    let snapshots = supervisor.root().join("io.containerd.snapshotter.v1.overlayfs/snapshots");
    let files: Vec<String> = (0..20_000).map(|number| format!("file-{number}")).collect();
    let layer = busybox::layer_with(&files.iter().map(|name| (name.as_str(), name.as_bytes())).collect::<Vec<_>>());
    let archive = root.path().join("large.tar");
    fs::write(&archive, docker_archive(&ImageFiles::new(layer, &["true"]), &["large:1"])).expect("writes the archive");
    let mut import = supervisor.ctr().command(&["images", "import", text(&archive)]);
    let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts ctr");
    let begun = || names(&snapshots).iter().any(|number| !names(&snapshots.join(number).join("fs")).is_empty());
    wait_for("the layer to be written", DEADLINE, begun);
    import.kill().expect("ends ctr");
    import.wait().expect("ctr has ended");
    for lease in ctr(&supervisor, "leases ls -q").ok().stdout.lines() {
        let _ = ctr(&supervisor, &format!("leases rm --sync {lease}")).ok();
    }
    wait_for("the snapshot's directories to go", DEADLINE, || names(&snapshots).is_empty());
}

#[test]
fn what_a_kill_left_of_a_removal_is_removed_by_the_next_start() {
    let root = TempRoot::new();
    let mut supervisor = Supervisor::start(&root);
    let snapshots = supervisor.root().join("io.containerd.snapshotter.v1.overlayfs/snapshots");
    let _ = ctr(&supervisor, "snapshots prepare kept").ok();
    supervisor.daemon().kill();
    for left in ["rm-70/fs/usr/bin", "new-71/fs", "72/fs/etc"] {
        fs::create_dir_all(snapshots.join(left)).expect("writable");
        fs::write(snapshots.join(left).join("file"), "data").expect("writable");
    }
    supervisor.restart(&root);
    let _ = ctr(&supervisor, "snapshots prepare next").ok();
    wait_for("the left files to go", DEADLINE, || names(&snapshots).len() == 2);
    // Numbers of what is still being removed are not given again.
    assert!(names(&snapshots).contains(&"73".to_owned()), "{:?}", names(&snapshots));
}
