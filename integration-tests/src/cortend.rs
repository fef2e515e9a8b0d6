//! Our engine, on roots of its own, with a supervisor it starts or a containerd a test chose.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Daemon, PrivateNetwork, TempRoot, programs, send_signal, sh};

/// What a test may choose of a [`Cortend`].
#[derive(Debug, Clone, Default)]
pub struct CortendOptions {
    /// The containerd or supervisor to use; cortend starts a supervisor of its own when there is none.
    pub containerd: Option<PathBuf>,
    /// More arguments, at the end.
    pub arguments: Vec<String>,
    /// Directories searched for programs before ours and the system's.
    pub search_first: Vec<PathBuf>,
    /// The directory our programs are taken from, when not the tests' own: each finds the others beside itself.
    pub programs: Option<PathBuf>,
    /// Where it has its network.
    pub network: CortendNetwork,
}

/// Where a [`Cortend`] has its network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CortendNetwork {
    /// No default bridge: it makes nothing in the machine's network, which tests share.
    #[default]
    None,
    /// Everything as it likes, in a [`PrivateNetwork`], which lasts as long as the value.
    Private,
    /// The same, after this script has run there.
    Prepared(&'static str),
}

/// A running cortend.
#[derive(Debug)]
pub struct Cortend {
    daemon: Daemon,
    directory: PathBuf,
    options: CortendOptions,
    network: Option<PrivateNetwork>,
}

impl Cortend {
    /// Starts one in `root`, in a directory `cortend`, with a supervisor of its own.
    #[must_use]
    pub fn start(root: &TempRoot) -> Cortend {
        Cortend::start_with(root, CortendOptions::default())
    }

    /// Starts one with `options`.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start_with(root: &TempRoot, options: CortendOptions) -> Cortend {
        let directory = root.make("cortend");
        let network = match options.network {
            CortendNetwork::None => None,
            CortendNetwork::Private => Some(PrivateNetwork::new()),
            CortendNetwork::Prepared(script) => {
                let network = PrivateNetwork::new();
                drop(network.enter(|| sh(script)));
                Some(network)
            }
        };
        let daemon = spawn(root, &directory, &options, network.as_ref());
        Cortend { daemon, directory, options, network }
    }

    /// Starts it again on the same roots, after a [kill](Daemon::kill).
    pub fn restart(&mut self, root: &TempRoot) {
        self.daemon = spawn(root, &self.directory, &self.options, self.network.as_ref());
    }

    /// Its own network namespace.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn network(&self) -> &PrivateNetwork {
        self.network.as_ref().expect("the test has chosen a private network")
    }

    /// The socket of its API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("d.sock")
    }

    /// Its data root.
    #[must_use]
    pub fn data_root(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Its exec root.
    #[must_use]
    pub fn exec_root(&self) -> PathBuf {
        self.directory.join("exec")
    }

    /// Where it looks for the system's message bus. Nobody is there unless the test sees to it.
    #[must_use]
    pub fn system_bus(&self) -> PathBuf {
        self.directory.join("bus/socket")
    }

    /// The socket of the containerd or supervisor it uses.
    #[must_use]
    pub fn containerd_address(&self) -> PathBuf {
        self.options.containerd.clone().unwrap_or_else(|| self.exec_root().join("supervisor/s.sock"))
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// The process id of the supervisor it started, if one runs.
    #[must_use]
    pub fn supervisor_pid(&self) -> Option<u32> {
        let address = self.containerd_address().display().to_string();
        let supervisor = crate::processes().into_iter().find(|process| {
            process.name.starts_with("corten-supervis") && process.arguments.contains(&address) && process.state != 'Z'
        });
        supervisor.map(|process| process.pid)
    }

    /// `kill -9` of cortend and of the supervisor it started, at once.
    pub fn kill_both(&mut self) {
        let supervisor = self.supervisor_pid();
        // The engine first, or it would start the supervisor again.
        self.daemon.kill();
        if let Some(pid) = supervisor.or_else(|| self.supervisor_pid()) {
            let _ = send_signal(pid, "KILL");
        }
        crate::wait_for("the supervisor to be gone", crate::DEADLINE, || self.supervisor_pid().is_none());
    }
}

fn spawn(root: &TempRoot, directory: &Path, options: &CortendOptions, network: Option<&PrivateNetwork>) -> Daemon {
    let first: Vec<&Path> = options.search_first.iter().map(PathBuf::as_path).collect();
    let socket = directory.join("d.sock");
    let program = match &options.programs {
        Some(programs) => programs.join("cortend"),
        None => programs::path("cortend"),
    };
    let mut command = Command::new(program);
    command.arg("-H").arg(format!("unix://{}", socket.display()));
    command.arg("--data-root").arg(directory.join("data")).arg("--exec-root").arg(directory.join("exec"));
    command.arg("--pidfile").arg(directory.join("pid"));
    command.args(["--containerd-namespace", root.name(), "--cgroup-parent", &root.cgroup_parent(), "--debug"]);
    if options.network == CortendNetwork::None {
        command.args(["--bridge", "none"]);
    }
    if let Some(containerd) = &options.containerd {
        command.arg("--containerd").arg(containerd);
    }
    command.args(&options.arguments).env("PATH", programs::search_path(&first));
    command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", directory.join("bus/socket").display()));
    let log = directory.join("log");
    let mut daemon = match network {
        Some(network) => network.enter(|| Daemon::spawn(root, &mut command, &log)),
        None => Daemon::spawn(root, &mut command, &log),
    };
    daemon.wait_for_ping(&socket);
    daemon
}
