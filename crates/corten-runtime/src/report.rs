//! The log: `--log`, `--log-format`. One program, one thread, so the destination is set once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use corten_runtime_api::arguments::{Global, LogFormat};
use corten_runtime_api::log::{json_line, text_line};
use corten_sys::files::O_SYNC;

use crate::clock;

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    file: Option<File>,
    format: LogFormat,
    is_debug: bool,
}

/// Opens the log.
///
/// # Errors
/// Those of open(2).
pub(crate) fn open(global: &Global) -> io::Result<()> {
    let file = match &global.log {
        Some(path) if path != Path::new("/dev/stderr") => {
            Some(OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(O_SYNC).open(path)?)
        }
        _ => None,
    };
    let _ = LOG.set(Log { file, format: global.log_format, is_debug: global.debug }); // the first one stays
    Ok(())
}

/// What failed, and the end of the program: to the log, and in plain words to standard error when that is elsewhere.
pub(crate) fn error(message: &str) {
    write("error", message);
    if LOG.get().is_some_and(|log| log.file.is_some()) {
        let _ = writeln!(io::stderr(), "{message}"); // standard error may be closed
    }
}

/// Something was left behind, and the program went on.
pub(crate) fn warn(message: &str) {
    write("warning", message);
}

/// What is being done, with `--debug`.
pub(crate) fn debug(message: &str) {
    if LOG.get().is_some_and(|log| log.is_debug) {
        write("debug", message);
    }
}

fn write(level: &str, message: &str) {
    let (log, time) = (LOG.get(), clock::now_seconds());
    let line = match log.map_or(LogFormat::Text, |log| log.format) {
        LogFormat::Json => json_line(level, message, &time),
        LogFormat::Text => text_line(level, message, &time),
    };
    let written = match log.and_then(|log| log.file.as_ref()) {
        Some(mut file) => file.write_all(line.as_bytes()),
        None => io::stderr().write_all(line.as_bytes()),
    };
    let _ = written; // there is nowhere to say that the log cannot be written
}
