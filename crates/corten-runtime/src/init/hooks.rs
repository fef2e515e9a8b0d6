//! Hooks in the child: in the container's namespaces before the root is changed, and inside after start.

use std::io;
use std::os::fd::AsFd;

use corten_sys::clone::{self, Cloned, Namespaces};
use corten_sys::pidfd::PidFd;
use corten_sys::{descriptors, files, prctl};
use corten_types::Signal;

use super::report::{At, Fault, Operation, Stage};
use crate::plan::ContainerHook;

/// The status of a hook that could not be executed, as a shell has it.
const NOT_EXECUTED: i32 = 127;

/// Runs hooks in order; the first failure ends it. `kind` tells the two lists apart in a fault; `ignored` are the
/// signals this process ignores.
pub(super) fn run(hooks: &[ContainerHook], kind: Operation, state: &[u8], ignored: u64) -> Result<(), Fault> {
    for (index, hook) in hooks.iter().enumerate() {
        let ended = one(hook, state, ignored).at_index(Stage::Hook, kind, index)?;
        if let Some(problem) = ended {
            let error = io::Error::from(io::ErrorKind::Other);
            return Err(Fault::new(Stage::Hook, kind, index, &error).with_message(problem));
        }
    }
    Ok(())
}

/// What is wrong with how it ended; `None` when nothing is.
fn one(hook: &ContainerHook, state: &[u8], ignored: u64) -> io::Result<Option<&'static [u8]>> {
    let (reader, writer) = descriptors::pipe()?;
    let pidfd = match clone::clone(Namespaces::NONE, None)? {
        Cloned::Child => {
            drop(writer);
            let _ = prctl::die_with_parent(true); // cannot fail; without it a hook would outlive its container
            let _ = descriptors::replace_standard_stream(0, reader.as_fd()); // it need not read its input
            let _ = descriptors::execute(&hook.path, &hook.arguments, &hook.environment, ignored);
            descriptors::exit_now(NOT_EXECUTED)
        }
        Cloned::Parent { pidfd, .. } => PidFd::from_owned(pidfd),
    };
    // The whole fits into the pipe, and the end to read from is still open here: the hook need not read it, and no
    // SIGPIPE can end the container's process.
    files::write(writer.as_fd(), state)?;
    drop((reader, writer));
    let [ended] = descriptors::wait_readable([pidfd.as_fd()], hook.timeout_ms)?;
    if !ended {
        let _ = pidfd.send(Signal::KILL); // it may have ended at this moment
    }
    let status = pidfd.wait()?;
    Ok(match status.code() {
        _ if !ended => Some(b"hook ran past specified timeout"),
        0 => None,
        127 => Some(b"exit status 127: it could not be executed"),
        _ => Some(b"it ended with a failure"),
    })
}
