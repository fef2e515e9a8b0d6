//! What the engine says of itself and its host.

pub mod info;
pub mod version;
