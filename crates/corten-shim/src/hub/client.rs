//! An attached client: its queue of output, and its input.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use corten_stdio::{AttachRequest, Framing, Stream, attach::HandedOver, framing};
use corten_sys::{fifo, poll};
use tokio::{io::unix::AsyncFd, sync::Notify};

use crate::readiness;

use super::{busy_clients, detach::Detach, input::Input};

/// Bytes that wait for a slow client before the process has to wait: enough for a burst, bounded so that
/// a client that never reads costs no more.
const QUEUE_BYTES: usize = 1 << 20;
/// Time a client has for the last bytes after the end of the process, before it is cut off.
const LAST_BYTES_WITHIN: Duration = Duration::from_secs(600);

/// A client.
pub(super) struct Client {
    socket: AsyncFd<OwnedFd>,
    request: AttachRequest,
    queue: RefCell<Queue>,
    /// There is something to write, or nothing more will come.
    wake: Notify,
    /// There is room in the queue again, or the client is gone.
    room: Notify,
    gone: Cell<bool>,
    ending: Cell<bool>,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// How much of `bytes` is written.
    written: usize,
}

impl Queue {
    fn length(&self) -> usize {
        self.bytes.len() - self.written
    }
}

/// How a client's input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputEnd {
    /// It closed its side.
    Closed,
    /// It typed the detach keys.
    Detached,
    /// The process reads no more.
    Refused,
}

impl Client {
    /// Takes over a client that was handed over.
    ///
    /// # Errors
    /// Those of fcntl(2) and epoll_ctl(2): it is no socket.
    pub(super) fn new(handed_over: HandedOver) -> io::Result<(Rc<Self>, Vec<u8>)> {
        fifo::set_nonblocking(&handed_over.client, true)?;
        let client = Self {
            socket: readiness::register(handed_over.client)?,
            request: handed_over.request,
            queue: RefCell::default(),
            wake: Notify::new(),
            room: Notify::new(),
            gone: Cell::new(false),
            ending: Cell::new(false),
        };
        Ok((Rc::new(client), handed_over.read_ahead))
    }

    /// Whether the client writes to the process.
    pub(super) fn has_stdin(&self) -> bool {
        self.request.stdin
    }

    /// Cuts the client off.
    pub(super) fn cut_off(&self) {
        self.gone.set(true);
        self.wake.notify_one();
        self.room.notify_waiters();
    }

    /// Lets the client go once it has everything.
    pub(super) fn end(&self) {
        self.ending.set(true);
        self.wake.notify_one();
    }

    /// Gives output to the client; what does not go out at once waits in its queue.
    pub(super) fn push(&self, stream: Stream, bytes: &[u8]) {
        let wanted = match stream {
            Stream::Stdout => self.request.stdout,
            Stream::Stderr => self.request.stderr,
        };
        if self.gone.get() || self.ending.get() || !wanted {
            return;
        }
        let was_empty = {
            let mut queue = self.queue.borrow_mut();
            let was_empty = queue.length() == 0;
            if self.request.framing == Framing::Multiplexed {
                // One piece is at most a pump's buffer, far below 4 GiB.
                queue.bytes.extend_from_slice(&framing::header(stream, bytes.len() as u32));
            }
            queue.bytes.extend_from_slice(bytes);
            was_empty
        };
        if was_empty {
            busy_clients().send_modify(|count| *count += 1);
            // Most clients take it at once; the writer is woken for the rest only.
            self.flush();
            if self.queue.borrow().length() > 0 || self.gone.get() {
                self.wake.notify_one();
            }
        }
    }

    /// Waits while the queue is full.
    pub(super) async fn room(&self) {
        loop {
            let room = self.room.notified();
            if self.gone.get() || self.queue.borrow().length() <= QUEUE_BYTES {
                return;
            }
            room.await;
        }
    }

    /// Writes what goes out without waiting.
    fn flush(&self) {
        let mut queue = self.queue.borrow_mut();
        if queue.length() == 0 {
            return;
        }
        while !self.gone.get() && queue.length() > 0 {
            match fifo::write(self.socket.get_ref(), &queue.bytes[queue.written..]) {
                Ok(count) => queue.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.gone.set(true),
            }
        }
        if queue.length() == 0 || self.gone.get() {
            *queue = Queue::default();
            busy_clients().send_modify(|count| *count -= 1);
        } else if queue.written >= QUEUE_BYTES / 4 {
            let written = std::mem::take(&mut queue.written);
            queue.bytes.drain(..written);
        }
        if self.gone.get() || queue.length() <= QUEUE_BYTES {
            self.room.notify_waiters();
        }
    }

    /// Writes the queue as the client reads it, until the client is let go. Its socket is closed when
    /// the last reference goes.
    pub(super) async fn write(&self) {
        while !self.gone.get() {
            if self.queue.borrow().length() == 0 {
                if self.ending.get() {
                    break;
                }
                self.wake.notified().await;
                continue;
            }
            let writable = async {
                if let Ok(mut ready) = self.socket.writable().await {
                    self.flush();
                    if self.queue.borrow().length() > 0 {
                        ready.clear_ready();
                    }
                } else {
                    self.gone.set(true);
                }
            };
            if self.ending.get() {
                if tokio::time::timeout(LAST_BYTES_WITHIN, writable).await.is_err() {
                    self.gone.set(true);
                }
            } else {
                tokio::select! {
                    () = writable => {}
                    () = self.wake.notified() => {}
                }
            }
        }
        self.gone.set(true);
        // Gives back what a client that left did not take.
        let left = self.queue.take().length();
        if left > 0 {
            busy_clients().send_modify(|count| *count -= 1);
        }
        self.room.notify_waiters();
    }

    /// Reads what the client types until it ends.
    pub(super) async fn read(&self, read_ahead: Vec<u8>, input: &Input) -> InputEnd {
        let mut detach = Detach::new(self.request.detach_keys.clone());
        let mut buffer = read_ahead;
        loop {
            if !buffer.is_empty() {
                let typed = detach.feed(&buffer);
                let refused = input.write(&typed.bytes).await.is_err();
                if typed.detached {
                    return InputEnd::Detached;
                }
                if refused {
                    return InputEnd::Refused;
                }
            }
            buffer = match self.next().await {
                Some(bytes) => bytes,
                None => return InputEnd::Closed,
            };
        }
    }

    async fn next(&self) -> Option<Vec<u8>> {
        loop {
            let mut ready = self.socket.readable().await.ok()?;
            let mut buffer = vec![0; 16 * 1024];
            match fifo::read(self.socket.get_ref(), &mut buffer) {
                Ok(0) => return None,
                Ok(count) => {
                    buffer.truncate(count);
                    return Some(buffer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(_) => return None,
            }
        }
    }

    /// Notices a client that has closed both directions while nothing was written to it.
    pub(super) fn look(&self) {
        if poll::hung_up(&[self.socket.get_ref().as_fd()]).is_ok_and(|hung_up| hung_up[0]) {
            self.cut_off();
        }
    }
}
