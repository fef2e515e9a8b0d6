//! The docker command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    corten_cli::main()
}
