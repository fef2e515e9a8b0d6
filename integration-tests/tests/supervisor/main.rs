//! The supervisor under the originals' own neighbours: Debian's `ctr` drives it, Debian's shim and
//! runc run what it creates, and Debian's containerd beside it says what is right.

mod adoption;
mod events;
mod garbage;
mod images;
mod kills;
mod records;
mod start;
mod tasks;
mod transfer;

use std::path::Path;

use integration_tests::{Ctr, DEADLINE, Ran, Supervisor, TempRoot, busybox, wait_for};

/// The image that [`supervisor_with_image`] imports.
const IMAGE: &str = "docker.io/library/busybox:test";

/// A supervisor that has busybox.
fn supervisor_with_image(root: &TempRoot) -> Supervisor {
    let supervisor = Supervisor::start(root);
    import(&supervisor.ctr(), root);
    supervisor
}

fn import(ctr: &Ctr, root: &TempRoot) {
    let archive = busybox::docker_archive_file(root, &["busybox:test"]);
    let _ = ctr.run(&["images", "import", text(&archive)]).ok();
}

fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are ASCII")
}

/// Runs ctr with words separated by spaces.
#[track_caller]
fn ctr(supervisor: &Supervisor, line: &str) -> Ran {
    let words: Vec<&str> = line.split(' ').collect();
    supervisor.ctr().run(&words)
}

/// Status and pid of a task as `tasks ls` tells them.
fn task(supervisor: &Supervisor, id: &str) -> Option<(String, u32)> {
    let listed = ctr(supervisor, "tasks ls").ok();
    let line = listed.stdout.lines().find(|line| line.split_whitespace().next() == Some(id))?.to_owned();
    let mut columns = line.split_whitespace().skip(1);
    let pid = columns.next()?.parse().ok()?;
    Some((columns.next()?.to_owned(), pid))
}

#[track_caller]
fn wait_for_status(supervisor: &Supervisor, id: &str, status: &str) {
    let what = format!("task {id} to be {status}");
    wait_for(&what, DEADLINE, || task(supervisor, id).is_some_and(|(found, _)| found == status));
}

/// Names in a directory, sorted; none when it does not exist.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
