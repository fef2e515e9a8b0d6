//! The standard input of a process: one place that bytes are written to, from a fifo or from clients.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::OwnedFd,
    rc::Rc,
};

use corten_sys::fifo;
use tokio::{
    io::unix::AsyncFd,
    sync::{Mutex, Notify},
};

/// Where input is written: the process's pipe, or its terminal.
pub(super) struct Input {
    /// Held while one piece is written, so that pieces of two clients do not mix.
    turn: Mutex<()>,
    end: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
    closed: Cell<bool>,
    /// Told when the input is connected or closed.
    changed: Notify,
}

impl Input {
    /// Input that is connected later, by [`Input::connect`].
    pub(super) fn new() -> Self {
        Self { turn: Mutex::new(()), end: RefCell::new(None), closed: Cell::new(false), changed: Notify::new() }
    }

    /// Says where input goes.
    pub(super) fn connect(&self, end: Rc<AsyncFd<OwnedFd>>) {
        if !self.closed.get() {
            self.end.replace(Some(end));
            self.changed.notify_waiters();
        }
    }

    /// Writes `bytes`; waits while the process does not read, and for a terminal that is still being made: what a
    /// client types before the process has started is its first input.
    ///
    /// # Errors
    /// `BrokenPipe` when the process reads no more.
    pub(super) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        while !bytes.is_empty() {
            let end = self.connected().await?;
            let mut ready = end.writable().await?;
            match fifo::write(end.get_ref(), bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn connected(&self) -> io::Result<Rc<AsyncFd<OwnedFd>>> {
        loop {
            if let Some(end) = self.end.borrow().clone() {
                return Ok(end);
            }
            if self.closed.get() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.changed.notified().await;
        }
    }

    /// Ends the input after what is being written. A terminal stays: there it is the process's output too.
    pub(super) async fn close(&self) {
        let _turn = self.turn.lock().await;
        self.close_now();
    }

    /// Ends the input at once.
    pub(super) fn close_now(&self) {
        self.closed.set(true);
        self.end.replace(None);
        self.changed.notify_waiters();
    }
}

/// Copies from a fifo until it ends; `input` is closed then.
pub(super) async fn copy(source: AsyncFd<std::fs::File>, input: &Input) {
    let mut buffer = Vec::new();
    loop {
        let Ok(mut ready) = source.readable().await else { break };
        buffer.resize(16 * 1024, 0);
        match fifo::read(source.get_ref(), &mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                if input.write(&buffer[..count]).await.is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear_ready();
                buffer = Vec::new();
            }
            Err(_) => break,
        }
    }
    input.close().await;
}
