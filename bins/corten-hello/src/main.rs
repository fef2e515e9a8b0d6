//! The demo image's program: reads /proc and prints what isolates it.
//!
//! It stands alone in its image, so it uses nothing but the standard library and is linked statically.
//! Reading order: [`facts`] says what is printed, [`capabilities`] and [`limits`] serve it.

mod capabilities;
mod facts;
mod limits;

use std::{
    env,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

const GREETING: &str = "Hello from Corten: this program runs in a container.";

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is all that is left to say it on; that it fails too changes nothing.
            drop(writeln!(io::stderr(), "corten-hello: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match arguments.first().map(String::as_str) {
        None => {
            writeln!(out, "{GREETING}\n")?;
            for (name, value) in facts::all(Path::new("/proc")) {
                writeln!(out, "  {name:<16}{value}")?;
            }
            writeln!(out)
        }
        Some("--version") => writeln!(out, "corten-hello version {}", env!("CARGO_PKG_VERSION")),
        Some(other) => {
            let message = format!("unknown argument {other:?}; without one it prints what isolates it");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}
