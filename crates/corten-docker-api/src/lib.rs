//! The Engine API: JSON types, version adaptation, and a client that can take over a connection.

pub mod client;
