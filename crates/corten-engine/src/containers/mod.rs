//! Containers: one file per verb, each with one function of that name.

pub mod archive;
pub mod attach;
pub mod changes;
pub mod commit;
pub mod create;
pub mod delete;
pub mod export;
pub mod inspect;
pub mod kill;
pub mod list;
pub mod logs;
pub mod pause;
pub mod prune;
pub mod rename;
pub mod resize;
pub mod restart;
pub mod start;
pub mod stats;
pub mod stop;
pub mod top;
pub mod unpause;
pub mod update;
pub mod wait;

pub mod exit;
pub mod logging;
pub mod names;
pub mod record;
pub mod require;
pub mod settle;

mod check;
mod container;
mod cpuset;
mod discard;
mod freeze;
mod index;
pub mod list_filter;
mod normalise;
mod outgoing;
mod restart_policy;
mod size;

pub use container::{Container, Lifecycle, Turn, View};
pub use index::Index;
