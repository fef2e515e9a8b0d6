//! Debian's containerd, on roots of its own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Daemon, Ran, TempRoot, programs};

/// What a test may choose of a [`Containerd`].
#[derive(Debug, Clone, Default)]
pub struct ContainerdOptions {
    /// Directories searched for shims and runtimes before ours and the system's.
    pub search_first: Vec<PathBuf>,
}

/// A running containerd without CRI.
#[derive(Debug)]
pub struct Containerd {
    daemon: Daemon,
    directory: PathBuf,
    namespace: String,
    config: PathBuf,
    options: ContainerdOptions,
}

impl Containerd {
    /// Starts one in `root`, in a directory `containerd`.
    #[must_use]
    pub fn start(root: &TempRoot) -> Containerd {
        Containerd::start_with(root, ContainerdOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start_with(root: &TempRoot, options: ContainerdOptions) -> Containerd {
        let directory = root.make("containerd");
        let config = directory.join("config.toml");
        fs::write(&config, configuration(&directory)).expect("the root is writable");
        let daemon = spawn(root, &directory, &config, &options);
        Containerd { daemon, directory, namespace: root.name().to_owned(), config, options }
    }

    /// Starts it again on the same roots, after a [kill](Daemon::kill).
    pub fn restart(&mut self, root: &TempRoot) {
        self.daemon = spawn(root, &self.directory, &self.config, &self.options);
    }

    /// Its gRPC socket.
    #[must_use]
    pub fn address(&self) -> PathBuf {
        self.directory.join("s.sock")
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Where its bundles are.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Debian's ctr on it, in the root's own namespace.
    #[must_use]
    pub fn ctr(&self) -> Ctr {
        Ctr::original(&self.address(), &self.namespace)
    }
}

/// A `ctr`, Debian's or ours, on one address and namespace.
#[derive(Debug, Clone)]
pub struct Ctr {
    program: PathBuf,
    address: PathBuf,
    namespace: String,
}

impl Ctr {
    /// Debian's.
    #[must_use]
    pub fn original(address: &Path, namespace: &str) -> Ctr {
        Ctr { program: programs::original("ctr"), address: address.to_owned(), namespace: namespace.to_owned() }
    }

    /// Ours.
    #[must_use]
    pub fn ours(address: &Path, namespace: &str) -> Ctr {
        Ctr { program: programs::path("corten-ctr"), address: address.to_owned(), namespace: namespace.to_owned() }
    }

    /// The same in another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Ctr {
        Ctr { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// The command, to be changed further.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--address").arg(&self.address).args(["--namespace", &self.namespace]).args(arguments);
        command
    }

    /// Runs it to its end.
    #[track_caller]
    #[must_use]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }
}

fn spawn(root: &TempRoot, directory: &Path, config: &Path, options: &ContainerdOptions) -> Daemon {
    let first: Vec<&Path> = options.search_first.iter().map(PathBuf::as_path).collect();
    let mut command = Command::new(programs::original("containerd"));
    command.arg("--config").arg(config).env("PATH", programs::search_path(&first));
    let mut daemon = Daemon::spawn(root, &mut command, &directory.join("log"));
    let ctr = Ctr::original(&directory.join("s.sock"), root.name());
    daemon.wait_for_socket(&directory.join("s.sock"));
    // The socket listens before the services are there.
    daemon.wait_until_ready("an answer to ctr version", || Ran::of(&mut ctr.command(&["version"])).code == 0);
    daemon
}

fn configuration(directory: &Path) -> String {
    let at = |name: &str| directory.join(name).display().to_string();
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{address}"
[ttrpc]
  address = "{address}.ttrpc"
"#,
        root = at("root"),
        state = at("state"),
        address = at("s.sock"),
    )
}
