//! The hub: takes each process's output once and gives it to every sink; brings input to it.
//!
//! ```text
//!               ┌──> log (json-file)                       fifo, file://
//! process ──> pump ──> attached clients      or      pump ──> sink
//!   ▲                     │
//!   └──── input <─────────┘ <── fifo
//! ```
//! It runs on a thread of its own, started with the first stream, so that a slow disk under a log never
//! keeps the task service from answering. The log is written before any client sees the bytes and waits
//! for none; a client that does not read holds back the process after 1 MiB, so it loses nothing.
//!
//! [`open`] makes the ends a runtime is given and the [`Streams`] the task service holds.

mod client;
mod detach;
mod input;
mod listener;
mod open;
mod pump;
mod serving;
mod sink;
mod streams;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    sync::{mpsc, watch},
    task::LocalSet,
};

pub use open::{ChildEnds, Hold, Opened, Owner, StdioNames, open};
pub use streams::Streams;

type Task = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The thread that moves bytes. Lives as long as the shim.
#[derive(Default)]
pub struct Hub {
    tasks: OnceLock<mpsc::UnboundedSender<Task>>,
}

/// Clients with bytes that are not written yet, over all hubs of the process.
static BUSY_CLIENTS: OnceLock<watch::Sender<usize>> = OnceLock::new();
/// Bytes given up at the end of processes whose pipes were held open by others.
static ABANDONED_STREAMS: AtomicUsize = AtomicUsize::new(0);

fn busy_clients() -> &'static watch::Sender<usize> {
    BUSY_CLIENTS.get_or_init(|| watch::channel(0).0)
}

/// Waits until every attached client has all its bytes.
pub async fn flushed() {
    let mut busy = busy_clients().subscribe();
    // The sender lives as long as the process.
    let _ = busy.wait_for(|count| *count == 0).await;
}

/// How many streams were given up because another process held them open after the exit.
pub fn abandoned_streams() -> usize {
    ABANDONED_STREAMS.load(Ordering::Relaxed)
}

impl Hub {
    /// Runs a future on the hub's thread.
    fn run<M, F>(&self, make: M)
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let tasks = self.tasks.get_or_init(start);
        // The thread ends only with the process.
        let _ = tasks.send(Box::new(move || Box::pin(make())));
    }
}

fn start() -> mpsc::UnboundedSender<Task> {
    let (sender, mut tasks) = mpsc::unbounded_channel::<Task>();
    let serve = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "the output hub has no event loop");
                return;
            }
        };
        LocalSet::new().block_on(&runtime, async move {
            while let Some(task) = tasks.recv().await {
                tokio::task::spawn_local(task());
            }
        });
    };
    if let Err(error) = std::thread::Builder::new().name("hub".to_owned()).stack_size(256 * 1024).spawn(serve) {
        tracing::error!(%error, "the output hub has no thread");
    }
    sender
}
