//! The shim alone, driven by a supervisor of the tests' own, and under Debian's containerd.
//!
//! [`driver`] is that supervisor: it starts a shim as containerd does, speaks ttrpc to it and takes its
//! events. One module per subject.

#![allow(clippy::unwrap_used, reason = "a scenario says by panicking")]

mod attach;
mod containerd;
mod delete;
mod driver;
mod events;
mod exec;
mod idle;
mod life;
mod logs;
mod refusals;
mod stdio;
