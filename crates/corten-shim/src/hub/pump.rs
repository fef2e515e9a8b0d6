//! One process in the hub: its outputs are pumped to their sinks until they end, then clients are let go.

use std::{
    cell::{Cell, RefCell},
    fs, io,
    os::fd::OwnedFd,
    path::PathBuf,
    rc::Rc,
    sync::atomic::Ordering,
    time::Duration,
};

use corten_stdio::{LogWriter, StdinMode, Stream};
use corten_sys::fifo;
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::readiness;

use super::{
    ABANDONED_STREAMS,
    client::Client,
    input::{self, Input},
    listener,
    open::{Hold, HubEnds, StdinSource, Target},
    sink::Sink,
    streams::Command,
};

/// Bytes per read: a pipe's whole buffer.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long after its end the outputs of a process are still read, when another process holds them open.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

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

/// Serves a process until it has ended, its output is drained and its clients are let go.
pub(super) async fn serve(
    target: Target,
    ends: HubEnds,
    terminal: bool,
    hold: Hold,
    mut commands: mpsc::UnboundedReceiver<Command>,
    drained: watch::Sender<bool>,
) {
    let Target { stdin, stdout, stderr, ours } = target;
    let mut is_held = hold == Hold::UntilStarted && ours.is_some() && !terminal;
    let (log, listener, attach_socket) = match ours {
        Some(ours) => (ours.log, ours.listener, Some(ours.file.attach_socket)),
        None => (None, None, None),
    };
    let stdin_mode = match &stdin {
        Some(StdinSource::Clients(mode)) => Some(*mode),
        _ => None,
    };
    let process = Rc::new(Process {
        input: Input::new(),
        terminal,
        log: RefCell::new(log),
        log_failed: Cell::new(false),
        clients: RefCell::default(),
        stdin_mode,
        over: Cell::new(false),
    });
    if let Some(end) = ends.stdin.map(OwnedFd::from).and_then(register) {
        process.input.connect(end);
    }
    let mut keeper = None;
    let mut stdin_source = None;
    if let Some(StdinSource::Fifo { reader, keeper: kept }) = stdin {
        keeper = kept;
        stdin_source = readiness::register(reader).ok();
    }
    let mut copying: Option<JoinHandle<()>> = None;
    if !terminal {
        copying = stdin_source.take().map(|source| copy_input(source, &process));
    }
    let listening = listener.map(|listener| tokio::task::spawn_local(listener::serve(listener, Rc::clone(&process))));
    let mut pumps = tokio::task::JoinSet::new();
    let mut terminal_sink = stdout;
    let mut held = Vec::new();
    if !terminal {
        for (end, sink, stream) in [
            (ends.stdout.map(OwnedFd::from), terminal_sink.take(), Stream::Stdout),
            (ends.stderr.map(OwnedFd::from), stderr, Stream::Stderr),
        ] {
            if let (Some(end), Some(sink)) = (end.and_then(register), sink.and_then(|sink| Sink::new(sink).ok())) {
                held.push((end, sink, stream));
            }
        }
        if !is_held {
            release(&mut held, &mut pumps, &process);
        }
    }
    let mut ended = false;
    let mut waiting_for_terminal = terminal;
    let mut deadline = std::pin::pin!(tokio::time::sleep(Duration::MAX));
    loop {
        if ended && !waiting_for_terminal && pumps.is_empty() {
            break;
        }
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Terminal(master)) => {
                    waiting_for_terminal = false;
                    // It shares its mode with the copy that sizes are set on, which does not mind.
                    if fifo::set_nonblocking(&master, true).is_err() {
                        continue;
                    }
                    let Some(master) = register(master) else { continue };
                    process.input.connect(Rc::clone(&master));
                    copying = stdin_source.take().map(|source| copy_input(source, &process));
                    let sink = terminal_sink.take().and_then(|sink| Sink::new(sink).ok());
                    pumps.spawn_local(pump(master, sink.unwrap_or(Sink::Ours), Stream::Stdout, Rc::clone(&process)));
                }
                Some(Command::Started) => {
                    is_held = false;
                    release(&mut held, &mut pumps, &process);
                }
                Some(Command::CloseStdin) => {
                    // A fifo ends when its client has left as well; what clients sent before goes first.
                    if keeper.take().is_none() && !terminal {
                        process.input.close().await;
                    }
                }
                // A handle that was dropped: the process never came to be, or was deleted.
                Some(Command::Ended) | None => {
                    if !ended {
                        ended = true;
                        // One that never started has said nothing: what is there is the runtime's.
                        if is_held {
                            held.clear();
                        }
                        waiting_for_terminal = false;
                        deadline.as_mut().reset(tokio::time::Instant::now() + DRAIN_WITHIN);
                    }
                    if command.is_none() {
                        commands.close();
                        drain(&mut pumps, deadline.as_mut()).await;
                        break;
                    }
                }
            },
            Some(_) = pumps.join_next() => {}
            () = deadline.as_mut(), if ended => break,
        }
    }
    if !pumps.is_empty() {
        let count = pumps.len();
        ABANDONED_STREAMS.fetch_add(count, Ordering::Relaxed);
        tracing::warn!(count, "outputs are still held open after the end of their process");
        pumps.shutdown().await;
    }
    process.over.set(true);
    process.input.close_now();
    drop(process.log.borrow_mut().take());
    drop(keeper);
    if let Some(copying) = copying {
        copying.abort();
    }
    process.clients.borrow().iter().for_each(|client| client.end());
    if let Some(listening) = listening {
        listening.abort();
        remove_socket(attach_socket);
    }
    drained.send_replace(true);
}

/// Lets the outputs flow.
fn release(
    held: &mut Vec<(Rc<AsyncFd<OwnedFd>>, Sink, Stream)>,
    pumps: &mut tokio::task::JoinSet<()>,
    process: &Rc<Process>,
) {
    for (end, sink, stream) in held.drain(..) {
        pumps.spawn_local(pump(end, sink, stream, Rc::clone(process)));
    }
}

fn copy_input(source: AsyncFd<fs::File>, process: &Rc<Process>) -> JoinHandle<()> {
    let process = Rc::clone(process);
    tokio::task::spawn_local(async move { input::copy(source, &process.input).await })
}

async fn drain(pumps: &mut tokio::task::JoinSet<()>, deadline: std::pin::Pin<&mut tokio::time::Sleep>) {
    tokio::select! {
        () = async { while pumps.join_next().await.is_some() {} } => {}
        () = deadline => {}
    }
}

/// Nobody can be handed over any more; the name goes with the listener.
fn remove_socket(socket: Option<PathBuf>) {
    if let Some(socket) = socket {
        // The engine may have removed the directory first.
        let _ = fs::remove_file(socket);
    }
}

fn register(end: OwnedFd) -> Option<Rc<AsyncFd<OwnedFd>>> {
    readiness::register(end)
        .map(Rc::new)
        .inspect_err(|error| tracing::error!(%error, "a stream cannot be watched"))
        .ok()
}

/// Reads one output to its end. At a terminal's end, when the last process has closed it, reading
/// fails with EIO.
async fn pump(source: Rc<AsyncFd<OwnedFd>>, sink: Sink, stream: Stream, process: Rc<Process>) {
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
