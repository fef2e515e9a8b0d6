//! Registries: how they are reached, and who asks.

pub mod asked;
pub mod credentials;
mod options;

pub use options::{Options, Proxies, insecure, mirror};
