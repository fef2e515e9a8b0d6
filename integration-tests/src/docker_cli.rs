//! Docker's own command lines, and ours, on a daemon a test started.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Ran, programs};

/// Where a docker CLI newer than Debian's stands.
const NEWEST: &str = "/usr/local/bin/docker";

/// A command line and the daemon it talks to.
#[derive(Debug, Clone)]
pub struct DockerCli {
    /// `corten`, `docker 28.2.2`, …
    pub label: String,
    program: PathBuf,
    socket: PathBuf,
    home: PathBuf,
}

impl DockerCli {
    /// Debian's (20.10).
    #[must_use]
    pub fn debian(socket: &Path) -> DockerCli {
        DockerCli::at(&programs::original("docker"), "docker (Debian's)", socket)
    }

    /// The newest in PATH: 28.2.2 where it is installed.
    ///
    /// On a machine without it this says so and is Debian's.
    #[must_use]
    pub fn newest(socket: &Path) -> DockerCli {
        if Path::new(NEWEST).is_file() {
            return DockerCli::at(Path::new(NEWEST), "docker (newest)", socket);
        }
        eprintln!("note: no {NEWEST} here, so only Debian's docker CLI drives the daemon");
        DockerCli::debian(socket)
    }

    /// Every docker CLI of this machine: Debian's always, the newest where it is installed.
    #[must_use]
    pub fn originals(socket: &Path) -> Vec<DockerCli> {
        let newest = DockerCli::newest(socket);
        let debian = DockerCli::debian(socket);
        if newest.program == debian.program { vec![debian] } else { vec![newest, debian] }
    }

    /// Ours.
    #[must_use]
    pub fn ours(socket: &Path) -> DockerCli {
        DockerCli::at(&programs::path("corten"), "corten", socket)
    }

    /// The one at `program`.
    #[must_use]
    pub fn at(program: &Path, label: &str, socket: &Path) -> DockerCli {
        let home = socket.parent().expect("a socket is in a directory").to_owned();
        DockerCli { label: label.to_owned(), program: program.to_owned(), socket: socket.to_owned(), home }
    }

    /// The command, to be changed further; it has no configuration of the user's.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command.env("HOME", &self.home).env("DOCKER_CONFIG", self.home.join("cli-config"));
        for variable in ["DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs it to its end.
    #[track_caller]
    #[must_use]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs it to its end with `input` on its standard input.
    #[track_caller]
    #[must_use]
    pub fn run_with_input<S: AsRef<OsStr>>(&self, arguments: &[S], input: &[u8]) -> Ran {
        Ran::with_input(&mut self.command(arguments), input)
    }
}
