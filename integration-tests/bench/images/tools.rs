//! Everybody who loads, saves, pulls and pushes, and how each is told to.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use integration_tests::{Ctr, DEADLINE, DockerCli, Ran, Stack, programs, wait_for};

use super::cost::{Cost, cold};

/// What a loaded archive is called.
const LOADED: &str = "measured:1";

/// One of those that are compared.
pub struct Tool {
    pub name: &'static str,
    /// The processes that work for it beside the command.
    pub daemons: Vec<u32>,
    client: Client,
}

enum Client {
    Docker(DockerCli),
    Ctr(Ctr),
    Podman(Podman),
}

/// Ours first, then docker, containerd and podman.
pub fn all(ours: &mut Stack, theirs: &mut Stack, podman: PathBuf) -> [Tool; 4] {
    let own = vec![ours.engine_pid(), ours.supervisor_pid()];
    let (dockerd, containerd) = (theirs.engine_pid(), theirs.supervisor_pid());
    [
        Tool { name: "ours", daemons: own, client: Client::Docker(ours.docker()) },
        Tool { name: "docker", daemons: vec![dockerd, containerd], client: Client::Docker(theirs.docker()) },
        Tool { name: "containerd", daemons: vec![containerd], client: Client::Ctr(theirs.ctr()) },
        Tool { name: "podman", daemons: Vec::new(), client: Client::Podman(Podman(podman)) },
    ]
}

impl Tool {
    /// Measures `work` of this tool.
    pub fn cold(&self, work: impl FnOnce(&Tool)) -> Cost {
        cold(&self.daemons, || work(self))
    }

    /// Loads an archive.
    pub fn load(&self, archive: &Path) {
        let file = text(archive);
        match &self.client {
            Client::Docker(docker) => run(docker.run(&["load", "--input", file])),
            Client::Ctr(ctr) => run(ctr.run(&["images", "import", file])),
            Client::Podman(podman) => podman.run(&["load", "--input", file]),
        }
    }

    /// Saves what was loaded.
    pub fn save(&self, file: &Path) {
        let file = text(file);
        match &self.client {
            Client::Docker(docker) => run(docker.run(&["save", "--output", file, LOADED])),
            Client::Ctr(ctr) => run(ctr.run(&["images", "export", file, &in_full(LOADED)])),
            Client::Podman(podman) => podman.run(&["save", "--output", file, LOADED]),
        }
    }

    /// Gives what was loaded, or `image`, another name; ctr and podman push by the old one.
    pub fn tag(&self, image: &str, name: &str) {
        if let Client::Docker(docker) = &self.client {
            run(docker.run(&["tag", image, name]));
        }
    }

    /// Pushes `image`, which was [tagged](Tool::tag), to where `name` says.
    pub fn push(&self, image: &str, name: &str) {
        match &self.client {
            Client::Docker(docker) => run(docker.run(&["push", name])),
            Client::Ctr(ctr) => run(ctr.run(&["images", "push", "--plain-http", name, &in_full(image)])),
            Client::Podman(podman) => podman.run(&["push", "--tls-verify=false", image, name]),
        }
    }

    /// Pulls `name`.
    pub fn pull(&self, name: &str) {
        match &self.client {
            Client::Docker(docker) => run(docker.run(&["pull", name])),
            Client::Ctr(ctr) => run(ctr.run(&["images", "pull", "--plain-http", name])),
            Client::Podman(podman) => podman.run(&["pull", "--tls-verify=false", name]),
        }
    }

    /// Removes every image it has, and with them whatever made the next turn shorter.
    pub fn remove_all(&self) {
        match &self.client {
            Client::Docker(docker) => {
                let ids = docker.run(&["images", "--quiet", "--no-trunc"]).ok();
                let ids: BTreeSet<&str> = ids.stdout.lines().collect();
                for id in ids {
                    run(docker.run(&["rmi", "--force", id]));
                }
            }
            Client::Ctr(ctr) => {
                let names = ctr.run(&["images", "ls", "--quiet"]).ok();
                for name in names.stdout.lines() {
                    run(ctr.run(&["images", "rm", "--sync", name]));
                }
            }
            Client::Podman(podman) => podman.run(&["rmi", "--all", "--force"]),
        }
        wait_for("files of removed layers to be gone", DEADLINE, || !self.daemons.iter().any(|pid| removes(*pid)));
    }
}

/// Whether a daemon of ours removes files behind its answer: it has a thread for that, as long as there are some.
fn removes(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .map(|thread| thread.path().join("comm"))
        .any(|comm| fs::read_to_string(comm).is_ok_and(|name| name.trim() == "removal"))
}

/// Waits until nothing is left of removed images, compressed layers above all.
pub fn wait_until_empty(store: &Ctr) {
    wait_for("content of removed images to be gone", DEADLINE, || {
        store.run(&["content", "ls", "--quiet"]).ok().out().is_empty()
    });
}

/// The name as containerd has it.
fn in_full(name: &str) -> String {
    let has_host = name.split('/').next().is_some_and(|first| first.contains([':', '.']) && first != name);
    if has_host { name.to_owned() } else { format!("docker.io/library/{name}") }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("roots have plain names")
}

#[track_caller]
fn run(ran: Ran) {
    let _ = ran.ok();
}

/// Podman without a service, on roots of its own.
struct Podman(PathBuf);

impl Podman {
    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new(programs::original("podman"));
        command.arg("--root").arg(self.0.join("root")).arg("--runroot").arg(self.0.join("run"));
        run(Ran::of(command.args(["--storage-driver", "overlay"]).args(arguments)));
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // It leaves its own storage mounted.
        let _ = Command::new("umount").arg(self.0.join("root/overlay")).stderr(Stdio::null()).status();
    }
}
