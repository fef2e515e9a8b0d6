//! Processes added to a running container: one file per verb.
//!
//! An exec's streams are the shim's: [`start`] passes the client to the hub as attaching does, so that a
//! command goes on, and stays attached, when the engine dies. What the next engine needs to know of it
//! is in its [`record`], from which [`restore`] makes it again.

pub mod create;
pub mod inspect;
pub mod resize;
pub mod start;

mod exec;
mod exit;
pub mod files;
mod index;
mod process;
pub mod record;
pub mod restore;
mod task;

use crate::clock::Moment;
use crate::engine::Engine;

pub use exec::{Exec, Phase};
use exit::end;
pub use exit::{forget, on_exit};
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

/// The ids of a container's execs that have not ended; `None` for none, which prints as `null`.
pub fn ids(engine: &Engine, container_id: &str) -> Option<Vec<String>> {
    let mut ids: Vec<String> = engine.execs.of(container_id).iter().map(|exec| exec.id.clone()).collect();
    ids.sort_unstable();
    (!ids.is_empty()).then_some(ids)
}
