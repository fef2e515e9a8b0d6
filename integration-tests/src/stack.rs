//! Ours or the original, under the same scenario: one that fails on the original is a wrong scenario.

use std::path::PathBuf;

use crate::{
    Containerd, ContainerdOptions, Cortend, CortendNetwork, CortendOptions, Ctr, DEADLINE, DockerCli, Dockerd,
    DockerdNetwork, DockerdOptions, EngineApi, Supervisor, SupervisorOptions, TempRoot, busybox, send_signal, wait_for,
    wait_for_some,
};

/// Whose programs a [`Stack`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// cortend, corten-supervisor, corten-shim, corten-runtime.
    Ours,
    /// cortend on Debian's containerd, with corten-shim and corten-runtime.
    OursOnContainerd,
    /// Debian's dockerd on corten-supervisor, with Debian's shim and runc.
    OriginalOnSupervisor,
    /// Debian's dockerd, containerd, shim and runc.
    Original,
}

/// What a test may choose of a [`Stack`].
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    /// The directory our programs are taken from, when not the tests' own.
    pub programs: Option<PathBuf>,
    /// Directories in which shims and runtimes are looked up by name before ours and the system's.
    pub search_first: Vec<PathBuf>,
    /// More arguments of the engine.
    pub engine_arguments: Vec<String>,
    /// Where the engine has its network.
    pub network: CortendNetwork,
}

/// A running engine with all below it, in a root of its own.
///
/// The fields are dropped in order: the engine before what it stands on, the root last.
#[derive(Debug)]
pub struct Stack {
    engine: Engine,
    below: Below,
    root: TempRoot,
}

#[derive(Debug)]
enum Engine {
    Ours(Cortend),
    Original(Dockerd),
}

/// What the engine stands on, when the test started it.
#[derive(Debug)]
enum Below {
    /// The engine starts its own.
    Own,
    Containerd(Containerd),
    Supervisor(Supervisor),
}

impl Stack {
    /// Starts one.
    #[must_use]
    pub fn start(kind: Kind) -> Stack {
        Stack::start_in(TempRoot::new(), kind)
    }

    /// Starts one in `root`.
    #[must_use]
    pub fn start_in(root: TempRoot, kind: Kind) -> Stack {
        Stack::start_with(root, kind, StackOptions::default())
    }

    /// Starts one in `root` with `options`.
    #[must_use]
    pub fn start_with(root: TempRoot, kind: Kind, options: StackOptions) -> Stack {
        let search_first = options.search_first;
        let (below, address) = match kind {
            Kind::Ours => (Below::Own, None),
            Kind::OursOnContainerd | Kind::Original => {
                let chosen = ContainerdOptions { search_first: search_first.clone() };
                let containerd = Containerd::start_with(&root, chosen);
                let address = containerd.address();
                (Below::Containerd(containerd), Some(address))
            }
            Kind::OriginalOnSupervisor => {
                let chosen = SupervisorOptions { search_first: search_first.clone(), ..SupervisorOptions::default() };
                let supervisor = Supervisor::start_with(&root, chosen);
                let address = supervisor.address();
                (Below::Supervisor(supervisor), Some(address))
            }
        };
        let arguments = options.engine_arguments;
        let engine = match (kind, address) {
            (Kind::Original | Kind::OriginalOnSupervisor, Some(address)) => {
                let network = match options.network {
                    CortendNetwork::None => DockerdNetwork::None,
                    CortendNetwork::Private | CortendNetwork::Prepared(_) => DockerdNetwork::Private,
                };
                let chosen = DockerdOptions { arguments, search_first, network };
                Engine::Original(Dockerd::start_with(&root, &address, chosen))
            }
            (_, containerd) => {
                let chosen = CortendOptions {
                    containerd,
                    arguments,
                    search_first,
                    programs: options.programs,
                    network: options.network,
                };
                Engine::Ours(Cortend::start_with(&root, chosen))
            }
        };
        Stack { engine, below, root }
    }

    /// What everything of it lives in.
    #[must_use]
    pub fn root(&self) -> &TempRoot {
        &self.root
    }

