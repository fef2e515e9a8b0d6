//! Containers: one file per verb, each with one function of that name.

pub mod exit;
pub mod settle;
pub mod stop;

mod container;
mod index;
pub mod names;
pub mod record;

pub use container::{Container, Lifecycle, Turn, View};
pub use index::Index;
