//! Records: namespaces, containers, leases, in containerd's words.

use integration_tests::{Containerd, Ctr, Ran, Supervisor, TempRoot};

use crate::{IMAGE, import, supervisor_with_image};

/// Runs the same lines on both and compares what they say.
fn check(ours: &Ctr, theirs: &Ctr, lines: &[&[&str]]) {
    for line in lines {
        let (ours, theirs) = (ours.run(line), theirs.run(line));
        assert_eq!(said(&ours), said(&theirs), "{line:?}");
    }
}

fn said(ran: &Ran) -> (i32, Vec<Vec<&str>>, Vec<Vec<&str>>) {
    (ran.code, words(&ran.stdout), words(&ran.stderr))
}

/// The words of an answer, those between commas in order: labels come as Go's maps do,
/// and log lines with the time.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.split_whitespace()
        .filter(|word| !word.starts_with("time="))
        .map(|word| {
            let mut parts: Vec<&str> = word.split(',').collect();
            parts.sort_unstable();
            parts
        })
        .collect()
}

#[test]
fn errors_and_listings_are_containerds() {
    let root = TempRoot::new();
    let (supervisor, containerd) = (supervisor_with_image(&root), Containerd::start(&root));
    import(&containerd.ctr(), &root);
    let name = root.name();
    let lines: &[&[&str]] = &[
        &["namespaces", "create", "x", "a=b"],
        &["namespaces", "create", "x"],
        &["namespaces", "create", "-x-"],
        &["namespaces", "label", "x", "a=", "c=d"],
        &["namespaces", "ls"],
        &["namespaces", "rm", "x"],
        &["namespaces", "rm", "x"],
        &["namespaces", "rm", name],
        &["containers", "create", IMAGE, "one", "true"],
        &["containers", "create", IMAGE, "one", "true"],
        &["containers", "create", IMAGE, "-", "true"],
        &["containers", "create", "nope", "two", "true"],
        &["containers", "label", "one", "k=v"],
        &["containers", "ls"],
        &["containers", "info", "nope"],
        &["containers", "rm", "nope"],
        &["tasks", "kill", "nope"],
        &["tasks", "ls"],
        &["tasks", "start", "nope"],
        &["images", "tag", IMAGE, "copy:1"],
        &["images", "tag", IMAGE, "copy:1"],
        &["images", "label", "copy:1", "k=v"],
        &["images", "ls"],
        &["images", "ls", "name~=busybox"],
        &["images", "ls", "labels.k==v"],
        &["images", "ls", "name==("],
        &["images", "rm", "nope"],
        &["images", "check"],
        &["content", "get", "sha256:0000000000000000000000000000000000000000000000000000000000000000"],
        &["content", "get", "nope"],
        &["content", "rm", "sha256:0000000000000000000000000000000000000000000000000000000000000000"],
        &["snapshots", "rm", "nope"],
        &["snapshots", "info", "nope"],
        &["snapshots", "prepare", "new", "nope"],
        &["snapshots", "prepare", "fresh"],
        &["snapshots", "prepare", "fresh"],
        &["snapshots", "commit", "done", "fresh"],
        &["snapshots", "commit", "done", "fresh"],
        &["snapshots", "prepare", "next", "done"],
        &["snapshots", "rm", "done"],
        &["snapshots", "ls"],
        &["snapshots", "tree"],
        &["snapshots", "usage"],
        &["snapshots", "--snapshotter", "nope", "ls"],
        &["leases", "create", "--id", "l", "a=b"],
        &["leases", "create", "--id", "l"],
        &["leases", "rm", "nope"],
        &["containers", "rm", "one"],
        &["containers", "ls", "-q"],
    ];
    check(&supervisor.ctr(), &containerd.ctr(), lines);
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let root = TempRoot::new();
    let mut supervisor = supervisor_with_image(&root);
    for n in 0..10 {
        let _ = supervisor.ctr().run(&["containers", "create", IMAGE, &format!("c{n}"), "true"]).ok();
    }
    let listings = [["containers", "ls"], ["images", "ls"], ["snapshots", "ls"]];
    let all = |supervisor: &Supervisor| listings.map(|listing| supervisor.ctr().run(&listing).ok().stdout);
    let before = all(&supervisor);
    supervisor.daemon().kill();
    supervisor.restart(&root);
    assert_eq!(all(&supervisor), before);
    assert_eq!(supervisor.ctr().run(&["run", "--rm", IMAGE, "one", "echo", "hi"]).ok().out(), "hi");
}
