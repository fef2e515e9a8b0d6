//! A container's log, read from its files and printed for a client.
//!
//! The engine keeps no byte of it: the [`query`] says what is wanted, [`read()`] has a thread read
//! the files, and the [`text`] goes chunk by chunk to the connection, which the reader waits for.

mod follow;
pub mod query;
pub mod text;

pub use follow::{Chunks, read};
pub use query::LogsQuery;
