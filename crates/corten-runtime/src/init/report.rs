//! What the child says to the parent: packets of fixed size, without any allocation.

use std::io;
use std::os::fd::BorrowedFd;

use corten_sys::{descriptors, files};

/// What the child was doing: a list of the plan, or a single step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Leaving the parent's session.
    Session,
    /// Joining a v1 cgroup.
    JoinCgroup,
    /// Becoming root of a user namespace.
    BecomeRoot,
    /// Joining a namespace.
    JoinNamespace,
    /// Making the cgroup namespace.
    CgroupNamespace,
    /// Joining a session keyring.
    Keyring,
    /// Cutting the mount namespace off the host's.
    Isolate,
    /// Bringing the loopback device up.
    Loopback,
    /// Setting the host name.
    Hostname,
    /// Setting the domain name.
    Domainname,
    /// Setting a kernel parameter.
    Sysctl,
    /// Attaching the root filesystem.
    Root,
    /// Mounting.
    Mount,
    /// Making a device.
    Device,
    /// Making the links of /dev.
    DeviceLinks,
    /// Making the terminal.
    Console,
    /// Masking a path.
    Mask,
    /// Making a path read-only.
    Readonly,
    /// Changing the root.
    Pivot,
    /// Setting the root's propagation or read-only attribute.
    RootAttributes,
    /// Closing descriptors.
    Descriptors,
    /// Giving the standard streams to the user.
    Streams,
    /// Changing the directory.
    Cwd,
    /// Setting capabilities.
    Capabilities,
    /// Setting user and groups.
    Identity,
    /// Limits of the process.
    Limits,
    /// Giving up privileges to gain.
    NoNewPrivileges,
    /// Installing the system call filter.
    Filter,
    /// Looking the program up.
    Lookup,
    /// Waiting for start.
    Wait,
    /// Running a hook inside the container.
    Hook,
    /// Executing the program.
    Execute,
    /// Entering an AppArmor profile.
    Confine,
    /// Setting an SELinux label.
    Label,
    /// Sharing time: policy, block devices, execution domain, CPUs.
    Schedule,
    /// Setting how readily it is killed for memory.
    OomScore,
    /// Making the time namespace.
    TimeNamespace,
    /// Entering the network namespace that the parent made.
    JoinNetwork,
}

/// What about it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// The stage itself.
    It,
    /// Opening the target.
    Target,
    /// Opening the source.
    Source,
    /// Setting an option of a filesystem.
    Option,
    /// Making the filesystem.
    Create,
    /// Setting attributes.
    Attributes,
    /// Attaching.
    Attach,
    /// Changing the owner.
    Owner,
    /// Copying what is covered.
    Copy,
}

const STAGES: [Stage; 38] = [
    Stage::Session,
    Stage::JoinCgroup,
    Stage::BecomeRoot,
    Stage::JoinNamespace,
    Stage::CgroupNamespace,
    Stage::Keyring,
    Stage::Isolate,
    Stage::Loopback,
    Stage::Hostname,
    Stage::Domainname,
    Stage::Sysctl,
    Stage::Root,
    Stage::Mount,
    Stage::Device,
    Stage::DeviceLinks,
    Stage::Console,
    Stage::Mask,
    Stage::Readonly,
    Stage::Pivot,
    Stage::RootAttributes,
    Stage::Descriptors,
    Stage::Streams,
    Stage::Cwd,
    Stage::Capabilities,
    Stage::Identity,
    Stage::Limits,
    Stage::NoNewPrivileges,
    Stage::Filter,
    Stage::Lookup,
    Stage::Wait,
    Stage::Hook,
    Stage::Execute,
    Stage::Confine,
    Stage::Label,
    Stage::Schedule,
    Stage::OomScore,
    Stage::TimeNamespace,
    Stage::JoinNetwork,
];

const OPERATIONS: [Operation; 9] = [
    Operation::It,
    Operation::Target,
    Operation::Source,
    Operation::Option,
    Operation::Create,
    Operation::Attributes,
    Operation::Attach,
    Operation::Owner,
    Operation::Copy,
];

/// The longest message of the kernel that is carried: a fault stays small enough to return by value.
pub(super) const MESSAGE_BYTES: usize = 96;

