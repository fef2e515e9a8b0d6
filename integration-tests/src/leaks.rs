//! Counting what is there, to show that nothing was left behind.

use std::{collections::BTreeSet, fmt, fs, os::unix::fs::MetadataExt, path::Path};

use crate::{TempRoot, cgroups, mounts, processes};

/// Where files are looked for: what container programs write to when they are told nothing else.
const WATCHED: [&str; 8] = ["/run", "/tmp", "/var/lib", "/var/log", "/var/tmp", "/dev/shm", "/dev/mqueue", "/etc/cni"];
/// How deep below a watched directory; a containerd bundle is eight deep.
const DEPTH: usize = 16;

/// Everything that carries certain marks: the name of a [`TempRoot`], ids of containers.
///
/// The marks are random, so tests that run beside this one are not seen, and nothing else on the machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaks {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    netns: BTreeSet<String>,
    processes: BTreeSet<String>,
    files: BTreeSet<String>,
}

/// How many of each there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Mounts in this mount namespace.
    pub mounts: usize,
    /// Directories in any cgroup hierarchy.
    pub cgroups: usize,
    /// Network namespaces other than this process's: held by a process or by a mount.
    pub netns: usize,
    /// Processes.
    pub processes: usize,
    /// Files, directories, sockets and fifos.
    pub files: usize,
}

impl Leaks {
    /// What there is now for `root`.
    #[must_use]
    pub fn of(root: &TempRoot) -> Leaks {
        Leaks::marked(&[root.name()])
    }

    /// What there is now with any of `marks` in its name, path, arguments or environment.
    #[must_use]
    pub fn marked(marks: &[&str]) -> Leaks {
        let mut found = Leaks::default();
        for mark in marks {
            found.collect(mark);
        }
        found
    }

    /// What is here now and was not `before`.
    #[must_use]
    pub fn since(&self, before: &Leaks) -> Leaks {
        let new = |now: &BTreeSet<String>, before: &BTreeSet<String>| now.difference(before).cloned().collect();
        Leaks {
            mounts: new(&self.mounts, &before.mounts),
            cgroups: new(&self.cgroups, &before.cgroups),
            netns: new(&self.netns, &before.netns),
            processes: new(&self.processes, &before.processes),
            files: new(&self.files, &before.files),
        }
    }

    /// The same without the files for which `ignore` holds: logs that grow, a database's journal.
    #[must_use]
    pub fn without_files(mut self, ignore: impl Fn(&str) -> bool) -> Leaks {
        self.files.retain(|file| !ignore(file));
        self
    }

    /// How many of each.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            mounts: self.mounts.len(),
            cgroups: self.cgroups.len(),
            netns: self.netns.len(),
            processes: self.processes.len(),
            files: self.files.len(),
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Leaks::default()
    }

    fn collect(&mut self, mark: &str) {
        for mount in mounts() {
            let target = mount.target.to_string_lossy().into_owned();
            if [&target, &mount.root, &mount.source, &mount.options].iter().any(|text| text.contains(mark)) {
                if mount.fstype == "nsfs" && mount.root.starts_with("net:") {
                    self.netns.insert(mount.root.clone());
                }
                self.mounts.insert(format!("{} at {target}", mount.fstype));
            }
        }
        self.cgroups.extend(cgroups::marked(mark).iter().map(|path| path.display().to_string()));
        let own = net_namespace("self");
        for process in processes::marked(mark) {
            let namespace = net_namespace(&process.pid.to_string());
            if namespace != own {
                self.netns.extend(namespace);
            }
            self.processes.insert(format!("{} {} {}", process.pid, process.name, process.arguments.join(" ")));
        }
        for root in WATCHED {
            self.collect_files(Path::new(root), mark, DEPTH);
        }
    }

    /// Files below `directory` with `mark` in their path; foreign file systems (a mounted rootfs) are not entered.
    fn collect_files(&mut self, directory: &Path, mark: &str, depth: usize) {
        let Ok(device) = fs::metadata(directory).map(|metadata| metadata.dev()) else { return };
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.to_string_lossy().contains(mark) {
                self.files.insert(path.display().to_string());
            }
            let same = entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.dev() == device);
            if same && depth > 0 {
                self.collect_files(&path, mark, depth - 1);
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { mounts, cgroups, netns, processes, files } = self;
        write!(formatter, "mounts {mounts}, cgroups {cgroups}, netns {netns}, processes {processes}, files {files}")
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.counts())?;
        let kinds = [
            ("mount", &self.mounts),
            ("cgroup", &self.cgroups),
            ("netns", &self.netns),
            ("process", &self.processes),
            ("file", &self.files),
        ];
        for (kind, entries) in kinds {
            for entry in entries {
                write!(formatter, "\n  {kind} {entry}")?;
            }
        }
        Ok(())
    }
}

fn net_namespace(process: &str) -> Option<String> {
    let target = fs::read_link(format!("/proc/{process}/ns/net")).ok()?;
    Some(target.to_string_lossy().into_owned())
}
