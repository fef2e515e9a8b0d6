//! A person's terminal and what is printed on it: raw mode, size, detach keys, tables.
//!
//! [`raw`] takes a terminal out of line mode and puts it back on every path; [`detach`] finds the
//! keys that end an attach; [`tabwriter`] lays out columns as Go's text/tabwriter does, which is how
//! docker's tables look; [`units`] writes sizes and durations as docker does.

pub mod detach;
pub mod ellipsis;
pub mod raw;
pub mod tabwriter;
pub mod units;

pub use corten_sys::termios::WindowSize;

use std::os::fd::AsFd;

/// The size of the terminal behind `fd`, or `None` when it is no terminal.
#[must_use]
pub fn window_size(fd: impl AsFd) -> Option<WindowSize> {
    corten_sys::termios::window_size(fd).ok()
}
