//! What happens, told to whoever listens.
//!
//! The last 256 events are kept for `since`; a live listener that falls 4096 behind is cut off with
//! an error in its stream, so that nobody can hold the engine up.

mod bus;
mod filter;
pub mod subscribe;

pub use bus::{Bus, Kind};
