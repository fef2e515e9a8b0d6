//! The system call filter, in the child. What comes after it is done under it: write and read on the socket, identity
//! and capabilities where the process may gain privileges, the wait for start, execve.

use std::os::fd::{AsRawFd, BorrowedFd};

use corten_sys::{descriptors, files, seccomp};

use super::report::{At, Fault, Report, Stage, send};
use crate::plan::ProcessPlan;

/// Installs the filter and has the parent take the listener, if there is one.
pub(super) fn install(process: &ProcessPlan, socket: BorrowedFd<'_>) -> Result<(), Fault> {
    let Some(filter) = &process.seccomp else { return Ok(()) };
    let Some(listener) = seccomp::install(&filter.program, filter.flags).at(Stage::Filter)? else { return Ok(()) };
    // By its number and not in a message: sendmsg may be a call that waits for the listener, write never is.
    let report = Report::Listener(listener.as_raw_fd());
    let mut byte = [0u8];
    let taken = send(socket, &report).is_ok() && matches!(files::read(socket, &mut byte), Ok(1));
    if taken { Ok(()) } else { descriptors::exit_now(255) }
}

/// Installs the filter of a process that gains no privileges, as close to its execve as the parent's answer allows: its
/// author need not know what came before.
pub(super) fn install_last(process: &ProcessPlan, socket: BorrowedFd<'_>) -> Result<(), Fault> {
    if process.no_new_privileges { install(process, socket) } else { Ok(()) }
}
