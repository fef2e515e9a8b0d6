//! What the daemons hold: every file below their roots, and every lease.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use integration_tests::{Stack, mounts, try_for};

/// How long the daemons may take to settle and to collect what the kill left half done.
const SETTLE: Duration = Duration::from_secs(30);

/// A look at it.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    files: BTreeSet<PathBuf>,
    leases: BTreeSet<String>,
}

impl Left {
    pub fn look(stack: &Stack) -> Left {
        Left { files: files(stack), leases: leases(stack) }
    }

    /// Waits until nothing is there that was not.
    pub fn assert_nothing_more(&self, stack: &Stack, context: &str) {
        let mut more = Vec::new();
        let is_clean = try_for(SETTLE, || {
            more = self.more(stack);
            more.is_empty()
        });
        assert!(is_clean, "left behind ({context}):\n{}", more.join("\n"));
    }

    fn more(&self, stack: &Stack) -> Vec<String> {
        let more = files(stack);
        let more: Vec<String> = more.difference(&self.files).map(|file| file.display().to_string()).collect();
        if !more.is_empty() {
            return more;
        }
        leases(stack).difference(&self.leases).map(|lease| format!("lease {lease}")).collect()
    }
}

fn leases(stack: &Stack) -> BTreeSet<String> {
    stack.ctr().run(&["leases", "ls", "-q"]).stdout.lines().map(str::to_owned).collect()
}

/// Files of the daemons, and where something is mounted.
fn files(stack: &Stack) -> BTreeSet<PathBuf> {
    let root = stack.root().path();
    let mut files = BTreeSet::new();
    walk(root, &mut files);
    let mounted = mounts().into_iter().map(|mount| mount.target).filter(|target| target.starts_with(root));
    files.extend(mounted.map(|target| Path::new("mounted").join(target.strip_prefix("/").unwrap_or(&target))));
    files
}

/// Everything but logs, the insides of snapshots, and the companions of a database, which come and go with its writer.
fn walk(directory: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "logs" || name == "fs" || name.ends_with("-wal") || name.ends_with("-shm") {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, files);
        }
        files.insert(path);
    }
}
