//! The log: `--log`, `--log-format`. It is a value that is handed on: a program which links this crate has its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use corten_runtime_api::arguments::{Global, LogFormat};
use corten_runtime_api::log::{json_line, text_line};
use corten_sys::files::O_SYNC;

use crate::clock;

/// Where is told what happened beside a verb's result; by default nowhere.
#[derive(Debug, Default)]
pub struct Log {
    destination: Destination,
    format: LogFormat,
    is_debug: bool,
}

#[derive(Debug, Default)]
enum Destination {
    #[default]
    Nowhere,
    StandardError,
    File(File),
}

impl Log {
    /// As the command line says.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(global: &Global) -> io::Result<Self> {
        let destination = match &global.log {
            Some(path) if path != Path::new("/dev/stderr") => {
                let mut options = OpenOptions::new();
                options.append(true).create(true).mode(0o644).custom_flags(O_SYNC);
                Destination::File(options.open(path)?)
            }
            _ => Destination::StandardError,
        };
        Ok(Self { destination, format: global.log_format, is_debug: global.debug })
    }

    /// As text on standard error.
    #[must_use]
    pub fn on_standard_error() -> Self {
        Self { destination: Destination::StandardError, ..Self::default() }
    }

    /// What failed, and the end of the program: to the log, and in plain words to standard error when that is
    /// elsewhere.
    pub fn error(&self, message: &str) {
        self.write("error", message);
        if matches!(self.destination, Destination::File(_)) {
            let _ = writeln!(io::stderr(), "{message}"); // standard error may be closed
        }
    }

    /// Something was left behind, and the program went on.
    pub fn warn(&self, message: &str) {
        self.write("warning", message);
    }

    /// What is being done, with `--debug`.
    pub fn debug(&self, message: &str) {
        if self.is_debug {
            self.write("debug", message);
        }
    }

    fn write(&self, level: &str, message: &str) {
        let line = || match self.format {
            LogFormat::Json => json_line(level, message, &clock::now_seconds()),
            LogFormat::Text => text_line(level, message, &clock::now_seconds()),
        };
        let written = match &self.destination {
            Destination::Nowhere => Ok(()),
            Destination::StandardError => io::stderr().write_all(line().as_bytes()),
            Destination::File(file) => (&*file).write_all(line().as_bytes()),
        };
        let _ = written; // there is nowhere to say that the log cannot be written
    }
}
