//! One command, run to its end, with what it printed.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use crate::wait::poll;

/// How long a command may take; docker's slowest answer in the notes is 17 s.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
/// How long after its end somebody else may hold its output open.
const OUTPUT_DEADLINE: Duration = Duration::from_secs(20);

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command as one would type it.
    pub command: String,
    /// Its exit code; 128 + n when signal n ended it.
    pub code: i32,
    /// Everything it wrote to standard output.
    pub stdout: String,
    /// Everything it wrote to standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Ran {
    /// Runs `command` with nothing on its standard input.
    ///
    /// # Panics
    /// When it cannot be started, or does not end within two minutes.
    #[track_caller]
    #[must_use]
    pub fn of(command: &mut Command) -> Ran {
        Ran::with_input(command, &[])
    }

    /// Runs `command`, writing `input` to its standard input and closing it.
    ///
    /// # Panics
    /// When it cannot be started, or does not end within two minutes.
    #[track_caller]
    #[must_use]
    pub fn with_input(command: &mut Command, input: &[u8]) -> Ran {
        let shown = show(command);
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let started = Instant::now();
        let mut child = match command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => panic!("start `{shown}`: {error}"),
        };
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        if let Some(mut pipe) = child.stdin.take() {
            let input = input.to_vec();
            // A command may end before it has read everything; its status tells the story then.
            thread::spawn(move || drop(pipe.write_all(&input)));
        }
        let Some(code) = poll(COMMAND_DEADLINE, || exit_code(&mut child)) else {
            let _ = child.kill();
            let _ = child.wait();
            let (out, err) = (text(&stdout), text(&stderr));
            panic!("waited {COMMAND_DEADLINE:?} for the end of `{shown}`\nstdout: {out}\nstderr: {err}");
        };
        let took = started.elapsed();
        Ran { command: shown, code, stdout: text(&stdout), stderr: text(&stderr), took }
    }

    /// Itself, when it exited with 0.
    ///
    /// # Panics
    /// With all it printed, when it did not.
    #[track_caller]
    #[must_use]
    pub fn ok(self) -> Ran {
        self.code(0)
    }

    /// Itself, when it exited with `expected`.
    ///
    /// # Panics
    /// With all it printed, when it did not.
    #[track_caller]
    #[must_use]
    pub fn code(self, expected: i32) -> Ran {
        assert_eq!(
            self.code, expected,
            "`{}` exited with {}, not {expected}\nstdout: {}\nstderr: {}",
            self.command, self.code, self.stdout, self.stderr
        );
        self
    }

    /// Standard output without white space at its ends.
    #[must_use]
    pub fn out(&self) -> &str {
        self.stdout.trim()
    }

    /// Standard error without white space at its ends.
    #[must_use]
    pub fn err(&self) -> &str {
        self.stderr.trim()
    }
}

/// `command` as one would type it.
#[must_use]
pub(crate) fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let plain = !argument.is_empty()
            && !argument.contains([' ', '\n', '\'', '"', '$', ';', '&', '|', '<', '>', '*', '(', ')']);
        shown.push(' ');
        if plain {
            shown.push_str(&argument);
        } else {
            shown.push('\'');
            shown.push_str(&argument.replace('\'', r"'\''"));
            shown.push('\'');
        }
    }
    shown
}

fn exit_code(child: &mut Child) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let status = child.try_wait().expect("the child is ours and was not waited for")?;
    Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// Reads `pipe` to its end in a thread of its own, so that neither pipe can fill up.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = pipe?;
        let mut piece = [0; 65536];
        while let Ok(count @ 1..) = pipe.read(&mut piece) {
            sender.send(piece[..count].to_vec()).ok()?;
        }
        Some(())
    });
    receiver
}

/// What was collected, waiting for the end for a while: a daemon that a command left behind may hold its output.
fn text(pieces: &Receiver<Vec<u8>>) -> String {
    let end = Instant::now() + OUTPUT_DEADLINE;
    let mut bytes = Vec::new();
    while let Ok(piece) = pieces.recv_timeout(end.saturating_duration_since(Instant::now())) {
        bytes.extend(piece);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gives_its_output_and_exit_code() {
        let ran = Ran::with_input(Command::new("sh").args(["-c", "cat; echo err >&2; exit 42"]), b"in");
        assert_eq!((ran.code, ran.out(), ran.err()), (42, "in", "err"));
    }

    #[test]
    fn a_signal_is_128_and_its_number() {
        assert_eq!(Ran::of(Command::new("sh").args(["-c", "kill -9 $$"])).code, 137);
    }

    #[test]
    fn the_command_is_shown_as_typed() {
        assert_eq!(show(Command::new("sh").args(["-c", "echo it's"])), r"sh -c 'echo it'\''s'");
    }
}
