//! What the task service holds of a process's streams.

use std::os::fd::OwnedFd;

use tokio::sync::{mpsc, watch};

/// What the hub is told about one process.
#[derive(Debug)]
pub(super) enum Command {
    /// The master end of its terminal; copying begins.
    Terminal(OwnedFd),
    /// Output that was held is the process's own, and goes to its sinks.
    Started,
    /// Its standard input is to be closed.
    CloseStdin,
    /// It has ended: what it wrote is drained, then clients are let go.
    Ended,
}

/// The task service's handle on the streams of one process. Dropping it closes them.
#[derive(Debug)]
pub struct Streams {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) drained: watch::Receiver<bool>,
}

impl Streams {
    /// Gives the hub the master end of the process's terminal.
    pub fn set_terminal(&self, master: OwnedFd) {
        self.tell(Command::Terminal(master));
    }

    /// Says that the process runs: see [`Hold`](super::Hold).
    pub fn started(&self) {
        self.tell(Command::Started);
    }

    /// Closes the process's standard input, once everything on its way was written.
    pub fn close_stdin(&self) {
        self.tell(Command::CloseStdin);
    }

    /// Says that the process has ended.
    pub fn ended(&self) {
        self.tell(Command::Ended);
    }

    /// Waits until everything the process wrote is in its sinks; at most some seconds after its end.
    pub async fn drained(&self) {
        let mut drained = self.drained.clone();
        // An error says that the hub has let go of the process, which is the same.
        let _ = drained.wait_for(|drained| *drained).await;
    }

    fn tell(&self, command: Command) {
        // The hub has let go of the process already: nothing is left to do.
        let _ = self.commands.send(command);
    }
}
