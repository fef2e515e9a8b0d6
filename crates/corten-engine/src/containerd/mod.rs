//! The engine's end of containerd's interface: our supervisor, or any containerd.

pub mod abilities;
mod by_ourselves;
mod client;
pub mod link;
pub mod registry;
pub mod supervisor;

pub use client::Containerd;
