//! Joining with a user namespace in play, new or joined: a helper joins, makes the child, and ends.
//!
//! What the host owns is joined with the host's rights, before those of the user namespace take their place, which
//! nobody gets back. The runtime itself keeps them: it removes the container's cgroups and runs hooks of the host. The
//! child is the runtime's all the same (`CLONE_PARENT`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::clone::{self, Cloned, Namespaces};
use corten_sys::pidfd::PidFd;
use corten_sys::{descriptors, files, prctl};

use super::run;
use super::spawn::{InitError, Kit, clone_kinds, namespace_error, spawn_error};
use crate::plan::Plan;

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
    kit: Kit,
    socket: OwnedFd,
    unified: Option<BorrowedFd<'_>>,
) -> Result<(Kit, OwnedFd, i32, PidFd), InitError> {
    let (reader, writer) = descriptors::packet_pair().map_err(spawn_error("make a socket pair"))?;
    let helper = match clone::clone(Namespaces::NONE, None).map_err(spawn_error("clone a helper"))? {
        Cloned::Child => {
            // The child must see the parent's end close when the parent is gone.
            drop((socket, reader));
            help(plan, kit, unified, writer)
        }
        Cloned::Parent { pidfd, .. } => PidFd::from_owned(pidfd),
    };
    drop(writer);
    let mut packet = [0u8; 12];
    let length = files::read(reader.as_fd(), &mut packet).map_err(spawn_error("hear from the helper"))?;
    let _ = helper.wait(); // it says nothing by its status
    match Outcome::of(&packet[..length]) {
        Some(Outcome::Made(pid)) => {
            let handle = PidFd::open(pid.unsigned_abs()).map_err(spawn_error("find the process"))?;
            Ok((kit, socket, pid, handle))
        }
        Some(Outcome::NotJoined(index, errno)) => {
            let why = io::Error::from_raw_os_error(errno);
            Err(plan.namespaces.joined.get(index).map_or_else(
                || spawn_error("clone a process into new namespaces")(io::Error::from_raw_os_error(errno)),
                |joined| namespace_error(joined, why),
            ))
        }
        None => Err(InitError::Died("the process that joins its namespaces ended".to_owned())),
    }
}

/// The helper's life.
fn help(plan: &Plan, mut kit: Kit, unified: Option<BorrowedFd<'_>>, writer: OwnedFd) -> ! {
    const CLONE: usize = usize::MAX;
    let prepared = prctl::die_with_parent(true).and_then(|()| prctl::forbid_dump()).map_err(|error| (CLONE, error));
    // Without the host's rights what is left is tried again with those of the user namespace.
    let joined = prepared
        .and_then(|()| join(plan, &mut kit, BEFORE, true))
        .and_then(|()| join(plan, &mut kit, Namespaces::USER, false))
        .and_then(|()| join(plan, &mut kit, BEFORE, false));
    let cloned = joined.and_then(|()| clone::clone_sibling(clone_kinds(plan), unified).map_err(|error| (CLONE, error)));
    let outcome = match cloned {
        Ok(Cloned::Child) => {
            drop(writer);
            run::run(plan, kit)
        }
        Ok(Cloned::Parent { pid, .. }) => Outcome::Made(pid),
        Err((index, error)) => Outcome::NotJoined(index, error.raw_os_error().unwrap_or(0)),
    };
    let _ = files::write(writer.as_fd(), &outcome.packet()); // a parent that is gone kills the child by its end
    descriptors::exit_now(0)
}

/// Enters those of `kinds` that were not entered yet; one without the right to is left when it `may_wait`.
fn join(plan: &Plan, kit: &mut Kit, kinds: Namespaces, may_wait: bool) -> Result<(), (usize, io::Error)> {
    for (index, (joined, file)) in plan.namespaces.joined.iter().zip(&mut kit.join_namespaces).enumerate() {
        let Some(fd) = file.take_if(|_| kinds.contains(joined.kind)) else { continue };
        match clone::enter(fd.as_fd(), joined.kind) {
            Err(error) if may_wait && error.kind() == io::ErrorKind::PermissionDenied => *file = Some(fd),
            result => result.map_err(|error| (index, error))?,
        }
    }
    Ok(())
}

/// How it went, in one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The child's process id.
    Made(i32),
    /// The place in the list of joined namespaces, or none of it when the clone failed; and the error.
    NotJoined(usize, i32),
}

impl Outcome {
    fn packet(self) -> [u8; 12] {
        let (pid, index, errno) = match self {
            Self::Made(pid) => (pid, 0, 0),
            Self::NotJoined(index, errno) => (0, u32::try_from(index).unwrap_or(u32::MAX), errno),
        };
        let mut packet = [0; 12];
        packet[..4].copy_from_slice(&pid.to_le_bytes());
        packet[4..8].copy_from_slice(&index.to_le_bytes());
        packet[8..].copy_from_slice(&errno.to_le_bytes());
        packet
    }

    fn of(packet: &[u8]) -> Option<Self> {
        let number = |at: usize| packet.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes);
        let (pid, index, errno) = (number(0)?, number(4)?, number(8)?);
        Some(if pid > 0 { Self::Made(pid) } else { Self::NotJoined(index.cast_unsigned() as usize, errno) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_crosses_the_socket_whole() {
        for outcome in [Outcome::Made(77), Outcome::NotJoined(3, 1)] {
            assert_eq!(Outcome::of(&outcome.packet()), Some(outcome));
        }
        assert_eq!(
            Outcome::of(&Outcome::NotJoined(usize::MAX, 1).packet()),
            Some(Outcome::NotJoined(u32::MAX as usize, 1))
        );
        assert_eq!(Outcome::of(&[]), None);
    }
}
