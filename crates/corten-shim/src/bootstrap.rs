//! What the program is called for: `start` a daemon and print its address, `delete` after a dead one,
//! say what it is. See `corten_shim_api::start` for the protocol.

mod delete;
mod info;
mod serve;
mod start;

use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write},
    process::ExitCode,
};

use corten_shim_api::start::{Action, Invocation, StartInput, input::MAX_INPUT_BYTES};
use corten_types::error::chain;

/// Why the program cannot do what it was called for.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The command line is wrong.
    #[error(transparent)]
    Usage(#[from] corten_shim_api::start::UsageError),
    /// A system call failed.
    #[error("{doing}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Standard input is neither form of the protocol.
    #[error("decode the options on standard input")]
    Input(#[source] prost::DecodeError),
    /// Something is not supported.
    #[error("{0}: not supported yet")]
    Unsupported(String),
}

/// Runs the program with the arguments behind its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result =
        Invocation::parse(arguments).map_err(BootstrapError::from).and_then(|invocation| dispatch(&invocation));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when this fails.
            let _ = writeln!(io::stderr(), "corten-shim: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(invocation: &Invocation) -> Result<(), BootstrapError> {
    match invocation.action {
        Action::Start => start::start(invocation),
        Action::Delete => delete::delete(invocation),
        Action::Serve => {
            Err(BootstrapError::Unsupported("serving without `start`, on an inherited listener,".to_owned()))
        }
        Action::Info => info::info(),
        Action::Version => version(),
    }
}

fn version() -> Result<(), BootstrapError> {
    let name = env::args_os().next().unwrap_or_default();
    let text = format!("{}:\n  Version:  {}\n", name.to_string_lossy(), env!("CARGO_PKG_VERSION"));
    print(text.as_bytes())
}

/// Prints to standard output, and nothing else goes there.
fn print(bytes: &[u8]) -> Result<(), BootstrapError> {
    let mut output = io::stdout();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(failed("write to standard output"))
}

fn failed(doing: impl Into<String>) -> impl FnOnce(io::Error) -> BootstrapError {
    let doing = doing.into();
    move |source| BootstrapError::Io { doing, source }
}

fn read_input(id: &str, namespace: &str) -> Result<StartInput, BootstrapError> {
    let mut bytes = Vec::new();
    io::stdin().take(MAX_INPUT_BYTES as u64).read_to_end(&mut bytes).map_err(failed("read standard input"))?;
    StartInput::parse(&bytes, id, namespace).map_err(BootstrapError::Input)
}
