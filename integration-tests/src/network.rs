//! Working in another process's network namespace.

use std::{fs::File, os::fd::AsFd, panic, thread};

use corten_sys::clone::{self, Namespaces};

/// Does `work` in a thread that has entered the network namespace of the process `pid`. Sockets made there stay there,
/// whoever uses them.
///
/// # Panics
/// When there is no such process, and when `work` does.
pub fn in_network_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the process runs");
    let entered = move || {
        clone::enter(namespace.as_fd(), Namespaces::NETWORK).expect("root may enter any network namespace");
        work()
    };
    // A thread of its own, which is not used again: this one stays where it is.
    thread::scope(|scope| scope.spawn(entered).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
}
