//! The first process of a container: [`spawn`] in the parent, [`run`] in the child, [`report`] between them.
//!
//! The child is a copy of the parent made by one clone3. It has the plan in memory, walks it, and says over a packet
//! socket what it needs (its id maps, hooks) and how it went. What takes long to make, its network namespace and its
//! system call filter, and what is only needed when it is ready, the parent does beside it. It allocates nothing and logs
//! nothing. When the parent dies the kernel kills the child, until the parent has recorded it and told it to go on.

mod bare;
mod binds;
mod confine;
mod console;
mod dev;
mod exec;
mod filter;
mod helper;
mod hooks;
mod id_maps;
mod idmap;
mod limits;
mod listener;
mod mounts;
mod network;
mod paths;
mod process;
pub mod remount;
mod report;
mod run;
mod sentence;
mod sources;
pub mod spawn;
mod unified;

pub(crate) use sentence::{about_init, about_process};

pub use exec::{ExecKit, spawn_exec};
pub use listener::{Asker, send as send_listener};
pub use spawn::{Init, InitError, Kit, spawn};
