//! Containers: one file per verb, each with one function of that name.

pub mod attach;
pub mod exit;
pub mod logs;
pub mod settle;
pub mod stats;
pub mod stop;
pub mod top;

mod container;
mod index;
pub mod names;
pub mod record;
pub mod require;

pub use container::{Container, Lifecycle, Turn, View};
pub use index::Index;
