//! The shim: one container's processes, from their creation to the last byte of their output.
//!
//! It is what a supervisor starts per container and what outlives the supervisor. In reading order:
//! [`bootstrap`] is what the program is called for; [`service`] answers the task service, one [`task`]
//! verb a file, over the [`shim`]'s [`container`]s and their [`process`]es. Creating one mounts its
//! [`rootfs`], takes a terminal over its [`console`] and [`invoke`]s the runtime with its [`options`];
//! the [`hub`] moves its output and input; the [`reaper`] sees its end, [`exit_file`] keeps it, [`oom`]
//! and [`events`] announce it; [`metrics`] are its figures. [`error`] is why a call is refused, [`log`]
//! the shim's own log. [`readiness`] is the event loop's one door.
//!
//! One thread runs the event loop; the hub has a second one as soon as there is output to move. What
//! may block runs in a short-lived third.

pub mod bootstrap;
pub mod console;
pub mod container;
pub mod error;
pub mod events;
pub mod exit_file;
pub mod hub;
pub mod invoke;
pub mod log;
pub mod metrics;
pub mod oom;
pub mod options;
pub mod process;
pub mod readiness;
pub mod reaper;
pub mod rootfs;
pub mod service;
pub mod shim;
pub mod task;

pub use bootstrap::run;
