//! The listener of a filter, in the parent: taken from the child and sent to the agent that answers
//! (runtime-spec, config-linux.md, "The Container Process State").

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use corten_sys::{scm, sockets};
use serde::Serialize;

use super::spawn::InitError;
use crate::hooks::{State, StateJson};
use crate::plan::Listener;

/// The name of the listener among the descriptors.
const SECCOMP_FD: &str = "seccompFd";

/// Who the process is that asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Its process id.
    pub pid: i32,
    /// The container it belongs to.
    pub container: State<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: StateJson<'a>,
}

/// Sends `descriptor` to the agent.
///
/// # Errors
/// [`InitError::Listener`] when it cannot be reached.
pub fn send(listener: &Listener, asker: Asker<'_>, descriptor: &OwnedFd) -> Result<(), InitError> {
    let state = ContainerProcessState {
        oci_version: &asker.container.record.oci_version,
        fds: [SECCOMP_FD],
        pid: asker.pid,
        metadata: &listener.metadata,
        state: StateJson::of(&asker.container),
    };
    let send = || -> io::Result<()> {
        let json = serde_json::to_vec(&state)?;
        let mut agent = sockets::connect(&listener.path)?;
        let sent = scm::send(&agent, &json, &[descriptor.as_fd()])?;
        agent.write_all(&json[sent..])
    };
    send().map_err(|why| InitError::Listener { path: listener.path.clone(), why })
}
