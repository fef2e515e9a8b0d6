//! The start-up protocol: how a supervisor calls a shim's binary, and what both say over its pipes.
//!
//! A shim binary is called `start` to bring up the daemon of a container, `delete` to clean up after a
//! dead one, and `-info` to be asked what it is. [`arguments`] is the command line and environment,
//! [`input`] what comes on standard input, [`answer`] what goes out and what is left in the bundle.
//! All forms of containerd 1.6 to 2.3 are read; the one written depends on the form that came.

pub mod answer;
pub mod arguments;
pub mod input;

pub use answer::{Address, parse_answer, parse_delete_answer, read_address};
pub use arguments::{Action, Invocation, SpawnArgs, UsageError};
pub use input::StartInput;