/// A failure in the child.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What it was doing.
    pub stage: Stage,
    /// What about it failed.
    pub operation: Operation,
    /// The place in the plan's list.
    pub index: u32,
    /// The kernel's error number.
    pub errno: i32,
    message: [u8; MESSAGE_BYTES],
    message_length: u8,
}

impl Fault {
    /// A failure of `stage` at `index`.
    #[must_use]
    pub fn new(stage: Stage, operation: Operation, index: usize, error: &io::Error) -> Self {
        let (errno, index) = (error.raw_os_error().unwrap_or(0), u32::try_from(index).unwrap_or(u32::MAX));
        Self { stage, operation, index, errno, message: [0; MESSAGE_BYTES], message_length: 0 }
    }

    /// Adds what the kernel said about a mount.
    #[must_use]
    pub fn with_message(mut self, message: &[u8]) -> Self {
        let length = message.len().min(MESSAGE_BYTES);
        self.message[..length].copy_from_slice(&message[..length]);
        self.message_length = length as u8;
        self
    }

    /// What the kernel said, if anything.
    #[must_use]
    pub fn message(&self) -> String {
        String::from_utf8_lossy(&self.message[..usize::from(self.message_length)]).trim().to_owned()
    }

    /// The error number as an error.
    #[must_use]
    pub fn error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

/// Adds the place to an error.
pub trait At<T> {
    /// The error happened at `stage` as a whole.
    fn at(self, stage: Stage) -> Result<T, Fault>;
    /// The error happened at `index` of the list that `stage` walks.
    fn at_index(self, stage: Stage, operation: Operation, index: usize) -> Result<T, Fault>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, stage: Stage) -> Result<T, Fault> {
        self.at_index(stage, Operation::It, 0)
    }

    fn at_index(self, stage: Stage, operation: Operation, index: usize) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(stage, operation, index, &error))
    }
}

/// A packet from the child.
#[derive(Debug, Clone, Copy)]
pub enum Report {
    /// It needs its id maps written.
    MapIds,
    /// The namespaces and mounts are there: host hooks may run.
    HostHooks,
    /// It will run hooks itself and needs the container's state as text: first as it is before the root is changed,
    /// then as it is after start was asked for.
    StateForHooks,
    /// It has made a time namespace, whose offsets are to be written before it enters.
    TimeOffsets,
    /// A tree of its own mounts needs the owners of its step.
    IdMap {
        /// Its descriptor there.
        number: i32,
        /// The step's place in the plan.
        step: u32,
    },
    /// It has installed a filter whose listener is this descriptor of its own.
    Listener(i32),
    /// It waits to be told to go on, or will before its execve.
    Ready,
    /// It failed and has ended.
    Failed(Fault),
}

const PACKET_BYTES: usize = 16 + MESSAGE_BYTES;

/// Sends a report.
///
/// # Errors
/// `EPIPE` when the parent is gone.
pub fn send(socket: BorrowedFd<'_>, report: &Report) -> io::Result<()> {
    let mut packet = [0u8; PACKET_BYTES];
    packet[0] = match report {
        Report::MapIds => 1,
        Report::HostHooks => 2,
        Report::StateForHooks => 3,
        Report::Ready => 4,
        Report::Listener(number) => {
            packet[4..8].copy_from_slice(&number.to_le_bytes());
            6
        }
        Report::TimeOffsets => 7,
        Report::IdMap { number, step } => {
            packet[4..8].copy_from_slice(&number.to_le_bytes());
            packet[8..12].copy_from_slice(&step.to_le_bytes());
            8
        }
        Report::Failed(fault) => {
            packet[1] = fault.stage as u8;
            packet[2] = fault.operation as u8;
            packet[3] = fault.message_length;
            packet[4..8].copy_from_slice(&fault.index.to_le_bytes());
            packet[8..12].copy_from_slice(&fault.errno.to_le_bytes());
            packet[16..].copy_from_slice(&fault.message);
            5
        }
    };
    files::write(socket, &packet)
}

/// Sends a report and waits for the parent's answer. When the parent is gone nobody knows of this process: it ends.
pub(super) fn ask(socket: BorrowedFd<'_>, report: &Report) {
    tell(socket, report);
    await_answer(socket);
}

