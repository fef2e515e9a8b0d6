//! The Docker model: containers, images, networks, logs, restart policy, events; and its REST routes.
//!
//! In reading order: what the daemon was asked ([`config`]), how it comes up ([`serve`]), the one
//! value everything hangs on ([`engine`]); then the way in ([`http`], [`routes`]), what is done
//! ([`containers`] and its neighbours), and the way down ([`containerd`], [`tasks`], [`snapshots`]).

pub mod config;
pub mod engine;
pub mod serve;

pub mod http;
pub mod routes;

pub mod attach;
pub mod containers;
pub mod events;
pub mod execs;
pub mod files;
pub mod images;
pub mod logs;
pub mod metrics;
pub mod networks;
pub mod ps;
pub mod registry;
pub mod runtimes;
pub mod spec;
pub mod store;
pub mod system;
pub mod trees;

pub mod containerd;
pub mod snapshots;
pub mod tasks;

pub mod clock;
pub mod errors;
