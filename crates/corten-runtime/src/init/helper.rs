//! Joining with a user namespace in play, new or joined: a helper joins, makes the child, and ends.
//!
//! What the host owns is joined with the host's rights, before those of the user namespace take their place, which
//! nobody gets back. The runtime itself keeps them: it removes the container's cgroups and runs hooks of the host. The
//! child is the runtime's all the same (`CLONE_PARENT`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use corten_sys::clone::{self, Cloned, Namespaces};
use corten_sys::pidfd::PidFd;
use corten_sys::syscall::HERE;
use corten_sys::{bump, descriptors, files, prctl};

use super::sentence::{about_oom_score, errno_text};
use super::spawn::{InitError, Kit, clone_kinds, namespace_error, spawn_error};
use super::unified::Unified;
use super::{limits, process, run};
use crate::plan::Plan;

/// What a helper tried in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Making the child, or itself.
    Clone,
    /// Setting how readily the process is killed for memory.
    OomScore,
    /// Writing the offsets of a new time namespace.
    TimeOffsets,
    /// Joining the namespace at this place of the plan's list.
    Join(usize),
}

/// What was tried, and what the kernel said.
pub(super) type Refusal = (Attempt, io::Error);

/// Whether the child has to be made in this way.
pub(super) fn is_needed(plan: &Plan) -> bool {
    plan.namespaces.has_own_users() && !plan.namespaces.joined.is_empty()
}

/// Those that a process can be in whose user namespace does not own them. The mount namespace comes last, in the child:
/// until then paths are the host's.
const BEFORE: Namespaces = Namespaces::PID
    .with(Namespaces::NETWORK)
    .with(Namespaces::IPC)
    .with(Namespaces::UTS)
    .with(Namespaces::TIME)
    .with(Namespaces::CGROUP);

/// Makes the child; what the parent still needs comes back with it. `socket` is the parent's end.
pub(super) fn clone_joined(
    plan: &Plan,
    mut kit: Kit,
    socket: OwnedFd,
    unified: Unified<'_>,
) -> Result<(Kit, OwnedFd, i32, PidFd), InitError> {
    let cloned = by_helper(unified, || {
        if !plan.namespaces.is_user_new() {
            process::oom_score(&plan.process).map_err(|error| (Attempt::OomScore, error))?;
        }
        let offsets = open_time_offsets(plan).map_err(|error| (Attempt::TimeOffsets, error))?;
        // Without the host's rights what is left is tried again with those of the user namespace.
        join(plan, &mut kit, BEFORE, true)?;
        join(plan, &mut kit, Namespaces::USER, false)?;
        join(plan, &mut kit, BEFORE, false)?;
        make_time(plan, offsets)?;
        clone_hidden(clone_kinds(plan))
    });
    let refused = |(attempt, why)| match attempt {
        Attempt::Join(index) => plan.namespaces.joined.get(index).map_or_else(
            || InitError::Died("the process that joins its namespaces ended".to_owned()),
            |joined| namespace_error(joined, why),
        ),
        Attempt::OomScore => InitError::Child(about_oom_score(&plan.process, &errno_text(&why))),
        Attempt::TimeOffsets => spawn_error("write timens_offsets")(why),
        Attempt::Clone => limits::refused(plan.namespaces.new, why),
    };
    match cloned.map_err(refused)? {
        Cloned::Child => {
            drop(socket);
            run::run(plan, kit)
        }
        Cloned::Parent { pid, pidfd } => Ok((kit, socket, pid, PidFd::from_owned(pidfd))),
    }
}

/// Whether the time namespace is made here. In a joined user namespace the child is hidden from its first moment on, also
/// from a runtime without privilege, which then could not write its offsets.
fn makes_time(plan: &Plan) -> bool {
    let namespaces = &plan.namespaces;
    namespaces.new.contains(Namespaces::TIME) && namespaces.has_own_users() && !namespaces.is_user_new()
}

/// Opened by the user who owns the user namespace, or by the host's root: the kernel asks for the rights of who opened
/// the file, and from within the user namespace it is somebody else's.
fn open_time_offsets(plan: &Plan) -> io::Result<Option<OwnedFd>> {
    if !makes_time(plan) || plan.namespaces.time_offsets.is_none() {
        return Ok(None);
    }
    files::open(HERE, c"/proc/self/timens_offsets", files::O_WRONLY, 0).map(Some)
}

