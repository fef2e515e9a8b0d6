//! A client of a message bus: calls that wait for their answer, and signals (D-Bus specification 0.43).
//!
//! firewalld is told of bridges in this way and in no other. The crates for it bring an asynchronous runtime, an XML
//! parser and derive macros; what is needed here is one socket, a header and a handful of types. Descriptors are not
//! passed, and nobody calls us.

pub mod address;
pub mod connection;
pub mod error;
pub mod message;
pub mod value;
mod wire;

pub use connection::{Call, Connection, Signal};
pub use error::Error;
pub use value::Value;

/// What every call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;
