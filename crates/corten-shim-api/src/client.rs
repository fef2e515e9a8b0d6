//! A client of a ttrpc server: many calls at once over one connection.
//!
//! Two tasks serve a connection: one writes requests and gives each its stream id in the order
//! written (the protocol wants them rising), the other hands answers to their callers. A caller that
//! goes away in the middle harms neither.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot, watch},
};

use crate::{
    error::{CallError, ConnectError},
    frame::{self, Kind, MAX_PAYLOAD_BYTES},
    message::{KeyValue, NAMESPACE, Request, Response, TRACEPARENT},
    socket,
    task::TaskVersion,
};

/// Requests that may wait for the socket before callers wait too.
const QUEUE_CALLS: usize = 64;
/// Unanswered calls from which on the ones whose callers left are looked for and forgotten.
const PRUNE_CALLS: usize = 256;

/// A connection to a shim, or to the events socket of a supervisor. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    requests: mpsc::Sender<Outgoing>,
    closed: watch::Receiver<bool>,
    metadata: Arc<Vec<KeyValue>>,
    peer_pid: Option<i32>,
    path: Arc<PathBuf>,
    pub(crate) task_version: TaskVersion,
}

#[derive(Debug)]
struct Outgoing {
    request: Request,
    answer: oneshot::Sender<Response>,
}

type Pending = Arc<Mutex<HashMap<u32, oneshot::Sender<Response>>>>;

impl Client {
    /// Connects to the socket at `path`; `unix://` in front of it is accepted, and a path longer than
    /// an address holds is reached through its directory.
    ///
    /// # Errors
    /// Those of connecting: `NotFound` and `ConnectionRefused` say that nobody listens.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        let path = socket::strip_scheme(path.as_ref());
        let stream = socket::connect(&path).await.map_err(|source| ConnectError { path: path.clone(), source })?;
        Ok(Self::over(stream, path))
    }

    /// A client over a connected stream; must be called inside a runtime.
    pub fn over(stream: UnixStream, path: PathBuf) -> Self {
        let peer_pid = stream.peer_cred().ok().and_then(|credentials| credentials.pid());
        let (read_half, write_half) = stream.into_split();
        let (requests, queue) = mpsc::channel(QUEUE_CALLS);
        let (say_closed, closed) = watch::channel(false);
        let pending = Pending::default();
        tokio::spawn(write_requests(write_half, queue, Arc::clone(&pending), closed.clone()));
        tokio::spawn(read_answers(read_half, pending, say_closed));
        let metadata = Arc::default();
        Self { requests, closed, metadata, peer_pid, path: Arc::new(path), task_version: TaskVersion::V2 }
    }

    /// The same connection, with `namespace` told in every call.
    #[must_use]
    pub fn with_namespace(self, namespace: &str) -> Self {
        self.with_metadata(NAMESPACE, namespace)
    }

    /// The same connection, with the trace context `traceparent` told in every call.
    #[must_use]
    pub fn with_traceparent(self, traceparent: &str) -> Self {
        self.with_metadata(TRACEPARENT, traceparent)
    }

    /// The same connection, with a header told in every call; an earlier one of the same key goes.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        let metadata = Arc::make_mut(&mut self.metadata);
        metadata.retain(|pair| pair.key != key);
        metadata.push(KeyValue { key: key.to_owned(), value: value.to_owned() });
        self
    }

    /// The same connection, with the typed task methods going to that version of the service.
    #[must_use]
    pub fn with_task_version(mut self, version: TaskVersion) -> Self {
        self.task_version = version;
        self
    }

    /// The pid of the process that listened, from SO_PEERCRED; for a pidfd that tells its death.
    pub fn peer_pid(&self) -> Option<i32> {
        self.peer_pid
    }

    /// The socket this client was connected to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the connection ends.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error says that the reading task is gone, which is the same news.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Calls `method` of `service` and waits for the answer, at most `timeout`, which the server is
    /// told as well.
    ///
    /// # Errors
    /// The status the server answered, or what kept the answer from coming.
    pub async fn call<Q: Message, A: Message + Default>(
        &self,
        service: &str,
        method: &'static str,
        request: &Q,
        timeout: Option<Duration>,
    ) -> Result<A, CallError> {
        let payload = self.call_raw(service, method, request.encode_to_vec(), timeout).await?;
        A::decode(payload.as_slice()).map_err(|source| CallError::Decode { method, source })
    }

    /// [`Client::call`] with messages that are encoded already.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_raw(
        &self,
        service: &str,
        method: &'static str,
        payload: Vec<u8>,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, CallError> {
        let timeout_nano = timeout.map_or(0, |timeout| i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX));
        let metadata = self.metadata.to_vec();
        let request =
            Request { service: service.to_owned(), method: method.to_owned(), payload, timeout_nano, metadata };
        let bytes = request.encoded_len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(CallError::TooLong { method, bytes });
        }
        let exchange = async {
            let (answer, answered) = oneshot::channel();
            let closed = || CallError::Closed { method };
            self.requests.send(Outgoing { request, answer }).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())
        };
        let response = match timeout {
            None => exchange.await?,
            Some(timeout) => tokio::time::timeout(timeout, exchange)
                .await
                .map_err(|_| CallError::DeadlineExceeded { method, timeout })??,
        };
        match response.status {
            Some(status) if status.code != 0 => Err(CallError::Status(Box::new(status))),
            _ => Ok(response.payload),
        }
    }
}

async fn write_requests(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Outgoing>,
    pending: Pending,
    mut closed: watch::Receiver<bool>,
) {
    let mut stream: u32 = 1;
    loop {
        let outgoing = tokio::select! {
            next = queue.recv() => next,
            _ = closed.wait_for(|closed| *closed) => None,
        };
        let Some(Outgoing { request, answer }) = outgoing else {
            break;
        };
        if answer.is_closed() {
            continue;
        }
        let Ok(bytes) = frame::encode(stream, Kind::Request, &request) else {
            continue;
        };
        {
            let mut pending = lock(&pending);
            if pending.len() >= PRUNE_CALLS {
                pending.retain(|_, caller| !caller.is_closed());
            }
            pending.insert(stream, answer);
        }
        if *closed.borrow() || socket.write_all(&bytes).await.is_err() {
            break;
        }
        // 2^31 calls of one connection: the protocol has no more numbers.
        let Some(next) = stream.checked_add(2) else {
            break;
        };
        stream = next;
    }
    queue.close();
    while queue.try_recv().is_ok() {}
    lock(&pending).clear();
    // Shuts the write side: the server ends the connection, and so does the reading task.
}

async fn read_answers(mut socket: OwnedReadHalf, pending: Pending, closed: watch::Sender<bool>) {
    while let Ok(Some(frame)) = frame::read(&mut socket).await {
        let caller = lock(&pending).remove(&frame.header.stream);
        let Some(caller) = caller else { continue };
        if frame.header.kind != Kind::Response {
            continue;
        }
        let response = frame.payload.and_then(|payload| Response::decode(payload.as_slice()).ok());
        // Without a readable answer the caller is dropped and sees the connection as closed; one that
        // has left needs no answer.
        if let Some(response) = response {
            let _ = caller.send(response);
        }
    }
    closed.send_replace(true);
    lock(&pending).clear();
}

/// The map stays whole when a holder panics: each critical section is one operation on it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
