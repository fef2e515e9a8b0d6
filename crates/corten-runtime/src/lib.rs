//! The OCI runtime: bundle to process in namespaces, state on disk.
//!
//! Read [`cli`] for what a command line does, then a verb such as [`create`]; it reads config.json ([`spec`]), makes a
//! [`plan`] and has [`init`] carry it out. What is known about a container lies in its [`state_dir`].
//!
//! One thread and one clone: the program starts no thread, ever, and between clone and exec the child allocates
//! nothing.

mod administrator;
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
mod home;
pub mod hooks;
pub mod init;
pub mod kill;
pub mod list;
mod notify;
pub mod pause;
pub mod plan;
pub mod process_stat;
pub mod ps;
mod report;
pub mod resume;
pub mod run;
pub mod spec;
pub mod spec_template;
pub mod start;
pub mod state;
pub mod state_dir;
pub mod update;

/// The allocator of the program: it lives for milliseconds and never gives memory back.
pub use corten_sys::bump::Bump as Memory;
