//! Debian's docker-registry, on a directory and a port of its own.

use std::{fs, path::PathBuf, process::Command};

use crate::{Daemon, Ran, TempRoot, image::write, programs, registry::Authority};

/// What a test may choose of a [`DockerRegistry`].
#[derive(Debug, Default)]
pub struct DockerRegistryOptions<'a> {
    /// TLS with a certificate of this authority.
    pub tls: Option<&'a Authority>,
    /// Only this user with this password is let in.
    pub user: Option<(&'a str, &'a str)>,
    /// Where it lives in the root; `docker-registry` when nothing else is said.
    pub directory: Option<&'a str>,
}

/// A running docker-registry.
#[derive(Debug)]
pub struct DockerRegistry {
    daemon: Daemon,
    host: String,
    directory: PathBuf,
}

impl DockerRegistry {
    /// Starts one in `root`, in a directory of its own.
    ///
    /// # Panics
    /// With its log when it does not come up.
    #[must_use]
    pub fn start(root: &TempRoot, options: &DockerRegistryOptions<'_>) -> DockerRegistry {
        let directory = root.make(options.directory.unwrap_or("docker-registry"));
        let at = |name: &str| directory.join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: 127.0.0.1:0\n  secret: s\n",
            at("data")
        );
        if let Some(authority) = options.tls {
            let (certificate, key) = authority.issue();
            let _ =
                (write(directory.join("crt"), certificate.as_bytes()), write(directory.join("key"), key.as_bytes()));
            config += &format!("  tls: {{certificate: {}, key: {}}}\n", at("crt"), at("key"));
        }
        if let Some((user, password)) = options.user {
            let made = Ran::of(Command::new(programs::original("htpasswd")).args(["-Bbn", user, password])).ok().stdout;
            let _ = write(directory.join("htpasswd"), made.as_bytes());
            config += &format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", at("htpasswd"));
        }
        let file = write(directory.join("config.yml"), config.as_bytes());
        let mut command = Command::new(programs::original("docker-registry"));
        command.arg("serve").arg(file);
        let mut daemon = Daemon::spawn(root, &mut command, &directory.join("log"));
        let log = directory.join("log");
        let listens = || fs::read_to_string(&log).ok().and_then(|log| listening(&log));
        daemon.wait_until_ready("its port in the log", || listens().is_some());
        let host = listens().expect("it was there a moment ago");
        DockerRegistry { daemon, host, directory }
    }

    /// `127.0.0.1:PORT`: the domain of references to it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

/// `127.0.0.1:PORT` of the line `listening on 127.0.0.1:PORT`, with or without `, tls`.
fn listening(log: &str) -> Option<String> {
    let rest = log.split("listening on ").nth(1)?;
    let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.' && character != ':')?;
    Some(rest[..end].to_owned())
}
