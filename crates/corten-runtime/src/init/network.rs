//! The network namespace, which takes the kernel longer to make than all others: the parent makes it while the child
//! mounts, and sends it over before the child comes to what depends on it.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::clone::{self, Namespaces};
use corten_sys::syscall::HERE;
use corten_sys::{descriptors, files, loopback, scm};

use super::limits;
use super::report::{At, Fault, SETUP_FAILED, Stage};
use super::spawn::{Init, InitError, spawn_error};
use crate::plan::{NamespacePlan, Plan, Source, Step};

/// Filesystems that are the same in every network namespace.
const INDEPENDENT: [&[u8]; 6] = [b"proc", b"tmpfs", b"devpts", b"mqueue", b"cgroup", b"cgroup2"];

/// Whether the parent makes it: it must own what the child's user namespace owns, and the child must have nothing to ask
/// before, because the namespace is the first answer it gets.
pub(super) fn is_lent(namespaces: &NamespacePlan) -> bool {
    let new = namespaces.new;
    new.contains(Namespaces::NETWORK) && !new.contains(Namespaces::TIME) && !namespaces.has_own_users()
}

/// Makes it in the parent and gives it to the child. What was opened is left in `spent`.
pub(super) fn lend(plan: &Plan, child: &Init, spent: &mut Vec<OwnedFd>) -> Result<(), InitError> {
    let own = here().map_err(spawn_error("open the runtime's own network namespace"))?;
    clone::unshare(Namespaces::NETWORK).map_err(|why| limits::refused(plan.namespaces.new, why))?;
    let made = loopback::up().map_err(spawn_error("bring the loopback device up")).and_then(|lo| {
        spent.push(lo);
        here().map_err(spawn_error("open the new network namespace"))
    });
    clone::enter(own.as_fd(), Namespaces::NETWORK)
        .map_err(spawn_error("return to the runtime's own network namespace"))?;
    let made = made?;
    // A child that has failed by now tells why.
    let _ = child.give(made.as_fd());
    spent.extend([own, made]);
    Ok(())
}

fn here() -> io::Result<OwnedFd> {
    files::open(HERE, c"/proc/thread-self/ns/net", files::O_RDONLY, 0)
}

/// The child's side.
#[derive(Debug)]
pub(super) struct Awaited {
    is_pending: Cell<bool>,
}

impl Awaited {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { is_pending: Cell::new(is_lent(&plan.namespaces)) }
    }

    /// Enters it, when that was not done. Without a parent nobody knows of this process: it ends.
    pub(super) fn enter(&self, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        if !self.is_pending.replace(false) {
            return Ok(());
        }
        let mut byte = [0u8];
        let Ok((1, Some(network))) = scm::receive_one(socket, &mut byte) else { descriptors::exit_now(SETUP_FAILED) };
        let entered = clone::enter(network.as_fd(), Namespaces::NETWORK);
        descriptors::leave_to_exec(network);
        entered.at(Stage::JoinNetwork)
    }

    /// As [`Self::enter`], when what `step` makes shows the network or the step has a question.
    pub(super) fn enter_before(&self, step: &Step, socket: BorrowedFd<'_>) -> Result<(), Fault> {
        let needs_it = match step {
            Step::Link { .. } => false,
            Step::Mount(step) => match &step.source {
                Source::New { fstype, .. } => !INDEPENDENT.contains(&fstype.as_bytes()),
                Source::Bind { .. } => false,
                Source::Inside { .. } => true,
            },
        };
        if needs_it { self.enter(socket) } else { Ok(()) }
    }
}

/// What is left for the child to make in its clone.
pub(super) fn without_lent(namespaces: &NamespacePlan) -> Namespaces {
    if is_lent(namespaces) { namespaces.new.without(Namespaces::NETWORK) } else { namespaces.new }
}

/// For a child that made its own.
pub(super) fn bring_loopback_up() -> io::Result<()> {
    loopback::up().map(descriptors::leave_to_exec)
}
