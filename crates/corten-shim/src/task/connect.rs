//! Telling who serves a container; the ping of a supervisor that was restarted.

use corten_proto::containerd::task::v2::ConnectResponse;

use crate::shim::Shim;

/// The pids of this shim and of the container's init; 0 for a container that is not there.
pub fn connect(shim: &Shim, id: &str) -> ConnectResponse {
    let task_pid = shim.container(id).map_or(0, |container| container.init.pid());
    ConnectResponse { shim_pid: std::process::id(), task_pid, version: env!("CARGO_PKG_VERSION").to_owned() }
}
