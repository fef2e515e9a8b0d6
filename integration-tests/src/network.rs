//! Working in another network namespace than the machine's: a process's, or one of the test's own.

use std::{
    fs::File,
    os::fd::AsFd,
    panic,
    process::{Command, Stdio},
    thread,
};

use corten_sys::clone::{self, Namespaces};

/// Does `work` in a thread that has entered the network namespace of the process `pid`. Sockets made there stay there,
/// whoever uses them.
///
/// # Panics
/// When there is no such process, and when `work` does.
pub fn in_network_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the process runs");
    in_network(&namespace, work)
}

fn in_network<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    let entered = move || {
        clone::enter(namespace.as_fd(), Namespaces::NETWORK).expect("root may enter any network namespace");
        work()
    };
    // A thread of its own, which is not used again: this one stays where it is.
    thread::scope(|scope| scope.spawn(entered).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
}

/// A network namespace of a test's own, whose loopback interface is up. It lasts as long as the value, or something in it.
#[derive(Debug)]
pub struct PrivateNetwork(File);

impl PrivateNetwork {
    /// Makes one.
    ///
    /// # Panics
    /// When the kernel makes none.
    #[must_use]
    pub fn new() -> PrivateNetwork {
        let made = || {
            clone::unshare(Namespaces::NETWORK).expect("root may have a network namespace");
            corten_sys::loopback::up().expect("the loopback interface can be brought up");
            PrivateNetwork(File::open("/proc/thread-self/ns/net").expect("a thread has a network namespace"))
        };
        thread::scope(|scope| scope.spawn(made).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
    }

    /// Does `work` in a thread that has entered it; processes started there stay there.
    ///
    /// # Panics
    /// When `work` does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network(&self.0, work)
    }
}

impl Default for PrivateNetwork {
    fn default() -> PrivateNetwork {
        PrivateNetwork::new()
    }
}

/// Does `work` in a thread with a network namespace of its own, whose loopback interface is up. Whatever `work` starts is
/// in it as well, and it goes with the last of them.
///
/// # Panics
/// When the kernel makes no namespace, and when `work` does.
pub fn in_own_network<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let inside = move || {
        clone::unshare(Namespaces::NETWORK).expect("root may make network namespaces");
        sh("ip link set lo up");
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
}

/// What the shell's `script` prints, in the network namespace of this thread.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn sh(script: &str) -> String {
    try_sh(script).unwrap_or_else(|complaint| panic!("{script}: {complaint}"))
}

/// As [`sh`], with what it complains of when it fails.
///
/// # Errors
/// Its exit status and all it wrote.
///
/// # Panics
/// When there is no shell.
pub fn try_sh(script: &str) -> Result<String, String> {
    let output = Command::new("sh").arg("-ec").arg(script).stdin(Stdio::null()).output().expect("there is a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr)))
}
