//! Hooks in the child: in the container's namespaces before the root is changed, and inside after start.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use corten_sys::clone::{self, Cloned, Namespaces};
use corten_sys::pidfd::PidFd;
use corten_sys::{descriptors, files, prctl};
use corten_types::Signal;

use super::report::{At, Fault, MESSAGE_BYTES, Operation, Stage};
use crate::plan::ContainerHook;

/// The status of a hook that could not be executed, as a shell has it.
const NOT_EXECUTED: i32 = 127;

/// Runs hooks in order; the first failure ends it. `kind` tells the two lists apart in a fault; `ignored` are the
/// signals this process ignores.
pub(super) fn run(hooks: &[ContainerHook], kind: Operation, state: &[u8], ignored: u64) -> Result<(), Fault> {
    for (index, hook) in hooks.iter().enumerate() {
        if let Some(problem) = one(hook, state, ignored).at_index(Stage::Hook, kind, index)? {
            let error = io::Error::from(io::ErrorKind::Other);
            return Err(Fault::new(Stage::Hook, kind, index, &error).with_message(problem.text()));
        }
    }
    Ok(())
}

/// What is wrong with how it ended; `None` when nothing is.
fn one(hook: &ContainerHook, state: &[u8], ignored: u64) -> io::Result<Option<Problem>> {
    let (reader, writer) = descriptors::pipe()?;
    let (output, output_writer) = descriptors::pipe()?;
    let pidfd = match clone::clone(Namespaces::NONE, None)? {
        Cloned::Child => {
            drop((writer, output));
            let _ = prctl::die_with_parent(true); // cannot fail; without it a hook would outlive its container
            let _ = descriptors::replace_standard_stream(0, reader.as_fd()); // it need not read its input
            for stream in [1, 2] {
                let _ = descriptors::replace_standard_stream(stream, output_writer.as_fd()); // as above
            }
            let _ = descriptors::execute(&hook.path, &hook.arguments, &hook.environment, ignored);
            descriptors::exit_now(NOT_EXECUTED)
        }
        Cloned::Parent { pidfd, .. } => PidFd::from_owned(pidfd),
    };
    drop(output_writer);
    // The whole fits into the pipe, and the end to read from is still open here: the hook need not read it, and no
    // SIGPIPE can end the container's process.
    files::write(writer.as_fd(), state)?;
    drop((reader, writer));
    let mut problem = Problem::default();
    let ended = listen(&pidfd, output.as_fd(), hook.timeout_ms, &mut problem)?;
    if !ended {
        let _ = pidfd.send(Signal::KILL); // it may have ended at this moment
    }
    let status = pidfd.wait()?;
    if !ended {
        return Ok(Some(Problem::of(b"hook ran past specified timeout")));
    }
    let mut number = [0u8; 3];
    Ok(match status.code() {
        0 => None,
        127 => Some(Problem::of(b"exit status: 127, it could not be executed")),
        code => {
            let mut whole = Problem::default();
            match deadly_signal(code) {
                // A shell whose program a signal ended passes it on by its own status: one says it like the other.
                Some(name) => {
                    whole.add(b"signal: ");
                    whole.add(name);
                }
                None => {
                    whole.add(b"exit status: ");
                    whole.add(decimal(code, &mut number));
                }
            }
            whole.add(b", output: ");
            whole.add(problem.text());
            Some(whole)
        }
    })
}

/// Reads what the hook says until it ends, and keeps the beginning; `false` when its time ran out.
fn listen(pidfd: &PidFd, output: BorrowedFd<'_>, timeout_ms: Option<i32>, said: &mut Problem) -> io::Result<bool> {
    let mut buffer = [0u8; 512];
    // Not moved on by output: a hook that talks for ever is ended, too.
    let deadline = timeout_ms.map(|limit| Instant::now() + Duration::from_millis(limit.unsigned_abs().into()));
    let mut is_open = true;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_millis());
        let left = left.map(|left| i32::try_from(left).unwrap_or(i32::MAX));
        let source = if is_open { output } else { pidfd.as_fd() };
        let [has_ended, has_said] = descriptors::wait_readable([pidfd.as_fd(), source], left)?;
        if has_said && is_open {
            match files::read(output, &mut buffer)? {
                0 => is_open = false,
                length => said.add(&buffer[..length]),
            }
        }
        // What it left running may go on talking.
        if has_ended || !has_said {
            return Ok(has_ended);
        }
    }
}

/// What went wrong, in the words a fault can carry.
struct Problem {
    text: [u8; MESSAGE_BYTES],
    length: usize,
}

impl Default for Problem {
    fn default() -> Self {
        Self { text: [0; MESSAGE_BYTES], length: 0 }
    }
}

impl Problem {
    fn of(text: &[u8]) -> Self {
        let mut problem = Self::default();
        problem.add(text);
        problem
    }

    /// Adds as much as there is room for.
    fn add(&mut self, text: &[u8]) {
        let room = &mut self.text[self.length..];
        let length = text.len().min(room.len());
        room[..length].copy_from_slice(&text[..length]);
        self.length += length;
    }

    fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// What ended a process of this status, in the words of Go, which runc says it in; `None` when it ended by itself or by
/// a signal that a hook does not end by as a rule.
fn deadly_signal(code: u32) -> Option<&'static [u8]> {
    const NAMES: [(u32, &[u8]); 9] = [
        (4, b"illegal instruction"),
        (6, b"aborted"),
        (7, b"bus error"),
        (8, b"floating point exception"),
        (9, b"killed"),
        (11, b"segmentation fault"),
        (13, b"broken pipe"),
        (15, b"terminated"),
        (31, b"bad system call"),
    ];
    NAMES.iter().find(|(number, _)| code == 128 + number).map(|(_, name)| *name)
}

/// `code`, at most three digits, in decimal.
fn decimal(code: u32, digits: &mut [u8; 3]) -> &[u8] {
    let mut rest = code;
    let mut start = digits.len();
    while start > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    &digits[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_in_decimal() {
        for (code, text) in [(0, "0"), (3, "3"), (137, "137"), (255, "255")] {
            assert_eq!(decimal(code, &mut [0; 3]), text.as_bytes());
        }
    }

    #[test]
    fn the_signal_that_ended_a_hook_is_named() {
        assert_eq!(deadly_signal(128 + 31), Some(&b"bad system call"[..]));
        assert_eq!((deadly_signal(1), deadly_signal(128), deadly_signal(128 + 64)), (None, None, None));
    }

    #[test]
    fn what_has_no_room_is_cut() {
        let mut problem = Problem::of(&[b'a'; MESSAGE_BYTES - 1]);
        problem.add(b"bcd");
        assert_eq!((problem.text().len(), problem.text().last()), (MESSAGE_BYTES, Some(&b'b')));
    }
}
