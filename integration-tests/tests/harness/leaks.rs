//! A count that is never anything but 0 proves nothing: each kind is planted and seen.

use std::{fs, process::Command};

use integration_tests::{Counts, DEADLINE, Leaks, Ran, TempRoot, cgroups, wait_for};

#[test]
fn each_kind_of_leak_is_counted_and_taken_away() {
    let root = TempRoot::new();
    let before = Leaks::of(&root);

    let directory = root.make("planted");
    let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&directory).status().expect("mount exists");
    assert!(mount.success());
    for hierarchy in cgroups::hierarchies() {
        // Some hierarchies (a bare v2 beside v1) may refuse children; the count below asks for one only.
        let _ = fs::create_dir(hierarchy.join(root.name()));
    }
    let mut child = Command::new("unshare")
        .args(["--net", "sleep", "1000"])
        .current_dir(root.path())
        .spawn()
        .expect("unshare exists");
    wait_for("the planted process to have its own network namespace", DEADLINE, || {
        Leaks::of(&root).since(&before).counts().netns == 1
    });

    let after = Leaks::of(&root).since(&before);
    let counts = after.counts();
    assert_eq!(
        Counts { cgroups: 1, ..counts },
        Counts { mounts: 1, cgroups: 1, netns: 1, processes: 1, files: 1 },
        "{after}"
    );
    assert!(counts.cgroups > 0, "{after}");

    assert_eq!(root.clean(), Vec::<String>::new());
    let _ = child.wait();
    fs::remove_dir(&directory).expect("it is no longer a mount");
    let after = Leaks::of(&root).since(&before);
    assert!(after.is_empty(), "{after}");
}

#[test]
fn a_dropped_root_takes_its_processes_along() {
    let root = TempRoot::new();
    let mark = root.name().to_owned();
    let mut child = Command::new("sleep").arg("1000").current_dir(root.path()).spawn().expect("sleep exists");
    drop(root);
    assert_eq!(Leaks::marked(&[&mark]), Leaks::default());
    let ended = child.wait().expect("it is ours");
    assert!(!ended.success());
    assert_eq!(Ran::of(Command::new("test").args(["-e", &format!("/tmp/{mark}")])).code, 1);
}
