//! The running side of containers: one file per call of containerd's task service.

pub mod create;
pub mod delete;
pub mod get;
pub mod kill;
pub mod launch_error;
pub mod pause;
pub mod resize;
pub mod resume;
pub mod start;
pub mod update;