    /// The socket of its Engine API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        match &self.engine {
            Engine::Ours(cortend) => cortend.socket(),
            Engine::Original(dockerd) => dockerd.socket(),
        }
    }

    /// Our engine.
    ///
    /// # Panics
    /// When this is the original.
    pub fn cortend(&mut self) -> &mut Cortend {
        match &mut self.engine {
            Engine::Ours(cortend) => cortend,
            Engine::Original(_) => panic!("this stack is the original's"),
        }
    }

    /// Kills engine and supervisor (or containerd) at once and starts both again.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// `kill -9` of engine and supervisor (or containerd) at once.
    pub fn kill(&mut self) {
        match &mut self.engine {
            Engine::Ours(cortend) => cortend.kill_both(),
            Engine::Original(dockerd) => dockerd.daemon().kill(),
        }
        match &mut self.below {
            Below::Own => {}
            Below::Containerd(containerd) => containerd.daemon().kill(),
            Below::Supervisor(supervisor) => supervisor.daemon().kill(),
        }
    }

    /// Starts again what was [killed](Stack::kill).
    pub fn restart(&mut self) {
        self.restart_supervisor();
        self.restart_engine();
    }

    /// `kill -9` of the engine alone.
    pub fn kill_engine(&mut self) {
        match &mut self.engine {
            Engine::Ours(cortend) => cortend.daemon().kill(),
            Engine::Original(dockerd) => dockerd.daemon().kill(),
        }
    }

    /// Starts the engine again.
    pub fn restart_engine(&mut self) {
        match &mut self.engine {
            Engine::Ours(cortend) => cortend.restart(&self.root),
            Engine::Original(dockerd) => dockerd.restart(&self.root),
        }
    }

    /// `kill -9` of the supervisor (or containerd) alone. A supervisor of the engine's own is started again by it.
    pub fn kill_supervisor(&mut self) {
        match (&mut self.below, &self.engine) {
            (Below::Containerd(containerd), _) => containerd.daemon().kill(),
            (Below::Supervisor(supervisor), _) => supervisor.daemon().kill(),
            (Below::Own, Engine::Ours(cortend)) => {
                let find = || cortend.supervisor_pid();
                let pid = wait_for_some("the engine's supervisor to run", DEADLINE, find);
                let _ = send_signal(pid, "KILL");
                wait_for("the supervisor to be gone", DEADLINE, || cortend.supervisor_pid() != Some(pid));
            }
            (Below::Own, Engine::Original(_)) => unreachable!("the original never starts its own"),
        }
    }

    /// Starts the supervisor (or containerd) again, where the engine does not do so itself.
    pub fn restart_supervisor(&mut self) {
        match &mut self.below {
            Below::Own => {}
            Below::Containerd(containerd) => containerd.restart(&self.root),
            Below::Supervisor(supervisor) => supervisor.restart(&self.root),
        }
    }

    /// The process id of the engine.
    pub fn engine_pid(&mut self) -> u32 {
        match &mut self.engine {
            Engine::Ours(cortend) => cortend.daemon().pid(),
            Engine::Original(dockerd) => dockerd.daemon().pid(),
        }
    }

    /// The process id of the supervisor (or containerd).
    pub fn supervisor_pid(&mut self) -> u32 {
        match (&mut self.below, &self.engine) {
            (Below::Containerd(containerd), _) => containerd.daemon().pid(),
            (Below::Supervisor(supervisor), _) => supervisor.daemon().pid(),
            (Below::Own, Engine::Ours(cortend)) => {
                wait_for_some("the engine's supervisor to run", DEADLINE, || cortend.supervisor_pid())
            }
            (Below::Own, Engine::Original(_)) => unreachable!("the original never starts its own"),
        }
    }

    /// Its Engine API.
    #[must_use]
    pub fn api(&self) -> EngineApi {
        EngineApi::new(&self.socket())
    }

    /// The newest docker CLI on it.
    #[must_use]
    pub fn docker(&self) -> DockerCli {
        DockerCli::newest(&self.socket())
    }

    /// Our CLI on it.
    #[must_use]
    pub fn corten(&self) -> DockerCli {
        DockerCli::ours(&self.socket())
    }

    /// Debian's ctr on what it stands on, in the engine's namespace.
    #[must_use]
    pub fn ctr(&self) -> Ctr {
        let address = match (&self.engine, &self.below) {
            (_, Below::Containerd(containerd)) => containerd.address(),
            (_, Below::Supervisor(supervisor)) => supervisor.address(),
            (Engine::Ours(cortend), Below::Own) => cortend.containerd_address(),
            (Engine::Original(_), Below::Own) => unreachable!("the original never starts its own"),
        };
        Ctr::original(&address, self.root.name())
    }

    /// Loads busybox as `busybox:latest`.
    pub fn load_busybox(&self) {
        let archive = busybox::docker_archive_file(&self.root, &["busybox:latest"]);
        let _ = self.docker().run(&["load", "--input", &archive.display().to_string()]).ok();
    }
}
