//! Networks in the kernel, each test in network namespaces of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod firewalld;
mod firewalls;
mod healing;
mod host;
mod hostile;
mod netlink;
mod places;
mod resolver;
mod rules;
mod traffic;
