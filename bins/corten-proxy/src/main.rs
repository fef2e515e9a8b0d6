//! Relays one published port (docker-proxy).

use std::process::ExitCode;

fn main() -> ExitCode {
    corten_proxy::run(std::env::args_os().skip(1))
}
