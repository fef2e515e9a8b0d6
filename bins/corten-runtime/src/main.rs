//! The OCI runtime (runc).

use std::process::ExitCode;

/// The program lives for milliseconds and has one thread: memory is never given back.
#[global_allocator]
static MEMORY: corten_runtime::Memory = corten_runtime::Memory::new();

fn main() -> ExitCode {
    ExitCode::from(corten_runtime::cli::main())
}
