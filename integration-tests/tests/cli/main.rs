//! The same commands through docker's command line and through ours, on one daemon, give the same bytes.
//!
//! Every table runs on Debian's dockerd and on cortend: whatever a daemon answers, both show it alike.

mod connection;
mod fake;
mod files;
mod hello;
mod inspecting;
mod listings;
mod logins;
mod mistakes;
mod network_flags;
mod networks;
mod pair;
mod progress;
mod registries;
mod restarts;
mod running;
mod states;
mod terminal;
mod through_a_registry;
mod uploads;
