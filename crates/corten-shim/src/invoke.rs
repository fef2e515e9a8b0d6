//! Running the runtime, and learning why it failed.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    process::{Command, Stdio},
};

use corten_runtime_api::log::last_error;
use corten_types::ExitStatus;

use crate::{error::TaskError, reaper::Reaper};

/// Bytes of the runtime's standard error kept for the case that its log says nothing.
const MAX_STDERR_BYTES: usize = 4096;
/// Bytes of the runtime's log that are read: the last error stands at the end.
const MAX_LOG_BYTES: u64 = 1 << 20;

/// Runs `command`, whose standard streams are set, and waits for it.
///
/// # Errors
/// [`TaskError::Runtime`] with the last error of `log` when it fails.
pub async fn run(reaper: &Reaper, verb: &'static str, mut command: Command, log: &Path) -> Result<(), TaskError> {
    let log = Log::at_its_end(log);
    let status = spawn_and_wait(reaper, verb, &mut command).await?;
    // Closes our copies of the process's ends.
    drop(command);
    if status.code() == 0 { Ok(()) } else { Err(failure(verb, status, &log, "")) }
}

/// Runs `command` with `input` on its standard input and its output thrown away.
///
/// # Errors
/// As [`run`]; what it printed stands in for a log without an error.
pub async fn run_quietly(
    reaper: &Reaper,
    verb: &'static str,
    mut command: Command,
    input: &[u8],
    log: &Path,
) -> Result<(), TaskError> {
    let failed = TaskError::io("open pipes for", command.get_program().to_owned());
    let mut pipes = || -> io::Result<_> {
        let (stdin, mut writer) = io::pipe()?;
        let (reader, stderr) = io::pipe()?;
        if input.is_empty() {
            command.stdin(Stdio::null());
        } else {
            command.stdin(stdin);
            // Resources and the like fit the pipe's 64 KiB; more would wait for the runtime.
            writer.write_all(input)?;
        }
        command.stdout(Stdio::null()).stderr(stderr);
        Ok(reader)
    };
    let mut reader = pipes().map_err(failed)?;
    let log = Log::at_its_end(log);
    let status = spawn_and_wait(reaper, verb, &mut command).await?;
    drop(command);
    if status.code() == 0 {
        return Ok(());
    }
    let mut said = vec![0; MAX_STDERR_BYTES];
    // Everything it said is in the pipe: it has ended.
    let count = reader.read(&mut said).unwrap_or(0);
    Err(failure(verb, status, &log, &String::from_utf8_lossy(&said[..count])))
}

async fn spawn_and_wait(reaper: &Reaper, verb: &'static str, command: &mut Command) -> Result<ExitStatus, TaskError> {
    let child = reaper.spawn(command).map_err(|error| TaskError::Runtime {
        verb,
        message: format!("fork/exec {}: {error}", command.get_program().to_string_lossy()),
    })?;
    Ok(reaper.wait(&child).await)
}

/// A runtime's log from where it ended before a call: what stands there is of earlier ones.
struct Log<'a> {
    path: &'a Path,
    start_bytes: u64,
}

impl<'a> Log<'a> {
    fn at_its_end(path: &'a Path) -> Self {
        Self { path, start_bytes: fs::metadata(path).map_or(0, |metadata| metadata.len()) }
    }

    fn read(&self) -> io::Result<String> {
        let mut file = fs::File::open(self.path)?;
        file.seek(SeekFrom::Start(self.start_bytes))?;
        let mut text = String::new();
        file.take(MAX_LOG_BYTES).read_to_string(&mut text)?;
        Ok(text)
    }
}

fn failure(verb: &'static str, status: ExitStatus, log: &Log<'_>, said: &str) -> TaskError {
    // A log that is not there, or no text, has no error to tell.
    let message = last_error(&log.read().unwrap_or_default())
        .or_else(|| said.lines().next_back().map(str::to_owned))
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| format!("the runtime exited with status {} and told no error", status.code()));
    TaskError::Runtime { verb, message }
}
