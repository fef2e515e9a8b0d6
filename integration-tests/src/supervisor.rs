//! Our supervisor, on roots of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Ctr, Daemon, Ran, TempRoot, programs};

/// What a test may choose of a [`Supervisor`].
#[derive(Debug, Clone, Default)]
pub struct SupervisorOptions {
    /// More arguments, at the end.
    pub arguments: Vec<String>,
    /// Directories searched for shims and runtimes before ours and the system's.
    pub search_first: Vec<PathBuf>,
}

/// A running corten-supervisor.
#[derive(Debug)]
pub struct Supervisor {
    daemon: Daemon,
    directory: PathBuf,
    namespace: String,
    options: SupervisorOptions,
}

impl Supervisor {
    /// Starts one in `root`, in a directory `supervisor`.
    #[must_use]
    pub fn start(root: &TempRoot) -> Supervisor {
        Supervisor::start_with(root, SupervisorOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start_with(root: &TempRoot, options: SupervisorOptions) -> Supervisor {
        let directory = root.make("supervisor");
        let daemon = spawn(root, &directory, &options);
        Supervisor { daemon, directory, namespace: root.name().to_owned(), options }
    }

    /// Starts it again on the same roots, after a [kill](Daemon::kill).
    pub fn restart(&mut self, root: &TempRoot) {
        self.daemon = spawn(root, &self.directory, &self.options);
    }

    /// Its gRPC socket.
    #[must_use]
    pub fn address(&self) -> PathBuf {
        self.directory.join("s.sock")
    }

    /// Its persistent root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// Where its bundles are.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Debian's ctr on it, in the root's own namespace.
    #[must_use]
    pub fn ctr(&self) -> Ctr {
        Ctr::original(&self.address(), &self.namespace)
    }

    /// Our ctr on it, in the root's own namespace.
    #[must_use]
    pub fn our_ctr(&self) -> Ctr {
        Ctr::ours(&self.address(), &self.namespace)
    }
}

fn spawn(root: &TempRoot, directory: &Path, options: &SupervisorOptions) -> Daemon {
    let first: Vec<&Path> = options.search_first.iter().map(PathBuf::as_path).collect();
    let address = directory.join("s.sock");
    let mut command = Command::new(programs::path("corten-supervisor"));
    command.arg("--root").arg(directory.join("root")).arg("--state").arg(directory.join("state"));
    command.arg("--address").arg(&address).args(["--log-level", "debug"]).args(&options.arguments);
    command.env("PATH", programs::search_path(&first));
    let mut daemon = Daemon::spawn(root, &mut command, &directory.join("log"));
    daemon.wait_for_socket(&address);
    let ctr = Ctr::original(&address, root.name());
    daemon.wait_until_ready("an answer to ctr version", || Ran::of(&mut ctr.command(&["version"])).code == 0);
    daemon
}
