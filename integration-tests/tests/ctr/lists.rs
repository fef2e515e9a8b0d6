//! Tables and records.

use integration_tests::{DEADLINE, wait_for};

use crate::{Host, IMAGE};

#[test]
fn tables_are_the_originals_bytes() {
    for host in Host::both() {
        let _ = host.ours.run(&["containers", "create", "--label", "a=b", "--env", "A=1", IMAGE, "one", "true"]).ok();
        let _ = host.ours.run(&["leases", "create", "--id", "held", "made=here"]).ok();
        let _ = host.ours.run(&["namespaces", "create", "other", "k=v"]).ok();
        let _ = host.ours.run(&["snapshots", "prepare", "free"]).ok();
        for arguments in [
            &["images", "ls"][..],
            &["image", "ls", "-q"],
            &["i", "ls", &format!("name=={IMAGE}")],
            &["images", "check"],
            &["images", "check", "-q"],
            &["content", "ls", "-q"],
            &["content", "active"],
            &["snapshots", "ls"],
            &["snapshots", "tree"],
            &["snapshots", "usage"],
            &["snapshots", "usage", "-b"],
            &["snapshots", "info", "one"],
            &["snapshots", "mounts", "/target", "one"],
            &["leases", "ls"],
            &["leases", "ls", "-q"],
            &["namespaces", "ls"],
            &["ns", "ls", "-q"],
            &["containers", "ls"],
            &["c", "ls", "-q"],
            &["c", "ls", "id==one"],
            &["c", "info", "--spec", "one"],
            &["c", "info", "one"],
            &["tasks", "ls"],
            &["plugins", "ls"],
            &["plugins", "ls", "-q"],
        ] {
            host.assert_same(arguments);
        }
        let _ = host.ours.run(&["containers", "rm", "one"]).ok();
        let _ = host.ours.run(&["snapshots", "rm", "free"]).ok();
        let _ = host.ours.run(&["namespaces", "rm", "other"]).ok();
    }
}

#[test]
fn content_lists_differ_only_in_the_order_of_labels() {
    let host = Host::containerd();
    let sorted = |text: &str| -> Vec<String> {
        let line = |line: &str| {
            let mut parts: Vec<&str> = line.split([',', '\t']).collect();
            parts.sort_unstable();
            parts.join("\t")
        };
        text.lines().map(line).collect()
    };
    let original = host.original.run(&["content", "ls"]).ok().stdout;
    let ours = host.ours.run(&["content", "ls"]).ok().stdout;
    assert_eq!(sorted(&ours), sorted(&original));
    let widths = |text: &str| text.lines().map(|line| line.matches('\t').count()).collect::<Vec<_>>();
    assert_eq!(widths(&ours), widths(&original));
}

#[test]
fn blobs_go_in_and_out() {
    /// Keeps the blob, which nothing refers to, from the collection that each daemon makes soon after its start.
    const ROOT: &str = "containerd.io/gc.root=kept";
    for host in Host::both() {
        let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        // Until it has the label, that collection may take it.
        wait_for("the blob to be in and labelled", DEADLINE, || {
            let mut ingest = host.ours.command(&["content", "ingest", "--expected-digest", digest, "greeting"]);
            let _ = integration_tests::Ran::with_input(&mut ingest, b"hello").ok();
            host.ours.run(&["content", "label", digest, ROOT]).stdout == format!("{ROOT}\n")
        });
        assert_eq!(host.ours.run(&["content", "get", digest]).ok().stdout, "hello");
        // Without labels the command clears them, so the two clients cannot be compared on one blob.
        let mut wrong = host.ours.command(&["content", "ingest", "--expected-digest", digest, "another"]);
        assert_eq!(
            integration_tests::Ran::with_input(&mut wrong, b"else").code,
            0,
            "a blob that is there is not written"
        );
        assert_eq!(host.ours.run(&["content", "rm", digest]).ok().out(), digest);
        let other = format!("sha256:{}", "0".repeat(64));
        let mut wrong = host.ours.command(&["content", "ingest", "--expected-digest", &other, "another"]);
        let wrong = integration_tests::Ran::with_input(&mut wrong, b"else").code(1);
        assert!(wrong.stderr.contains("failed precondition"), "{}", wrong.stderr);
    }
}

#[test]
fn events_are_the_originals_lines() {
    use std::io::{BufRead, BufReader};
    let host = Host::containerd();
    let follow = |ctr: &integration_tests::Ctr| {
        let mut child = ctr.command(&["events"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    };
    let (mut first, original) = follow(&host.original);
    let (mut second, ours) = follow(&host.ours);
    // Both listen once a change has reached both: made again until then.
    let seen = |lines: &mut dyn Iterator<Item = std::io::Result<String>>, topic: &str| {
        lines.map(Result::unwrap).find(|line| line.contains(topic)).unwrap()
    };
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let ctr = host.ours.clone();
    let maker = std::thread::spawn(move || {
        let mut number = 0;
        while stopped.recv_timeout(std::time::Duration::from_millis(50))
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            let key = format!("key-{number}");
            let _ = ctr.run(&["snapshots", "prepare", &key]).ok();
            number += 1;
        }
        let _ = ctr.run(&["containers", "create", "--label", "a=b", IMAGE, "last", "true"]).ok();
        let _ = ctr.run(&["containers", "rm", "last"]).ok();
    });
    let (mut original, mut ours) = (original, ours);
    seen(&mut original, "/snapshot/prepare");
    seen(&mut ours, "/snapshot/prepare");
    stop.send(()).unwrap();
    maker.join().unwrap();
    for topic in ["/containers/create", "/snapshot/remove", "/containers/delete"] {
        assert_eq!(seen(&mut ours, topic), seen(&mut original, topic));
    }
    for child in [&mut first, &mut second] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
