//! Serving one process: its pumps run until it has ended and its output is drained, then its clients are
//! let go.
//!
//! ```text
//! held ──Started──> flowing ──Ended──> draining ──(all outputs ended, or 2 to 10 s)──> over
//! ```
//! A terminal begins to flow when its master end arrives. Dropping the handle ends everything at once.

use std::{fs, os::fd::OwnedFd, path::PathBuf, rc::Rc, sync::atomic::Ordering, time::Duration};

use corten_stdio::Stream;
use corten_sys::fifo;
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use super::{
    ABANDONED_STREAMS, input, listener,
    open::{self, Hold, HubEnds, StdinSource, Target},
    pump::{Process, pump},
    sink::Sink,
    streams::Command,
};
use crate::readiness;

/// How long after its end the outputs of a process are still read, when another process holds them open:
/// containerd's time.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// The same where attached clients wait for the end, as after `docker exec web sh -c 'sleep 100 &'`:
/// dockerd's time. What the process itself wrote was in the pipe when it ended.
const DRAIN_FOR_CLIENTS_WITHIN: Duration = Duration::from_secs(2);

/// An output that is to be pumped.
type Output = (Rc<AsyncFd<OwnedFd>>, Sink, Stream);

struct Serving {
    process: Rc<Process>,
    pumps: JoinSet<()>,
    /// Outputs that do not flow yet.
    held: Vec<Output>,
    is_held: bool,
    terminal_sink: Option<open::Sink>,
    stdin: Option<AsyncFd<fs::File>>,
    /// The write end of the input fifo that keeps it from ending.
    keeper: Option<fs::File>,
    copying: Option<JoinHandle<()>>,
    drain_within: Duration,
    /// When draining is given up; set by the end of the process.
    deadline: Option<Instant>,
}

/// Serves a process until it has ended, its output is drained and its clients are let go.
pub(super) async fn serve(
    target: Target,
    ends: HubEnds,
    terminal: bool,
    hold: Hold,
    commands: mpsc::UnboundedReceiver<Command>,
    drained: watch::Sender<bool>,
) {
    let Target { stdin, stdout, stderr, ours } = target;
    let is_held = hold == Hold::UntilStarted && ours.is_some() && !terminal;
    let (log, listener, attach_socket) = match ours {
        Some(ours) => (ours.log, ours.listener, Some(ours.file.attach_socket)),
        None => (None, None, None),
    };
    let stdin_mode = match &stdin {
        Some(StdinSource::Clients(mode)) => Some(*mode),
        _ => None,
    };
    let process = Rc::new(Process::new(log, stdin_mode, terminal));
    let listening = listener.map(|listener| tokio::task::spawn_local(listener::serve(listener, Rc::clone(&process))));
    let mut serving = Serving::new(process, is_held);
    if attach_socket.is_some() {
        serving.drain_within = DRAIN_FOR_CLIENTS_WITHIN;
    }
    if let Some(StdinSource::Fifo { reader, keeper }) = stdin {
        serving.keeper = keeper;
        serving.stdin = readiness::register(reader).ok();
    }
    if terminal {
        serving.terminal_sink = stdout;
    } else {
        serving.connect_pipes(ends, stdout, stderr);
    }
    serving.run(commands).await;
    serving.finish().await;
    if let Some(listening) = listening {
        listening.abort();
        remove_socket(attach_socket);
    }
    drained.send_replace(true);
}

impl Serving {
    fn new(process: Rc<Process>, is_held: bool) -> Self {
        Self {
            process,
            pumps: JoinSet::new(),
            held: Vec::new(),
            is_held,
            terminal_sink: None,
            stdin: None,
            keeper: None,
            copying: None,
            drain_within: DRAIN_WITHIN,
            deadline: None,
        }
    }

    fn connect_pipes(&mut self, ends: HubEnds, stdout: Option<open::Sink>, stderr: Option<open::Sink>) {
        if let Some(end) = ends.stdin.map(OwnedFd::from).and_then(register) {
            self.process.input.connect(end);
        }
        self.copy_input();
        for (end, sink, stream) in [
            (ends.stdout.map(OwnedFd::from), stdout, Stream::Stdout),
            (ends.stderr.map(OwnedFd::from), stderr, Stream::Stderr),
        ] {
            if let (Some(end), Some(sink)) = (end.and_then(register), sink.and_then(|sink| Sink::new(sink).ok())) {
                self.held.push((end, sink, stream));
            }
        }
        if !self.is_held {
            self.release();
        }
    }

    fn connect_terminal(&mut self, master: OwnedFd) {
        // It shares its mode with the descriptor that sizes are set on, which does not mind.
        if fifo::set_nonblocking(&master, true).is_err() {
            return;
        }
        let Some(master) = register(master) else { return };
        self.process.input.connect(Rc::clone(&master));
        self.copy_input();
        let sink = self.terminal_sink.take().and_then(|sink| Sink::new(sink).ok());
        self.held.push((master, sink.unwrap_or(Sink::Ours), Stream::Stdout));
        self.release();
    }

    /// Lets the outputs flow.
    fn release(&mut self) {
        self.is_held = false;
        for (end, sink, stream) in self.held.drain(..) {
            self.pumps.spawn_local(pump(end, sink, stream, Rc::clone(&self.process)));
        }
    }

    fn copy_input(&mut self) {
        if let Some(source) = self.stdin.take() {
            let process = Rc::clone(&self.process);
            let copy = async move { input::copy(source, &process.input).await };
            self.copying = Some(tokio::task::spawn_local(copy));
        }
    }

    /// Does as it is told until nothing is left to pump.
    async fn run(&mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        while self.deadline.is_none() || !self.pumps.is_empty() {
            let deadline = self.deadline;
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Terminal(master)) => self.connect_terminal(master),
                    Some(Command::Started) => self.release(),
                    // A fifo ends when its client has left as well; what clients sent before goes first.
                    Some(Command::CloseStdin) => {
                        if self.keeper.take().is_none() && !self.process.terminal {
                            self.process.input.close().await;
                        }
                    }
                    Some(Command::Ended) => self.end(),
                    // The handle was dropped: the process never came to be, or was deleted.
                    None => {
                        self.end();
                        return self.drain().await;
                    }
                },
                Some(_) = self.pumps.join_next() => {}
                () = until(deadline), if deadline.is_some() => return,
            }
        }
    }

    /// The process has ended.
    fn end(&mut self) {
        // One that never started has said nothing: what is there is the runtime's.
        self.held.clear();
        self.deadline.get_or_insert_with(|| Instant::now() + self.drain_within);
    }

    async fn drain(&mut self) {
        let deadline = self.deadline;
        tokio::select! {
            () = async { while self.pumps.join_next().await.is_some() {} } => {}
            () = until(deadline) => {}
        }
    }

    async fn finish(&mut self) {
        if !self.pumps.is_empty() {
            let count = self.pumps.len();
            ABANDONED_STREAMS.fetch_add(count, Ordering::Relaxed);
            tracing::warn!(count, "outputs are still held open after the end of their process");
            self.pumps.shutdown().await;
        }
        if let Some(copying) = self.copying.take() {
            copying.abort();
        }
        self.keeper = None;
        self.process.end();
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
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
    let registered = readiness::register(end).map(Rc::new);
    registered.inspect_err(|error| tracing::error!(%error, "a stream cannot be watched")).ok()
}
