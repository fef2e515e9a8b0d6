//! Whether the kernel offers a system call, asked with arguments that every kernel refuses.

use std::io;

/// A system call that not every supported kernel, or not every sandbox, offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemCall {
    /// clone3(2), Linux 5.3; with `CLONE_INTO_CGROUP` since 5.7.
    Clone3,
    /// openat2(2), Linux 5.6.
    Openat2,
    /// pidfd_open(2), Linux 5.3.
    PidfdOpen,
    /// pidfd_send_signal(2), Linux 5.1.
    PidfdSendSignal,
    /// close_range(2), Linux 5.9.
    CloseRange,
    /// open_tree(2), Linux 5.2.
    OpenTree,
    /// move_mount(2), Linux 5.2.
    MoveMount,
    /// fsopen(2), Linux 5.2.
    Fsopen,
    /// mount_setattr(2), Linux 5.12.
    MountSetattr,
}

impl SystemCall {
    /// All of them.
    pub const ALL: [SystemCall; 9] = [
        SystemCall::Clone3,
        SystemCall::Openat2,
        SystemCall::PidfdOpen,
        SystemCall::PidfdSendSignal,
        SystemCall::CloseRange,
        SystemCall::OpenTree,
        SystemCall::MoveMount,
        SystemCall::Fsopen,
        SystemCall::MountSetattr,
    ];

    /// Its name in the manual.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SystemCall::Clone3 => "clone3",
            SystemCall::Openat2 => "openat2",
            SystemCall::PidfdOpen => "pidfd_open",
            SystemCall::PidfdSendSignal => "pidfd_send_signal",
            SystemCall::CloseRange => "close_range",
            SystemCall::OpenTree => "open_tree",
            SystemCall::MoveMount => "move_mount",
            SystemCall::Fsopen => "fsopen",
            SystemCall::MountSetattr => "mount_setattr",
        }
    }

    const fn number(self) -> libc::c_long {
        match self {
            SystemCall::Clone3 => libc::SYS_clone3,
            SystemCall::Openat2 => libc::SYS_openat2,
            SystemCall::PidfdOpen => libc::SYS_pidfd_open,
            SystemCall::PidfdSendSignal => libc::SYS_pidfd_send_signal,
            SystemCall::CloseRange => libc::SYS_close_range,
            SystemCall::OpenTree => libc::SYS_open_tree,
            SystemCall::MoveMount => libc::SYS_move_mount,
            SystemCall::Fsopen => libc::SYS_fsopen,
            SystemCall::MountSetattr => libc::SYS_mount_setattr,
        }
    }

    /// Arguments without a pointer that means anything and without a valid descriptor or flag.
    const fn refused_arguments(self) -> [libc::c_long; 5] {
        const NO_FD: libc::c_long = -1;
        const NO_FLAGS: libc::c_long = 0xffff_ffff;
        match self {
            // A structure of no bytes; no path; the last before the first.
            SystemCall::Clone3 | SystemCall::Openat2 => [0; 5],
            SystemCall::CloseRange => [2, 1, NO_FLAGS, 0, 0],
            SystemCall::PidfdOpen => [-1, NO_FLAGS, 0, 0, 0],
            SystemCall::PidfdSendSignal => [NO_FD, 0, 0, NO_FLAGS, 0],
            SystemCall::OpenTree => [NO_FD, 0, NO_FLAGS, 0, 0],
            SystemCall::MoveMount => [NO_FD, 0, NO_FD, 0, NO_FLAGS],
            SystemCall::Fsopen => [0, NO_FLAGS, 0, 0, 0],
            SystemCall::MountSetattr => [NO_FD, 0, NO_FLAGS, 0, 0],
        }
    }
}

/// Whether the kernel knows `call`.
///
/// A sandbox that answers `ENOSYS` for a call it forbids looks like an old kernel, and is as good as one.
#[must_use]
pub fn is_available(call: SystemCall) -> bool {
    let [a, b, c, d, e] = call.refused_arguments();
    // SAFETY: every pointer among the arguments is null and every size is 0, so the kernel reads and writes no memory
    // of ours; descriptors and flags are invalid, so that it also changes nothing.
    let result = unsafe { libc::syscall(call.number(), a, b, c, d, e) };
    result != -1 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_of_the_tests_has_every_call() {
        for call in SystemCall::ALL {
            assert!(is_available(call), "{}", call.name());
        }
    }
}
