//! Telling the supervisor what happened, in order, until it has acknowledged.
//!
//! One queue per shim, one event on its way at a time. An event stays at the head until the supervisor's
//! ttrpc socket has answered; while nobody answers there, the queue waits for the socket to appear
//! again. Exits are kept for ever: a supervisor that was away must learn them. The rest is bounded.
//! (containerd's shim tries five times and then drops the event.)

use std::{
    collections::VecDeque,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use corten_proto::{
    any,
    containerd::{services::events::ttrpc::v1::ForwardRequest, types::Envelope},
};
use corten_shim_api::{CallError, Client, code};
use corten_stdio::Timestamp;
use corten_sys::inotify::{Inotify, Mask};
use prost::{Message, Name};
use prost_types::Any;
use tokio::{io::unix::AsyncFd, sync::Notify};

use crate::{exit_file::timestamp, readiness, reaper::Reaper};

/// Time a supervisor has for one event, as in containerd's shim.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Events other than exits that wait for a supervisor; beyond it the oldest of them goes.
const MAX_WAITING: usize = 4096;
/// Tries of an event that the supervisor answers with an error, before it is given up: it was heard.
const MAX_REFUSALS: u32 = 5;
/// How long to wait for the socket to appear before looking at it again anyway.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where events go.
#[derive(Debug, Clone)]
pub enum Target {
    /// The supervisor's ttrpc socket.
    Ttrpc(PathBuf),
    /// A program that publishes one event (`publish`).
    Binary {
        /// The program.
        program: PathBuf,
        /// The supervisor's gRPC socket.
        address: String,
    },
}

struct Waiting {
    envelope: Envelope,
    is_exit: bool,
}

/// The queue of events. Clones are the same one.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    namespace: String,
    queue: Mutex<VecDeque<Waiting>>,
    added: Notify,
    emptied: Notify,
}

impl Events {
    /// An empty queue for `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self(Arc::new(Shared {
            namespace: namespace.to_owned(),
            queue: Mutex::default(),
            added: Notify::new(),
            emptied: Notify::new(),
        }))
    }

    /// Appends an event. It goes out after all earlier ones.
    pub fn publish<M: Message + Name>(&self, topic: &str, event: &M) {
        let envelope = Envelope {
            timestamp: Some(timestamp(Timestamp::now())),
            namespace: self.0.namespace.clone(),
            topic: topic.to_owned(),
            event: Some(any::pack(event)),
        };
        let mut queue = self.lock();
        if queue.len() >= MAX_WAITING {
            // The head may be on its way, so it stays.
            if let Some(at) = queue.iter().skip(1).position(|waiting| !waiting.is_exit) {
                queue.remove(at + 1);
            }
        }
        queue.push_back(Waiting { envelope, is_exit: topic == "/tasks/exit" });
        drop(queue);
        self.0.added.notify_one();
    }

    /// Waits until every event was acknowledged.
    pub async fn flushed(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.lock().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Sends events for ever.
    pub async fn serve(self, target: Target, reaper: Reaper) {
        let mut connection = None;
        loop {
            let added = self.0.added.notified();
            let Some(envelope) = self.lock().front().map(|waiting| waiting.envelope.clone()) else {
                self.0.emptied.notify_waiters();
                added.await;
                continue;
            };
            match &target {
                Target::Ttrpc(path) => self.forward(path, &mut connection, envelope).await,
                Target::Binary { program, address } => {
                    run_publisher(&reaper, program, address, &self.0.namespace, envelope).await;
                }
            }
            self.lock().pop_front();
        }
    }

    /// Returns when the supervisor has acknowledged the event, or refused it often enough.
    async fn forward(&self, path: &Path, connection: &mut Option<Client>, envelope: Envelope) {
        let topic = envelope.topic.clone();
        let request = ForwardRequest { envelope: Some(envelope) };
        let mut refusals = 0;
        loop {
            let client = match connection.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => connect(path).await.with_namespace(&self.0.namespace),
            };
            let result = client.forward(&request, Some(ANSWER_WITHIN)).await;
            match result {
                Ok(()) => {
                    *connection = Some(client);
                    return;
                }
                // It may have arrived: subscribers see it twice then, with the same content.
                Err(CallError::Closed { .. } | CallError::DeadlineExceeded { .. }) => {}
                Err(error) => {
                    refusals += 1;
                    if refusals >= MAX_REFUSALS || error.code() != code::UNAVAILABLE {
                        tracing::error!(topic, %error, "the supervisor refuses an event");
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    *connection = Some(client);
                }
            }
        }
    }

    /// The queue stays whole when a holder panics: each critical section is one operation on it.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to the supervisor, however long it is away.
async fn connect(path: &Path) -> Client {
    loop {
        // Watching begins before the try, so that a socket made in between is noticed.
        let watch = watch(path);
        match Client::connect(path).await {
            Ok(client) => return client,
            Err(error) => tracing::debug!(%error, "the supervisor is away"),
        }
        let appeared = async {
            match watch {
                Some(watch) => drop(watch.readable().await),
                None => std::future::pending().await,
            }
        };
        // Whichever comes first: both lead to another try.
        let _ = tokio::time::timeout(LOOK_AGAIN, appeared).await;
    }
}

/// Watches the directory of `path`, or the nearest one above it that exists.
fn watch(path: &Path) -> Option<AsyncFd<Inotify>> {
    let inotify = Inotify::new().ok()?;
    path.ancestors().skip(1).find_map(|directory| inotify.add(directory, Mask::CREATE | Mask::MOVED_TO).ok())?;
    readiness::register(inotify).ok()
}

/// Publishes one event by `<program> --address A publish --topic T --namespace N`, the Any on its
/// standard input.
async fn run_publisher(reaper: &Reaper, program: &Path, address: &str, namespace: &str, envelope: Envelope) {
    let Envelope { topic, event, .. } = envelope;
    let input = event.as_ref().map(Any::encode_to_vec).unwrap_or_default();
    let result = async {
        // An event fits the pipe's 64 KiB, so writing does not wait for the program.
        let (reader, mut writer) = std::io::pipe()?;
        let mut command = Command::new(program);
        command.args(["--address", address, "publish", "--topic", &topic, "--namespace", namespace]);
        command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        let child = reaper.spawn(&mut command)?;
        drop(command);
        writer.write_all(&input)?;
        drop(writer);
        std::io::Result::Ok(reaper.wait(&child).await)
    };
    match tokio::time::timeout(ANSWER_WITHIN, result).await {
        Ok(Ok(status)) if status.code() == 0 => {}
        other => tracing::error!(topic, result = ?other, "an event could not be published"),
    }
}
