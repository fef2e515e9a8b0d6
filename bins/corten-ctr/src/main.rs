//! The debug client of the supervisor (ctr).

use std::process::ExitCode;

fn main() -> ExitCode {
    corten_ctr::main()
}
