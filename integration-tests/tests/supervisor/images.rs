//! Images, content and snapshots: the same archive looks the same as in containerd.

use integration_tests::{Containerd, Ctr, DEADLINE, Ran, Supervisor, TempRoot, busybox, wait_for};

use crate::{IMAGE, ctr, names, supervisor_with_image, text};

/// `content ls` without the age, labels in order: containerd prints them as Go's maps come.
fn content(ctr: &Ctr) -> Vec<String> {
    let listed = ctr.run(&["content", "ls"]).ok();
    let lines = listed.stdout.lines().map(|line| {
        let columns: Vec<&str> = line.split('\t').filter(|column| !column.is_empty()).collect();
        let mut labels: Vec<&str> = columns.last().unwrap_or(&"").split(',').collect();
        labels.sort_unstable();
        format!("{} {} {}", columns[0], columns[1], labels.join(","))
    });
    lines.collect()
}

#[test]
fn an_archive_looks_the_same_as_in_containerd() {
    let root = TempRoot::new();
    let (ours, theirs) = (Supervisor::start(&root), Containerd::start(&root));
    let (ours, theirs) = (ours.ctr(), theirs.ctr());
    let docker = busybox::docker_archive_file(&root, &["example.com/busybox:docker"]);
    let oci = busybox::oci_layout_file(&root, "example.com/busybox:oci");
    for ctr in [&ours, &theirs] {
        let _ = ctr.run(&["images", "import", text(&docker)]).ok();
        let _ = ctr.run(&["images", "import", text(&oci)]).ok();
    }
    for listing in
        [["images", "ls"], ["snapshots", "ls"], ["snapshots", "tree"], ["leases", "ls"], ["namespaces", "ls"]]
    {
        let of = |ctr: &Ctr| ctr.run(&listing).ok().stdout;
        assert_eq!(of(&ours), of(&theirs), "{listing:?}");
    }
    // The index an import writes is garbage at once; each collects it in its own time.
    wait_for("the same content in both", DEADLINE, || content(&ours) == content(&theirs));
}

#[test]
fn content_is_read_back_as_it_was_written() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let listed = || ctr(&supervisor, "content ls -q").ok().stdout;
    let mut read = 0;
    for digest in listed().lines() {
        let file = supervisor.root().join("io.containerd.content.v1.content/blobs/sha256").join(&digest[7..]);
        let blob = root.join("blob");
        let command = format!("{} content get {digest} > {}", shell(&supervisor), blob.display());
        let status = std::process::Command::new("sh").args(["-c", &command]).status().expect("sh is there");
        // The index that an import writes is garbage at once, and may be collected just now.
        if !status.success() && !listed().contains(digest) {
            continue;
        }
        assert!(status.success(), "{digest}");
        read += 1;
        assert_eq!(std::fs::read(&blob).expect("readable"), std::fs::read(&file).expect("readable"));
    }
    assert!(read > 2, "manifest, configuration and layer were read: {read}");
}

fn shell(supervisor: &Supervisor) -> String {
    let command = supervisor.ctr().command::<&str>(&[]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_removed_image_takes_its_content_and_snapshots_with_it() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let _ = ctr(&supervisor, &format!("images rm --sync {IMAGE}")).ok();
    assert_eq!(ctr(&supervisor, "content ls -q").ok().out(), "");
    assert_eq!(ctr(&supervisor, "snapshots ls").ok().stdout.lines().count(), 1);
    let blobs = supervisor.root().join("io.containerd.content.v1.content/blobs/sha256");
    assert_eq!(names(&blobs), Vec::<String>::new());
    let snapshots = supervisor.root().join("io.containerd.snapshotter.v1.overlayfs/snapshots");
    wait_for("the directories of its snapshots to go", DEADLINE, || names(&snapshots).is_empty());
}

#[test]
fn the_difference_of_a_container_is_what_it_wrote() {
    let root = TempRoot::new();
    let supervisor = supervisor_with_image(&root);
    let ran = supervisor.ctr().run(&["run", IMAGE, "one", "sh", "-c", "echo new > /etc/new; rm /bin/sleep"]);
    let _ = ran.ok();
    let layer = root.join("layer.tar.gz");
    let command = format!("{} snapshots diff one > {}", shell(&supervisor), layer.display());
    let status = std::process::Command::new("sh").args(["-c", &command]).status().expect("sh is there");
    assert!(status.success());
    let listed = Ran::of(std::process::Command::new("tar").args(["tzf", text(&layer)])).ok();
    let mut names: Vec<&str> = listed.stdout.lines().filter(|name| !name.ends_with('/')).collect();
    names.sort_unstable();
    assert_eq!(names, ["bin/.wh.sleep", "etc/new"]);
}

#[test]
fn ingested_content_is_checked_against_its_digest() {
    let root = TempRoot::new();
    let supervisor = Supervisor::start(&root);
    let ingest = |arguments: &[&str], input: &[u8]| {
        let mut command = supervisor.ctr().command(&["content", "ingest"]);
        Ran::with_input(command.args(arguments), input)
    };
    let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let wrong = ingest(&["--expected-digest", digest, "wrong"], b"not abc");
    assert_ne!(wrong.code, 0);
    assert!(wrong.stderr.contains("unexpected commit digest"), "{wrong:?}");
    let _ = ingest(&["--expected-digest", digest, "--expected-size", "3", "right"], b"abc").ok();
    let again = ingest(&["--expected-digest", digest, "again"], b"abc");
    let listed = ctr(&supervisor, "content ls -q").ok();
    assert!(listed.out().is_empty() || listed.out() == digest, "{listed:?} {again:?}");
}
