//! Ours or the original, under the same scenario: one that fails on the original is a wrong scenario.

use std::path::PathBuf;

use crate::{Containerd, Cortend, CortendOptions, Ctr, DockerCli, Dockerd, TempRoot, busybox};

/// Whose programs a [`Stack`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// cortend, corten-supervisor, corten-shim, corten-runtime.
    Ours,
    /// cortend on Debian's containerd, with corten-shim and corten-runtime.
    OursOnContainerd,
    /// Debian's dockerd, containerd, shim and runc.
    Original,
}

/// A running engine with all below it, in a root of its own.
///
/// The fields are dropped in order: the engine before what it stands on, the root last.
#[derive(Debug)]
pub struct Stack {
    engine: Engine,
    containerd: Option<Containerd>,
    root: TempRoot,
}

#[derive(Debug)]
enum Engine {
    Ours(Cortend),
    Original(Dockerd),
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
        let containerd = (kind != Kind::Ours).then(|| Containerd::start(&root));
        let address = containerd.as_ref().map(Containerd::address);
        let engine = match (kind, address) {
            (Kind::Original, Some(address)) => Engine::Original(Dockerd::start(&root, &address)),
            (_, address) => {
                let options = CortendOptions { containerd: address, ..CortendOptions::default() };
                Engine::Ours(Cortend::start_with(&root, options))
            }
        };
        Stack { engine, containerd, root }
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
        if let Some(containerd) = &mut self.containerd {
            containerd.daemon().kill();
        }
    }

    /// Starts again what was [killed](Stack::kill).
    pub fn restart(&mut self) {
        if let Some(containerd) = &mut self.containerd {
            containerd.restart(&self.root);
        }
        match &mut self.engine {
            Engine::Ours(cortend) => cortend.restart(&self.root),
            Engine::Original(dockerd) => dockerd.restart(&self.root),
        }
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
        let address = match (&self.engine, &self.containerd) {
            (_, Some(containerd)) => containerd.address(),
            (Engine::Ours(cortend), None) => cortend.containerd_address(),
            (Engine::Original(_), None) => unreachable!("the original always has a containerd"),
        };
        Ctr::original(&address, self.root.name())
    }

    /// Loads busybox as `busybox:latest`.
    pub fn load_busybox(&self) {
        let archive = busybox::docker_archive_file(&self.root, &["busybox:latest"]);
        let _ = self.docker().run(&["load", "--input", &archive.display().to_string()]).ok();
    }
}
