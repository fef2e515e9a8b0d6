//! Who dies, found before the work begins where it is there already.

use std::{fs, os::fd::AsFd};

use corten_sys::{pidfd::PidFd, poll};
use corten_types::Signal;
use integration_tests::{DEADLINE, Process, Stack, processes, wait_for_some};

use crate::victim;

/// The program that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Engine,
    Supervisor,
    /// The shim of the container the work is done to.
    Shim,
    /// The engine's corten-proxy.
    Proxy,
}

impl Victim {
    /// Its process, if it runs already.
    pub fn find(self, stack: &mut Stack, container: Option<&str>) -> Option<PidFd> {
        let pid = match self {
            Victim::Engine => Some(stack.engine_pid()),
            Victim::Supervisor => Some(stack.supervisor_pid()),
            Victim::Proxy => Some(wait_for_some("corten-proxy to run", DEADLINE, || proxy(stack))),
            Victim::Shim => container.and_then(shim),
        };
        pid.and_then(|pid| PidFd::open(pid).ok())
    }

    /// Kills it and waits for its end.
    pub fn kill(self, stack: &mut Stack, process: &PidFd) {
        // One that has ended already is as good.
        let _ = process.send(Signal::KILL);
        if self == Victim::Engine {
            stack.kill_engine();
        } else {
            let ended = poll::readable(&[process.as_fd()], Some(DEADLINE)).expect("a pidfd can be waited for");
            assert_eq!(ended, [true], "{self:?} does not die");
        }
    }

    /// Starts again what does not come back by itself.
    pub fn revive(self, stack: &mut Stack) {
        if self == Victim::Engine {
            stack.restart_engine();
        }
    }
}

/// The shim of the container of that id.
fn shim(id: &str) -> Option<u32> {
    let is_shim = |process: &Process| process.state != 'Z' && victim::Victim::Shim.is(process, id);
    processes().into_iter().find(is_shim).map(|process| process.pid)
}

/// The corten-proxy that serves the engine.
fn proxy(stack: &mut Stack) -> Option<u32> {
    let socket = stack.cortend().exec_root().join("proxy.sock").display().to_string();
    let is_proxy = |process: &Process| {
        process.state != 'Z' && process.name.starts_with("corten-proxy") && process.arguments.contains(&socket)
    };
    processes().into_iter().find(is_proxy).map(|process| process.pid)
}

/// How many sockets, network namespaces and processes corten-proxy has descriptors of. Its pipes are a stock.
pub fn held_by_proxy(stack: &mut Stack) -> usize {
    let is_held = |entry: &fs::DirEntry| {
        let target = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        ["socket:", "net:", "anon_inode:[pidfd]"].iter().any(|kind| target.starts_with(kind))
    };
    let count = |pid: u32| {
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.flatten().filter(is_held).count())
    };
    proxy(stack).map_or(0, count)
}
