//! ctr's commands: the debug client of a containerd, ours or any other.
//!
//! [`tree`] lists the commands and their flags as ctr 1.6 has them, `arguments` reads a command line by it, [`session`] is one invocation's connection,
//! [`commands`] holds one file per noun. [`spec`] makes the OCI specification of `run`, [`stdio`] carries a process'
//! streams through fifos, [`table`] and [`json`] print as ctr prints.

mod arguments;
pub mod commands;
mod event;
pub mod json;
mod seccomp;
pub mod session;
pub mod spec;
pub mod stdio;
pub mod table;
pub mod tree;
mod user;

use std::process::ExitCode;

use corten_types::error::chain;

use crate::session::Failure;

/// Runs the command that this process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|text| text.to_string_lossy().into_owned()).collect();
    let program = arguments.first().and_then(|path| path.rsplit('/').next()).unwrap_or("corten-ctr").to_owned();
    match arguments::run(&program, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Exit(code)) => ExitCode::from(code),
        Err(Failure::Help(text)) => {
            eprint!("{text}");
            ExitCode::FAILURE
        }
        Err(Failure::Error(error)) => {
            eprintln!("{program}: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
