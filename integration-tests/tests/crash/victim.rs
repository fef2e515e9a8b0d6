//! Who dies, and how it is found.

use integration_tests::{Process, Stack, process, processes, send_signal};

use crate::operation::Subject;

/// The program that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Engine,
    Supervisor,
    /// The shim of the container the operation is done to.
    Shim,
    /// A runtime that works on that container.
    Runtime,
}

impl Victim {
    /// Kills it if it is there; whether it was.
    pub fn kill(self, stack: &mut Stack, subject: &Subject) -> bool {
        match self {
            Victim::Engine | Victim::Supervisor => self.kill_daemon(stack),
            Victim::Shim | Victim::Runtime => {
                let id = subject.id.as_deref().expect("these cells begin with a container");
                let found = processes().into_iter().find(|process| self.is(process, id));
                return found.is_some_and(|process| send_signal(process.pid, "KILL"));
            }
        }
        true
    }

    /// Kills one that is always there.
    pub fn kill_daemon(self, stack: &mut Stack) {
        match self {
            Victim::Engine => stack.kill_engine(),
            Victim::Supervisor => stack.kill_supervisor(),
            Victim::Shim | Victim::Runtime => unreachable!("they belong to a container"),
        }
    }

    /// Starts again what does not come back by itself.
    pub fn revive(self, stack: &mut Stack) {
        match self {
            Victim::Engine => stack.restart_engine(),
            Victim::Supervisor => stack.restart_supervisor(),
            Victim::Shim | Victim::Runtime => {}
        }
    }

    /// Whether the victim has to be waited for: it exists only for part of the operation.
    pub fn comes_and_goes(self) -> bool {
        matches!(self, Victim::Shim | Victim::Runtime)
    }

    /// Whether that process is it, for the container of that id.
    pub fn is(self, process: &Process, id: &str) -> bool {
        let arguments = &process.arguments;
        let says = |word: &str| arguments.iter().any(|argument| argument == word);
        let is_shim = says("-id") || says("--id");
        match self {
            // The one that stays, not the call that starts it: that is still the daemon's child.
            Victim::Shim => is_shim && says(id) && !says("delete") && !is_daemons_child(process),
            Victim::Runtime => !is_shim && says(id) && (says("--log") || says("--root")),
            Victim::Engine | Victim::Supervisor => false,
        }
    }
}

fn is_daemons_child(child: &Process) -> bool {
    process(child.parent)
        .is_some_and(|parent| parent.name.starts_with("containerd") || parent.name.starts_with("corten-super"))
}
