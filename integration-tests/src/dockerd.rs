//! Debian's dockerd, on roots of its own and on a containerd a test chose.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Daemon, TempRoot, programs};

/// What a test may choose of a [`Dockerd`].
#[derive(Debug, Clone, Default)]
pub struct DockerdOptions {
    /// More arguments, at the end.
    pub arguments: Vec<String>,
    /// Directories searched for programs before ours and the system's.
    pub search_first: Vec<PathBuf>,
    /// Where it has its network.
    pub network: DockerdNetwork,
}

/// Where a [`Dockerd`] has its network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DockerdNetwork {
    /// It has none: no bridge and no firewall rules.
    #[default]
    None,
    /// Bridge, firewall rules and ports as it likes, in a network namespace of its own
    /// ([`in_network_of`](crate::in_network_of) its process).
    Private,
}

/// A running dockerd: cgroup parent, containerd namespace and, if any, network of its own.
#[derive(Debug)]
pub struct Dockerd {
    daemon: Daemon,
    directory: PathBuf,
    containerd: PathBuf,
    options: DockerdOptions,
}

impl Dockerd {
    /// Starts one in `root` on the containerd (or supervisor) at `containerd`.
    #[must_use]
    pub fn start(root: &TempRoot, containerd: &Path) -> Dockerd {
        Dockerd::start_with(root, containerd, DockerdOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start_with(root: &TempRoot, containerd: &Path, options: DockerdOptions) -> Dockerd {
        let directory = root.make("dockerd");
        // Containers of ours always survive the engine; the original's do when told to.
        fs::write(directory.join("daemon.json"), "{\"live-restore\": true}\n").expect("the root is writable");
        let daemon = spawn(root, &directory, containerd, &options);
        Dockerd { daemon, directory, containerd: containerd.to_owned(), options }
    }

    /// Starts it again on the same roots, after a [kill](Daemon::kill).
    pub fn restart(&mut self, root: &TempRoot) {
        // dockerd refuses to start when its pid file names a living process, and ids come round again.
        let _ = fs::remove_file(self.directory.join("pid"));
        self.daemon = spawn(root, &self.directory, &self.containerd, &self.options);
    }

    /// The socket of its API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("d.sock")
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

fn spawn(root: &TempRoot, directory: &Path, containerd: &Path, options: &DockerdOptions) -> Daemon {
    let first: Vec<&Path> = options.search_first.iter().map(PathBuf::as_path).collect();
    let socket = directory.join("d.sock");
    let mut command = match options.network {
        DockerdNetwork::None => Command::new(programs::original("dockerd")),
        DockerdNetwork::Private => {
            let mut command = Command::new("unshare");
            command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
            command.arg(programs::original("dockerd"));
            command
        }
    };
    command.arg("--host").arg(format!("unix://{}", socket.display()));
    command.arg("--data-root").arg(directory.join("data")).arg("--exec-root").arg(directory.join("exec"));
    command.arg("--pidfile").arg(directory.join("pid")).arg("--config-file").arg(directory.join("daemon.json"));
    command.arg("--containerd").arg(containerd).args(["--containerd-namespace", root.name()]);
    command.arg("--containerd-plugins-namespace").arg(format!("plugins-{}", root.name()));
    if options.network == DockerdNetwork::None {
        command.args(["--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--ip-forward=false", "--ip-masq=false"]);
    }
    command.args(["--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"]);
    command.args(["--cgroup-parent", &root.cgroup_parent()]).args(&options.arguments);
    // Its untar child pivots instead of remounting "/", which need not be a mount point here.
    command.env("DOCKER_RAMDISK", "1").env("PATH", programs::search_path(&first));
    let mut daemon = Daemon::spawn(root, &mut command, &directory.join("log"));
    daemon.wait_for_ping(&socket);
    daemon
}