/// unshare(2) makes it for children only: the child is born in it.
fn make_time(plan: &Plan, file: Option<OwnedFd>) -> Result<(), Refusal> {
    if !makes_time(plan) {
        return Ok(());
    }
    clone::unshare(Namespaces::TIME).map_err(|error| (Attempt::Clone, error))?;
    if let (Some(file), Some(offsets)) = (file, &plan.namespaces.time_offsets) {
        files::write(file.as_fd(), offsets.as_bytes()).map_err(|error| (Attempt::TimeOffsets, error))?;
    }
    Ok(())
}

/// Enters those of `kinds` that were not entered yet; one without the right to is left when it `may_wait`.
fn join(plan: &Plan, kit: &mut Kit, kinds: Namespaces, may_wait: bool) -> Result<(), Refusal> {
    for (index, (joined, file)) in plan.namespaces.joined.iter().zip(&mut kit.join_namespaces).enumerate() {
        let Some(fd) = file.take_if(|_| kinds.contains(joined.kind)) else { continue };
        match clone::enter(fd.as_fd(), joined.kind) {
            Err(error) if may_wait && error.kind() == io::ErrorKind::PermissionDenied => *file = Some(fd),
            result => result.map_err(|error| (Attempt::Join(index), error))?,
        }
    }
    Ok(())
}

/// Has a helper, in the container's v2 cgroup, do `enter`, which clones the child as the helper's sibling: a child of
/// this process.
///
/// # Errors
/// Those of making the helper; then what `enter` said.
pub(super) fn by_helper(
    unified: Unified<'_>,
    enter: impl FnOnce() -> Result<Cloned, Refusal>,
) -> Result<Cloned, Refusal> {
    let own = |error| (Attempt::Clone, error);
    let (reader, writer) = descriptors::packet_pair().map_err(own)?;
    match unified.clone(Namespaces::NONE).map_err(own)? {
        Cloned::Child => {
            bump::forbid();
            let entered = prctl::die_with_parent(true).map_err(own).and_then(|()| enter());
            let packet = match entered {
                Ok(Cloned::Child) => return Ok(Cloned::Child),
                Ok(Cloned::Parent { pid, .. }) => [pid, 0, 0],
                Err((attempt, error)) => [0, number_of(attempt), error.raw_os_error().unwrap_or(0)],
            };
            let mut bytes = [0u8; 12];
            for (to, number) in bytes.chunks_exact_mut(4).zip(packet) {
                to.copy_from_slice(&number.to_ne_bytes());
            }
            let _ = files::write(writer.as_fd(), &bytes); // a parent that is gone kills the child by its end
            descriptors::exit_now(0)
        }
        Cloned::Parent { pidfd, .. } => {
            drop(writer);
            let mut packet = [0u8; 12];
            let length = files::read(reader.as_fd(), &mut packet);
            let _ = PidFd::from_owned(pidfd).wait(); // it says nothing by its status
            if length.map_err(own)? != packet.len() {
                return Err(own(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            let number = |at: usize| packet[at..at + 4].try_into().map(i32::from_ne_bytes).unwrap_or_default();
            let (pid, attempt, errno) = (number(0), number(4), number(8));
            if pid == 0 {
                return Err((attempt_of(attempt), io::Error::from_raw_os_error(errno)));
            }
            // It is our child, so its number is nobody else's before we have waited for it.
            let pidfd = PidFd::open(pid.unsigned_abs()).map_err(own)?.into_owned();
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

/// Clones a sibling that no process of the container's user can trace, from its first moment on: it is in their user
/// namespace already (CVE-2016-9962).
pub(super) fn clone_hidden(new: Namespaces) -> Result<Cloned, Refusal> {
    let cloned = prctl::forbid_dump().and_then(|()| clone::clone_sibling(new, None));
    cloned.map_err(|error| (Attempt::Clone, error))
}

/// A place in the list is its own number; the others are below.
fn number_of(attempt: Attempt) -> i32 {
    match attempt {
        Attempt::Clone => -1,
        Attempt::OomScore => -2,
        Attempt::TimeOffsets => -3,
        Attempt::Join(index) => i32::try_from(index).unwrap_or(-1),
    }
}

fn attempt_of(number: i32) -> Attempt {
    match (number, usize::try_from(number)) {
        (_, Ok(index)) => Attempt::Join(index),
        (-2, _) => Attempt::OomScore,
        (-3, _) => Attempt::TimeOffsets,
        _ => Attempt::Clone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_crosses_the_socket_whole() {
        for attempt in [Attempt::Clone, Attempt::OomScore, Attempt::TimeOffsets, Attempt::Join(0), Attempt::Join(7)] {
            assert_eq!(attempt_of(number_of(attempt)), attempt);
        }
    }
}
