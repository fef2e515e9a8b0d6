//! What a running command holds: the daemon, the configuration, where output goes.

use crate::config::Config;
use corten_docker_api::client::Client;
use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

/// The surroundings of one command.
#[derive(Debug)]
pub struct Cli {
    /// The daemon.
    pub client: Client,
    /// `config.json`.
    pub config: Config,
    /// Name of the context in use.
    pub context: String,
    /// The name this program was called by; error texts begin with it.
    pub program: String,
    /// Words of the command as they were given, such as `images` or `image ls`.
    pub called_as: String,
    /// Set while signals belong to a container and must not end this program.
    pub forwards_signals: Cell<bool>,
}

impl Cli {
    /// Writes to standard output.
    pub fn print(&self, text: &str) {
        write_or_leave(&mut io::stdout().lock(), text.as_bytes());
    }

    /// Writes a line to standard output.
    pub fn print_line(&self, line: &str) {
        self.print(&format!("{line}\n"));
    }

    /// Writes a line to standard error.
    pub fn warn(&self, line: &str) {
        write_or_leave(&mut io::stderr().lock(), format!("{line}\n").as_bytes());
    }

    /// Whether standard output is a terminal.
    pub fn output_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether standard input is a terminal.
    pub fn input_is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// The line that points to a command's help.
    pub fn see_help(&self, command: &str) -> String {
        format!("Run '{} {command} --help' for more information", self.program)
    }
}

/// Exit status of a program that wrote to a pipe nobody reads (128 + SIGPIPE).
const BROKEN_PIPE_STATUS: i32 = 141;

/// `docker logs x | head` ends quietly when head does.
pub fn write_or_leave(output: &mut impl Write, bytes: &[u8]) {
    let result = output.write_all(bytes).and_then(|()| output.flush());
    if result.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        corten_terminal::raw::restore_now();
        std::process::exit(BROKEN_PIPE_STATUS);
    }
}
