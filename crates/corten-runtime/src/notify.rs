//! systemd's notification socket for the container (sd_notify(3)), as runc passes it through.
//!
//! The container gets a socket of its own at /run/notify, bound in the container's state directory. When it says that
//! it is ready, systemd hears so from here, together with the process to watch. Nothing else it says is passed on: a
//! container may not speak for the service.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use corten_sys::descriptors::{self, wait_readable};
use corten_sys::pidfd::PidFd;
use corten_sys::{scm, sockets};

use crate::log::Log;
use crate::spec::{Mount, Spec};
use crate::state_dir::StateDir;

const INSIDE: &str = "/run/notify";
const NAME: &str = "notify.sock";

/// How long systemd may take to acknowledge, as sd_notify_barrier(3)'s callers wait.
const BARRIER_LIMIT_MS: i32 = 30_000;

/// The directory of the container's socket, which is shown at /run/notify.
pub(crate) fn directory(state: &Path) -> PathBuf {
    state.join("notify")
}

/// Adds the mount and the variable.
pub(crate) fn complete(spec: &mut Spec, state: &Path) {
    let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec();
    let source = directory(state).to_string_lossy().into_owned();
    spec.mounts.push(Mount { destination: INSIDE.to_owned(), source, options, ..Mount::default() });
    if let Some(process) = &mut spec.process {
        set_variable(&mut process.env, "NOTIFY_SOCKET", &format!("{INSIDE}/{NAME}"));
    }
}

/// Replaces a variable of the environment.
pub(crate) fn set_variable(environment: &mut Vec<String>, name: &str, value: &str) {
    environment.retain(|variable| variable.split('=').next() != Some(name));
    environment.push(format!("{name}={value}"));
}

/// Makes the directory before the container is.
///
/// # Errors
/// Those of mkdir(2).
pub(crate) fn make_directory(state: &StateDir) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(directory(state.path()))
}

/// The container's socket, bound, and where what it says goes.
#[derive(Debug)]
pub(crate) struct Notify {
    inside: UnixDatagram,
    host: UnixDatagram,
}

impl Notify {
    /// Binds the container's socket and reaches the host's.
    ///
    /// # Errors
    /// Those of bind(2) and connect(2).
    pub(crate) fn bind(state: &StateDir, host: &Path) -> io::Result<Self> {
        let path = directory(state.path()).join(NAME);
        match fs::remove_file(&path) {
            // Of a start that was killed.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let inside = sockets::bind_datagram(&path)?;
        // The container's process is any user.
        fs::set_permissions(&path, Permissions::from_mode(0o777))?;
        Ok(Self { inside, host: sockets::connect_datagram(host)? })
    }

    /// Waits until the container is ready and tells the host, or until `process` has ended.
    pub(crate) fn wait(&self, process: &PidFd, main_pid: u32, log: &Log) -> io::Result<()> {
        loop {
            let [said, _] = wait_readable([self.inside.as_fd(), process.as_fd()], None)?;
            if !said || self.pass_on(main_pid, log)? {
                return Ok(());
            }
        }
    }

    /// Takes one message; tells the host when it says that the container is ready, and returns whether it did.
    pub(crate) fn pass_on(&self, main_pid: u32, log: &Log) -> io::Result<bool> {
        let mut message = [0u8; 4096];
        let length = self.inside.recv(&mut message)?;
        let Some(ready) = ready_line(&message[..length]) else { return Ok(false) };
        self.host.send(&[ready, b"\n"].concat())?;
        self.host.send(format!("MAINPID={main_pid}\n").as_bytes())?;
        self.barrier(log)?;
        Ok(true)
    }

    /// Waits until systemd has read everything: it then closes the pipe it is given.
    fn barrier(&self, log: &Log) -> io::Result<()> {
        let (reader, writer) = descriptors::pipe()?;
        scm::send(&self.host, b"BARRIER=1", &[writer.as_fd()])?;
        drop(writer);
        let [closed] = wait_readable([reader.as_fd()], Some(BARRIER_LIMIT_MS))?;
        if !closed {
            log.warn("the notification socket's owner did not acknowledge within 30 s");
        }
        Ok(())
    }
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inside.as_fd()
    }
}

fn ready_line(message: &[u8]) -> Option<&[u8]> {
    message.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"READY="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readiness_is_heard() {
        assert_eq!(ready_line(b"STATUS=up\nREADY=1\nMAINPID=1"), Some(&b"READY=1"[..]));
        assert_eq!(ready_line(b"STATUS=READY=1"), None);
    }

    #[test]
    fn a_variable_is_replaced_and_its_namesakes_stay() {
        let mut environment = vec!["A=1".to_owned(), "AB=2".to_owned()];
        set_variable(&mut environment, "A", "3");
        assert_eq!(environment, ["AB=2", "A=3"]);
    }
}
