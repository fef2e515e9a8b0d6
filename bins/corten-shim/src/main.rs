//! One container's shim (containerd-shim-runc-v2).

use std::process::ExitCode;

fn main() -> ExitCode {
    corten_shim::run(std::env::args_os().skip(1))
}
