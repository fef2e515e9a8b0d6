//! One archive in containerd and in our supervisor: the same images, content and snapshots, to the letter.

use integration_tests::{Containerd, Ctr, DEADLINE, Supervisor, TempRoot, busybox, try_for};

const NAME: &str = "example.com/busybox:1";

#[test]
fn a_docker_archive_lists_the_same_in_both() {
    let root = TempRoot::new();
    let archive = busybox::docker_archive_file(&root, &[NAME, "example.com/other:2"]);
    compare(&root, &archive.display().to_string());
}

#[test]
fn an_oci_layout_lists_the_same_in_both() {
    let root = TempRoot::new();
    let archive = busybox::oci_layout_file(&root, NAME);
    compare(&root, &archive.display().to_string());
}

fn compare(root: &TempRoot, archive: &str) {
    let containerd = Containerd::start(root);
    let supervisor = Supervisor::start(root);
    let both = [containerd.ctr(), supervisor.ctr()];
    for ctr in &both {
        let _ = ctr.run(&["images", "import", archive]).ok();
    }
    for listing in [["images", "ls"], ["content", "ls"], ["snapshots", "ls"], ["leases", "ls"], ["namespaces", "ls"]] {
        let lists = || both.each_ref().map(|ctr| listed(ctr, &listing));
        // What only the import needed is collected after its answer, in both.
        let _ = try_for(DEADLINE, || {
            let [theirs, ours] = lists();
            theirs == ours
        });
        let [theirs, ours] = lists();
        assert_eq!(theirs, ours, "ctr {}", listing.join(" "));
    }
}

/// The listing without the column AGE, which is the one thing that may differ; columns are padded with tabs.
fn listed(ctr: &Ctr, listing: &[&str]) -> Vec<String> {
    let text = ctr.run(listing).ok().stdout;
    let cells = |line: &str| -> Vec<String> {
        line.split(['\t', ' ']).filter(|cell| !cell.is_empty()).map(sorted_labels).collect()
    };
    let age = text.lines().next().is_some_and(|header| header.contains("AGE"));
    let mut lines: Vec<String> =
        text.lines().map(|line| cells(&if age { without_age(line) } else { line.to_owned() }).join(" ")).collect();
    // Both list in the order of their database; the order is not part of the interface.
    lines[1..].sort();
    lines
}

/// `a=1,b=2` in the order of the keys: Go prints them in any.
fn sorted_labels(cell: &str) -> String {
    let mut labels: Vec<&str> = cell.split(',').collect();
    labels.sort_unstable();
    labels.join(",")
}

fn without_age(line: &str) -> String {
    let cells: Vec<&str> = line.split('\t').filter(|cell| !cell.is_empty()).collect();
    cells.iter().enumerate().filter(|(number, _)| *number != 2).map(|(_, cell)| *cell).collect::<Vec<_>>().join("\t")
}
