//! A dockerd of another distribution, from a directory that is a root of its own: what is recorded of it is what ours is
//! compared with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Daemon, EngineApi, PrivateNetwork, TempRoot};

/// A running dockerd with the containerd it starts, in a root directory and a network namespace of its own.
#[derive(Debug)]
pub struct DockerPeer {
    _daemon: Daemon,
    directory: PathBuf,
}

impl DockerPeer {
    /// Starts the dockerd that is in `peer_root`, all its files in `root`, with its network in `network`.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start(root: &TempRoot, peer_root: &Path, network: &PrivateNetwork, arguments: &[&str]) -> DockerPeer {
        let directory = root.make("dockerd");
        fs::write(directory.join("daemon.json"), "{}\n").expect("the root is writable");
        // Its mounts go with its last process, for they are in a mount namespace of their own.
        let script = "mount --make-rprivate / && mount --bind \"$PEER\" \"$PEER\" && mount -t proc proc \"$PEER/proc\" && \
                      mount --rbind /sys \"$PEER/sys\" && mount --rbind /dev \"$PEER/dev\" && \
                      mount -t tmpfs tmpfs \"$PEER/run\" && mkdir -p \"$PEER$FILES\" && \
                      mount --rbind \"$FILES\" \"$PEER$FILES\" && exec chroot \"$PEER\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", script, "sh", "dockerd"]);
        command.env("PEER", peer_root).env("FILES", root.path()).env("DOCKER_RAMDISK", "1");
        command.arg("--host").arg(format!("unix://{}", directory.join("d.sock").display()));
        command.arg("--data-root").arg(directory.join("data")).arg("--exec-root").arg(directory.join("exec"));
        command.arg("--pidfile").arg(directory.join("pid")).arg("--config-file").arg(directory.join("daemon.json"));
        command.args(["--containerd-namespace", root.name(), "--cgroup-parent", &root.cgroup_parent()]);
        command.args(["--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"]).args(arguments);
        let mut daemon = network.enter(|| Daemon::spawn(root, &mut command, &directory.join("log")));
        daemon.wait_for_ping(&directory.join("d.sock"));
        DockerPeer { _daemon: daemon, directory }
    }

    /// Its Engine API.
    #[must_use]
    pub fn api(&self) -> EngineApi {
        EngineApi::new(&self.socket())
    }

    /// The socket of its API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("d.sock")
    }
}
