//! What the engine says of itself and its host.

pub mod disk_usage;
pub mod info;
pub mod version;
