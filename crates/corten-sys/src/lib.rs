//! Linux system calls as safe functions: the one library of the workspace with `unsafe` code.
//!
//! One file per man-page family. Descriptors are `OwnedFd` or `BorrowedFd` from the line the kernel
//! returns them, and close-on-exec. Errors are `io::Error` with the kernel's errno; the caller adds the
//! noun. Paths inside a container's tree go through [`openat2::InRootfs`], which nothing can turn into
//! a host path.

pub mod allocator;
pub mod apparmor;
pub mod at;
pub mod atomic_file;
pub mod bpf;
pub mod bump;
pub mod clone;
pub mod copy_tree;
pub mod credentials;
pub mod daemon;
pub mod datagrams;
pub mod descriptors;
pub mod entry;
pub mod epoll;
pub mod eventfd;
pub mod executable;
pub mod fifo;
pub mod files;
pub mod filesystem;
pub mod handle;
pub mod inet;
pub mod inotify;
pub mod lock_file;
pub mod loopback;
pub mod mount;
pub mod mount_options;
pub mod netlink;
pub mod openat2;
pub mod packet;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod probe;
pub mod pty;
pub mod rlimit;
pub mod rootfs;
pub mod schedule;
pub mod scm;
pub mod seccomp;
pub mod selinux;
pub mod sockets;
pub mod splice;
pub mod status;
pub mod syscall;
pub mod termios;
pub mod users;
pub mod wait;
pub mod xattr;

use std::io;

/// Turns a system call's `-1` into the errno it left behind.
pub(crate) fn cvt(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// [`cvt`] for calls that return an `int`.
pub(crate) fn cvt_int(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Calls again while a signal interrupts.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
