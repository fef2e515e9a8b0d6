//! Processes added to a running container.

mod exec;
mod index;

use std::sync::Arc;

use crate::clock::Moment;
use crate::engine::Engine;

pub use exec::{Exec, Phase};
pub use index::{Execs, KEPT_AFTER_END};

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// Its pid on the host.
    pub pid: u32,
    /// Its exit status, 128 + signal when killed.
    pub status: u32,
    /// When.
    pub at: Moment,
}

/// Records the end of the exec `exec_id` of a container.
pub async fn on_exit(_engine: Arc<Engine>, _container_id: String, _exec_id: String, _exit: Exit) {}

/// Forgets the execs of a container that has ended.
pub fn forget(_engine: &Arc<Engine>, _container_id: &str) {}

/// The ids of a container's execs that live; `None` for none, which prints as `null`.
pub fn ids(_engine: &Arc<Engine>, _container_id: &str) -> Option<Vec<String>> {
    None
}
