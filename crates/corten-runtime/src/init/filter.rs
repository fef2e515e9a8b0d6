//! The system call filter, in the child. What comes after it is done under it: write and read on the socket, identity
//! and capabilities where the process may gain privileges, the wait for start, execve.

//!
//! The parent makes it while the child mounts, unless the child may ask for something before: it is the parent's next word
//! after the network namespace.

use std::os::fd::{AsRawFd, BorrowedFd};

use corten_seccomp::profile::NEW_LISTENER;
use corten_seccomp::program::INSTRUCTIONS_MAX;
use corten_sys::clone::Namespaces;
use corten_sys::{descriptors, files, seccomp};

use super::report::{At, Fault, Report, SETUP_FAILED, Stage, send};
use super::spawn::{Init, InitError};
use crate::plan::{Plan, ProcessPlan, SeccompPlan, Source, Step};

/// In the parent, before the clone: makes the filter now when the child's first question may come before its need of it.
/// Returns where the child puts one that is made later.
pub(super) fn prepare(plan: &Plan, has_host_hooks: bool) -> Result<Vec<u64>, InitError> {
    let has_hooks = has_host_hooks || !plan.create_container.is_empty() || !plan.start_container.is_empty();
    let has_question = |step: &Step| matches!(step, Step::Mount(step) if matches!(step.source, Source::Inside { .. }));
    let asks_first = has_hooks
        || plan.namespaces.has_own_users()
        || plan.namespaces.new.contains(Namespaces::TIME)
        || plan.steps.iter().any(has_question);
    if asks_first {
        plan.process.filter.make()?;
    }
    // Zeroes that nobody has touched: they are no memory yet.
    Ok(vec![0; if plan.process.filter.is_to_be_made() { 1 + INSTRUCTIONS_MAX } else { 0 }])
}

/// In the parent, beside the child: makes the filter and gives it to the child, its flags first.
pub(super) fn lend(process: &ProcessPlan, child: &Init) -> Result<(), InitError> {
    if !process.filter.is_to_be_made() {
        return Ok(());
    }
    // A profile may say nothing: then there is no program after the flags.
    let (flags, program) = process.filter.make()?.map_or((0, [].as_slice()), |filter| (filter.flags, &filter.program));
    let words = std::iter::once(u64::from(flags)).chain(program.iter().copied());
    // A child that has failed by now tells why.
    let _ = child.answer_with(&words.flat_map(u64::to_ne_bytes).collect::<Vec<u8>>());
    Ok(())
}

/// In the child: takes what the parent made. Without a parent nobody knows of this process: it ends.
pub(super) fn receive(process: &ProcessPlan, mut program: Vec<u64>, socket: BorrowedFd<'_>) {
    if !process.filter.is_to_be_made() {
        return;
    }
    let length = files::read_words(socket, &mut program).unwrap_or(0);
    if length == 0 {
        descriptors::exit_now(SETUP_FAILED);
    }
    program.truncate(length);
    let flags = program.remove(0) as u32;
    let filter = SeccompPlan { program, flags, listener: None };
    process.filter.keep(Some(filter).filter(|filter| !filter.program.is_empty()));
}

/// Whether installing it makes a question to the parent.
pub(super) fn has_listener(process: &ProcessPlan) -> bool {
    process.filter.get().is_some_and(|filter| filter.flags & NEW_LISTENER != 0)
}

/// Installs the filter and has the parent take the listener, if there is one.
pub(super) fn install(process: &ProcessPlan, socket: BorrowedFd<'_>) -> Result<(), Fault> {
    if process.filter.is_to_be_made() {
        // Never without it.
        descriptors::exit_now(SETUP_FAILED);
    }
    let Some(filter) = process.filter.get() else { return Ok(()) };
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
