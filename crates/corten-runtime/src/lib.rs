//! The OCI runtime: bundle to process in namespaces, state on disk.
//!
//! Read [`cli`] for what a command line does, then a verb such as [`create`]; it reads config.json ([`spec`]), makes a
//! [`plan`] and has [`init`] carry it out. What is known about a container lies in its [`state_dir`].
//!
//! The crate is usable by itself, and keeps no state but what lies in the directory it is given. A bundle is run from any
//! program, also one with threads, because the child of the one clone allocates nothing and takes no lock. What enters
//! namespaces ([`exec`], or a container that joins some by path) is carried out [`apart`] there.
//!
//! ```
//! use corten_runtime::{caller::Caller, container::Container, create, delete, start};
//! use corten_runtime_api::arguments::{Create, Delete};
//! use corten_sys::descriptors::wait_readable;
//! use std::os::fd::AsFd;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::fs::metadata(path).is_ok());
//! # let Some(busybox) = busybox.filter(|_| corten_sys::credentials::effective_user() == 0) else { return Ok(()) };
//! # let directory = tempfile::tempdir()?;
//! # let bundle = directory.path().join("bundle");
//! # std::fs::create_dir_all(bundle.join("rootfs/bin"))?;
//! # std::fs::copy(busybox, bundle.join("rootfs/bin/busybox"))?;
//! # let spec = r#"{"ociVersion": "1.3.0", "root": {"path": "rootfs"},
//! #     "process": {"args": ["/bin/busybox", "touch", "/made"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
//! #     "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}}"#;
//! # std::fs::write(bundle.join("config.json"), spec)?;
//! # let state_root = directory.path().join("state");
//! # let id = format!("corten-doctest-{}", std::process::id());
//! # let made = bundle.join("rootfs/made");
//! let caller = Caller::default();
//! let arguments = Create { id: id.clone(), bundle: Some(bundle), ..Create::default() };
//! create::create(&state_root, &arguments, &caller)?;
//! start::start(&state_root, &id, &caller)?;
//! if let Some(process) = Container::load(&state_root, &id)?.init() {
//!     wait_readable([process.as_fd()], None)?;
//! }
//! delete::delete(&state_root, &Delete { id, force: true }, &caller.log)?;
//! # assert!(made.exists());
//! # Ok(())
//! # }
//! ```
//!
//! One thread and one clone, but where a helper joins namespaces beside a user namespace: the program starts no thread, ever, and between clone and exec the child allocates
//! nothing.

mod administrator;
pub mod apart;
pub mod caller;
pub mod cli;
pub mod clock;
pub mod container;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod features;
mod foreground;
pub mod home;
pub mod hooks;
mod host_root;
pub mod init;
mod kept_filter;
pub mod kill;
pub mod list;
pub mod log;
mod notify;
pub mod pause;
pub mod plan;
pub mod process_stat;
pub mod ps;
pub mod resume;
pub mod run;
pub mod spec;
pub mod spec_template;
pub mod start;
pub mod state;
pub mod state_dir;
pub mod update;

/// The allocator of the program: it lives for milliseconds and never gives memory back.
pub use corten_sys::bump::{Bump as Memory, FirstBlock};
pub use corten_sys::entry;
