//! A container's output: where it goes, how it is written down, how it is read again.
//!
//! Two processes meet here: the shim's hub takes output and writes it, the engine reads logs and hands
//! attached clients over. In reading order: the [`stdio_file`] that tells a shim what to do with a
//! process's output; the log's [`record`]s, as [`json_file`] encodes them with a [`timestamp`];
//! [`lines`] cuts output into records, [`writer`] appends and rotates them, [`logs`] reads them;
//! [`attach`] passes a client's socket to the hub, which speaks Docker's [`framing`] to it.

pub mod attach;
pub mod framing;
pub mod json_file;
pub mod lines;
pub mod logs;
pub mod record;
pub mod stdio_file;
pub mod timestamp;
pub mod writer;

pub use attach::{AttachRequest, Framing, hand_over};
pub use record::{Record, Stream};
pub use stdio_file::{Driver, StdinMode, StdioFile};
pub use timestamp::Timestamp;
pub use writer::{Limits, LogWriter};
