//! The verbs of the task service, one file each; [`exits`] is what happens when a process ends.

pub mod close_io;
pub mod connect;
pub mod create;
pub mod delete;
pub mod exec;
pub mod exits;
pub mod kill;
pub mod pause;
pub mod pids;
pub mod resize_pty;
pub mod resume;
pub mod shutdown;
pub mod start;
pub mod state;
pub mod stats;
pub mod update;
pub mod wait;
