//! clone3(2) and the namespaces of namespaces(7): a child in new namespaces, joining others by descriptor.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{cvt, cvt_int, syscall::raw};

/// A set of namespace kinds, as the CLONE_NEW* bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespaces(u64);

impl Namespaces {
    /// No namespace.
    pub const NONE: Self = Self(0);
    /// Mount points.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// Process ids.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// Network devices, addresses, ports.
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u64);
    /// System V IPC and POSIX message queues.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// Host and domain name.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// Users, groups, capabilities.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    /// The view of the cgroup tree.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    /// Boot and monotonic clocks.
    pub const TIME: Self = Self(0x80);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every kind of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set holds nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What [`clone`] returns in each process.
#[derive(Debug)]
pub enum Cloned {
    /// In the caller: the child's id in the caller's pid namespace, and a handle on it.
    Parent {
        /// The child's process id.
        pid: i32,
        /// A pidfd of the child, close-on-exec.
        pidfd: OwnedFd,
    },
    /// In the child, which has a copy of all memory and descriptors.
    Child,
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts a child in the given new namespaces, and in the v2 cgroup whose directory is `cgroup` (Linux 5.7).
///
/// The child shares nothing with the caller and runs on a copy of its stack.
///
/// # Errors
/// `ENOSPC` when a limit on nested or total namespaces is reached, `EPERM`, `EBUSY` when `cgroup` cannot hold
/// processes, `EAGAIN` at a limit of processes; `EINVAL` when the process has more than one thread and asks for a
/// user namespace.
///
/// # Panics
/// Never: the check below is on the number of threads, and is an error.
pub fn clone(new: Namespaces, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let flags = new.0;
    fork(CloneArgs { flags, exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() }, cgroup)
}

/// As [`clone`], but the new process is the child of the caller's parent, which is told of its end as of the caller's
/// (`CLONE_PARENT`).
///
/// # Errors
/// As [`clone`]; `EINVAL` for the first process of a pid namespace.
pub fn clone_sibling(new: Namespaces, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    fork(CloneArgs { flags: new.0 | libc::CLONE_PARENT as u64, ..CloneArgs::default() }, cgroup)
}

/// A copy of this process with the calling thread alone (fork(3)), whatever other threads there are: the C library
/// leaves its allocator usable in it. Locks of other libraries may stay held for ever there.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
pub fn copy_process() -> io::Result<Cloned> {
    // SAFETY: fork takes nothing; what the child may call is the caller's care, as told above.
    let pid = cvt_int(unsafe { libc::fork() })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // It is our child, which stays until it is waited for, so that the number cannot be another's.
    let pidfd = crate::pidfd::PidFd::open(pid.unsigned_abs())?;
    Ok(Cloned::Parent { pid, pidfd: pidfd.into() })
}

fn fork(mut arguments: CloneArgs, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    arguments.flags |= libc::CLONE_PIDFD as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    if let Some(directory) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a fork: the child gets a copy of all memory and returns here as the parent
    // does. The programs that call it have one thread, so no lock can be held by a thread that is not copied.
    let pid = cvt(unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: CLONE_PIDFD made the kernel store a new descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent { pid: pid as i32, pidfd })
}

/// Enters the namespace(s) that `fd` refers to: a namespace file with one kind, or a pidfd with several (Linux 5.8).
///
/// A pid or time namespace takes effect for children only (setns(2)).
///
/// # Errors
/// `EINVAL` when `fd` is of another kind, or is the caller's own user namespace; `EPERM`.
pub fn enter(fd: BorrowedFd<'_>, kinds: Namespaces) -> io::Result<()> {
    // SAFETY: setns takes two integers.
    cvt_int(unsafe { libc::setns(raw(fd), kinds.0 as libc::c_int) })?;
    Ok(())
}

/// Moves the caller into new namespaces (unshare(2)).
///
/// # Errors
/// As [`clone`].
pub fn unshare(new: Namespaces) -> io::Result<()> {
    // SAFETY: unshare takes an integer.
    cvt_int(unsafe { libc::unshare(new.0 as libc::c_int) })?;
    Ok(())
}

/// Sets the host name of the caller's UTS namespace.
///
/// # Errors
/// `EINVAL` beyond 64 bytes, `EPERM`.
pub fn set_hostname(name: &CStr) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`, which is only read.
    cvt_int(unsafe { libc::sethostname(name.as_ptr(), name.to_bytes().len()) })?;
    Ok(())
}

/// Sets the NIS domain name of the caller's UTS namespace.
///
/// # Errors
/// `EINVAL` beyond 64 bytes, `EPERM`.
pub fn set_domainname(name: &CStr) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`, which is only read.
    cvt_int(unsafe { libc::setdomainname(name.as_ptr(), name.to_bytes().len()) })?;
    Ok(())
}
