//! What the other thread has of this one.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
};

use corten_relay::{Subject, names::Directory};
use corten_sys::eventfd::EventFd;
use corten_types::Identifier;

use super::{Sockets, thread::Answering};

/// Room for a message, a few calls, and some more.
const STACK_BYTES: usize = 256 * 1024;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    Serve(Identifier, Arc<Sockets>),
    Drop(Identifier),
    Refresh(Vec<Subject>),
    Leave,
}

/// A command, and where its answer goes.
pub(super) type Told = (Command, SyncSender<Result<(), String>>);

/// The thread. It ends with this.
#[derive(Debug)]
pub struct Handle {
    commands: Sender<Told>,
    wake: Arc<EventFd>,
    /// Signalled when it has left.
    gone: Arc<EventFd>,
}

/// The thread's end of it.
#[derive(Debug)]
pub(super) struct Orders {
    pub commands: Receiver<Told>,
    pub wake: Arc<EventFd>,
    pub gone: Arc<EventFd>,
}

impl Handle {
    /// Starts the thread; names are read below `names`.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`, `EAGAIN`.
    pub fn start(names: &Path) -> io::Result<Handle> {
        let (commands, received) = mpsc::channel();
        let (wake, gone) = (Arc::new(EventFd::new()?), Arc::new(EventFd::new()?));
        let orders = Orders { commands: received, wake: wake.clone(), gone: gone.clone() };
        let mut answering = Answering::new(Directory::at(names), orders)?;
        let builder = thread::Builder::new().name("resolver".to_owned()).stack_size(STACK_BYTES);
        builder.spawn(move || answering.run())?;
        Ok(Handle { commands, wake, gone })
    }

    /// Answers on `sockets` what `container` may know.
    ///
    /// # Errors
    /// A sentence.
    pub fn serve(&self, container: &Identifier, sockets: Arc<Sockets>) -> Result<(), String> {
        self.tell(Command::Serve(container.clone(), sockets))
    }

    /// Lets go of all of `container`'s.
    pub fn drop_container(&self, container: &Identifier) {
        // It cannot fail: what is not there is dropped already.
        let _ = self.tell(Command::Drop(container.clone()));
    }

    /// Reads files again.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn refresh(&self, subjects: Vec<Subject>) -> Result<(), String> {
        self.tell(Command::Refresh(subjects))
    }

    /// Takes no questions any more, and ends when those that were taken are answered.
    pub fn leave(&self) {
        let _ = self.tell(Command::Leave); // it cannot fail
    }

    /// Readable once it has left.
    pub fn gone(&self) -> &EventFd {
        &self.gone
    }

    fn tell(&self, command: Command) -> Result<(), String> {
        let (answer, answered) = mpsc::sync_channel(1);
        let failed = || "the thread that answers names has ended".to_owned();
        self.commands.send((command, answer)).map_err(|_| failed())?;
        self.wake.signal().map_err(|error| error.to_string())?;
        answered.recv().unwrap_or_else(|_| Err(failed()))
    }
}
