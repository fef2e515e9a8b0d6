//! runc's command line, both ends: what the shim writes and the runtime reads, and the files and sockets between them.
//!
//! - [`arguments`]: one structure per command, [`parse`] reads them from a command line and [`argv`] writes them;
//! - [`help`]: the texts of `--help`;
//! - [`runtime`]: the caller's side, a command ready to be spawned per verb;
//! - [`state`], [`log`], [`pid_file`], [`console`]: what comes back;
//! - [`texts`]: error texts that clients match on.

pub mod arguments;
pub mod argv;
pub mod completion;
pub mod console;
mod flags;
pub mod help;
pub mod log;
pub mod parse;
pub mod pid_file;
pub mod runtime;
pub mod state;
pub mod texts;

pub use arguments::{Command, Global, Invocation};
pub use runtime::Runtime;
