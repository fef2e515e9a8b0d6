//! From an image and a host configuration to an OCI specification. [`build`] decides everything and
//! touches nothing; what has to be looked up on the host comes in with [`Host`] and [`Joined`].

pub mod apparmor;
mod build;
pub mod capabilities;
mod devices;
mod filter;
mod mounts;
mod resources;
mod seccomp;
mod security;
pub mod user;

pub use build::{Host, Input, Joined, build};
pub use devices::{HostDevice, cgroup_rule};
pub use mounts::{MASKED_PATHS, READONLY_PATHS, UserMount, clean, parse_bind, sort as sort_mounts};
pub use resources::resources;
pub use seccomp::Machine;
pub use security::{DefaultFilter, SecurityOptions, UNCONFINED};