/// Sends a report whose answer is waited for later.
pub(super) fn tell(socket: BorrowedFd<'_>, report: &Report) {
    if send(socket, report).is_err() {
        descriptors::exit_now(SETUP_FAILED)
    }
}

/// Waits for the answer to a report.
pub(super) fn await_answer(socket: BorrowedFd<'_>) {
    let mut byte = [0u8];
    if !matches!(files::read(socket, &mut byte), Ok(1)) {
        descriptors::exit_now(SETUP_FAILED)
    }
}

/// The status of a first process that could not become its program (runc's).
pub(super) const SETUP_FAILED: i32 = 255;

/// Receives a report; `None` when the child's end is closed.
///
/// # Errors
/// Those of read(2); `InvalidData` for a packet the child does not send.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Report>> {
    let mut packet = [0u8; PACKET_BYTES];
    let length = match files::read(socket, &mut packet) {
        // It ended without having read all it was sent. The error comes first and once, what it said is behind it.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => files::read(socket, &mut packet)?,
        result => result?,
    };
    if length == 0 {
        return Ok(None);
    }
    let number = i32::from_le_bytes([packet[4], packet[5], packet[6], packet[7]]);
    let step = u32::from_le_bytes([packet[8], packet[9], packet[10], packet[11]]);
    let report = match (length, packet[0]) {
        (PACKET_BYTES, 1) => Some(Report::MapIds),
        (PACKET_BYTES, 2) => Some(Report::HostHooks),
        (PACKET_BYTES, 3) => Some(Report::StateForHooks),
        (PACKET_BYTES, 4) => Some(Report::Ready),
        (PACKET_BYTES, 6) => Some(Report::Listener(number)),
        (PACKET_BYTES, 7) => Some(Report::TimeOffsets),
        (PACKET_BYTES, 8) => Some(Report::IdMap { number, step }),
        (PACKET_BYTES, 5) => fault(&packet).map(Report::Failed),
        _ => None,
    };
    report.map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn fault(packet: &[u8; PACKET_BYTES]) -> Option<Fault> {
    let number = |at: usize| packet[at..at + 4].try_into().map(u32::from_le_bytes).ok();
    let mut message = [0; MESSAGE_BYTES];
    message.copy_from_slice(&packet[16..]);
    Some(Fault {
        stage: *STAGES.get(usize::from(packet[1]))?,
        operation: *OPERATIONS.get(usize::from(packet[2]))?,
        index: number(4)?,
        errno: number(8)? as i32,
        message,
        message_length: packet[3].min(MESSAGE_BYTES as u8),
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn every_stage_and_operation_has_its_own_number() {
        assert!(STAGES.iter().enumerate().all(|(number, stage)| *stage as usize == number));
        assert!(OPERATIONS.iter().enumerate().all(|(number, operation)| *operation as usize == number));
    }

    #[test]
    fn a_fault_is_heard_of_a_child_that_has_not_read_all_it_was_sent() {
        let (parent, child) = corten_sys::descriptors::packet_pair().expect("a pair");
        files::write(parent.as_fd(), b"0").expect("sends");
        let error = io::Error::from_raw_os_error(13);
        send(child.as_fd(), &Report::Failed(Fault::new(Stage::Mount, Operation::It, 7, &error))).expect("sends");
        drop(child);
        assert!(matches!(receive(parent.as_fd()).expect("receives"), Some(Report::Failed(_))));
        assert!(receive(parent.as_fd()).expect("closed").is_none());
    }

    #[test]
    fn a_fault_crosses_the_socket_whole() {
        let (parent, child) = corten_sys::descriptors::packet_pair().expect("a pair");
        let error = io::Error::from_raw_os_error(13);
        let fault = Fault::new(Stage::Mount, Operation::Option, 7, &error).with_message(b"e proc: Unknown parameter");
        send(child.as_fd(), &Report::Failed(fault)).expect("sends");
        drop(child);
        let Some(Report::Failed(found)) = receive(parent.as_fd()).expect("receives") else { panic!("no fault") };
        assert_eq!((found.stage, found.operation, found.index, found.errno), (Stage::Mount, Operation::Option, 7, 13));
        assert_eq!(found.message(), "e proc: Unknown parameter");
        assert!(receive(parent.as_fd()).expect("closed").is_none());
    }
}
