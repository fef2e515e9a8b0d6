//! The caller's side: a runtime's program and the options every call has, and per verb a command ready to be spawned.
//!
//! Nothing is spawned here: a shim reaps its children itself and must see the process id before it ends.

use std::path::PathBuf;
use std::process::Command as Process;

use crate::arguments::{Command, Create, Delete, Exec, Global, Invocation, Kill, ListFormat, Ps, Update};
use crate::argv::argv;

/// A runtime to call: runc, or anything with its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The program.
    pub binary: PathBuf,
    /// The options before the command.
    pub global: Global,
}

impl Runtime {
    /// `create`: exits 0 with the first process waiting for [`Runtime::start`].
    #[must_use]
    pub fn create(&self, arguments: Create) -> Process {
        self.process(Command::Create(arguments))
    }

    /// `start`: exits 0 once the first process goes on.
    #[must_use]
    pub fn start(&self, id: &str) -> Process {
        self.process(Command::Start(id.to_owned()))
    }

    /// `exec`: with `detach` exits 0 once the process runs, 255 when it cannot.
    #[must_use]
    pub fn exec(&self, arguments: Exec) -> Process {
        self.process(Command::Exec(Box::new(arguments)))
    }

    /// `kill`.
    #[must_use]
    pub fn kill(&self, arguments: Kill) -> Process {
        self.process(Command::Kill(arguments))
    }

    /// `delete`.
    #[must_use]
    pub fn delete(&self, arguments: Delete) -> Process {
        self.process(Command::Delete(arguments))
    }

    /// `state`: prints [`crate::state::State`] as JSON.
    #[must_use]
    pub fn state(&self, id: &str) -> Process {
        self.process(Command::State(id.to_owned()))
    }

    /// `ps --format json`: prints an array of process ids.
    #[must_use]
    pub fn ps(&self, id: &str) -> Process {
        self.process(Command::Ps(Ps { id: id.to_owned(), format: ListFormat::Json, options: Vec::new() }))
    }

    /// `pause`.
    #[must_use]
    pub fn pause(&self, id: &str) -> Process {
        self.process(Command::Pause(id.to_owned()))
    }

    /// `resume`.
    #[must_use]
    pub fn resume(&self, id: &str) -> Process {
        self.process(Command::Resume(id.to_owned()))
    }

    /// `update --resources -`: reads the limits as JSON from standard input.
    #[must_use]
    pub fn update(&self, id: &str) -> Process {
        let resources = Some(PathBuf::from("-"));
        self.process(Command::Update(Box::new(Update { id: id.to_owned(), resources, limits: Vec::new() })))
    }

    fn process(&self, command: Command) -> Process {
        let mut process = Process::new(&self.binary);
        process.args(argv(&Invocation { global: self.global.clone(), command }));
        process
    }
}
