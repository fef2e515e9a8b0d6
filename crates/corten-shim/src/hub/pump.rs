//! One process in the hub, and the pumps that carry its outputs to their sinks.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::OwnedFd,
    rc::Rc,
};

use corten_stdio::{LogWriter, StdinMode, Stream};
use corten_sys::fifo;
use tokio::io::unix::AsyncFd;

use super::{client::Client, input::Input, sink::Sink};

/// Bytes per read: a pipe's whole buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// A process and where its bytes go.
pub(super) struct Process {
    pub(super) input: Input,
    pub(super) terminal: bool,
    log: RefCell<Option<LogWriter>>,
    log_failed: Cell<bool>,
    clients: RefCell<Vec<Rc<Client>>>,
    stdin_mode: Option<StdinMode>,
    /// All output is drained: clients that come now are let go at once.
    over: Cell<bool>,
}

impl Process {
    /// A process without clients.
    pub(super) fn new(log: Option<LogWriter>, stdin_mode: Option<StdinMode>, terminal: bool) -> Self {
        Self {
            input: Input::new(),
            terminal,
            log: RefCell::new(log),
            log_failed: Cell::new(false),
            clients: RefCell::default(),
            stdin_mode,
            over: Cell::new(false),
        }
    }

    /// All output is in its sinks: the log is closed, and clients go once they have everything.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.input.close_now();
        drop(self.log.borrow_mut().take());
        self.clients.borrow().iter().for_each(|client| client.end());
    }

    /// How clients write to it; `None` when they do not.
    pub(super) fn stdin_mode(&self) -> Option<StdinMode> {
        self.stdin_mode
    }

    /// Gives the client every byte from now on.
    pub(super) fn add(&self, client: Rc<Client>) {
        let mut clients = self.clients.borrow_mut();
        // A process that writes nothing would otherwise collect clients that have left.
        clients.iter().for_each(|client| client.look());
        if self.over.get() {
            client.end();
        }
        clients.push(client);
    }

    /// Forgets the client.
    pub(super) fn remove(&self, client: &Rc<Client>) {
        self.clients.borrow_mut().retain(|other| !Rc::ptr_eq(other, client));
    }

    fn write_log(&self, write: impl FnOnce(&mut LogWriter) -> io::Result<()>) {
        let mut log = self.log.borrow_mut();
        let Some(log) = log.as_mut() else { return };
        match write(log) {
            Ok(()) => self.log_failed.set(false),
            // Said once: the container goes on, as in docker.
            Err(error) if !self.log_failed.replace(true) => tracing::error!(%error, "output is not logged"),
            Err(_) => {}
        }
    }

    async fn deliver(&self, stream: Stream, bytes: &[u8]) {
        self.write_log(|log| log.write(stream, bytes));
        if self.clients.borrow().is_empty() {
            return;
        }
        let clients = self.clients.borrow().clone();
        clients.iter().for_each(|client| client.push(stream, bytes));
        for client in clients {
            client.room().await;
        }
    }
}

/// Reads one output to its end. At a terminal's end, when the last process has closed it, reading
/// fails with EIO.
pub(super) async fn pump(source: Rc<AsyncFd<OwnedFd>>, sink: Sink, stream: Stream, process: Rc<Process>) {
    loop {
        let Ok(mut ready) = source.readable().await else { break };
        let mut buffer = take_buffer();
        let result = fifo::read(source.get_ref(), &mut buffer);
        match result {
            Ok(0) => break,
            Ok(count) => {
                match &sink {
                    Sink::Ours => process.deliver(stream, &buffer[..count]).await,
                    other => {
                        if let Err(error) = other.write(&buffer[..count]).await {
                            tracing::error!(%error, "output is lost");
                        }
                    }
                }
                give_back(buffer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear_ready();
                give_back(buffer);
            }
            Err(_) => break,
        }
    }
    process.write_log(|log| log.finish(stream));
}

thread_local! {
    /// A buffer nobody uses: pumps that are idle own none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn take_buffer() -> Vec<u8> {
    let mut buffer = SPARE.take();
    buffer.resize(BUFFER_BYTES, 0);
    buffer
}

fn give_back(buffer: Vec<u8>) {
    SPARE.set(buffer);
}
