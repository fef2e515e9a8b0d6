//! A ttrpc server: the shim's task service, and the events service of the supervisor's `.ttrpc` socket.
//!
//! Each call runs in a task of its own. It is dropped when its time is over or its connection ends, so
//! a service runs whatever must not stop half-way in a task it spawns itself.

use std::{future::Future, sync::Arc, time::Duration};

use corten_proto::google::rpc::Status;
use prost::Message;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{Mutex, Semaphore},
    task::JoinSet,
};

use crate::{
    error::{code, status},
    frame::{self, Frame, Kind},
    message::{KeyValue, NAMESPACE, Request, Response, TRACEPARENT, header},
};

/// Calls of one connection in flight. Waits stay for a container's whole life, and a thousand execs
/// each have one; beyond this the caller is told to come back.
const MAX_CALLS: usize = 16 * 1024;
/// Rest after accept failed for want of descriptors or memory, so that it does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A call as a service sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Full name of the service that was called.
    pub service: String,
    /// Name of the method.
    pub method: String,
    /// The encoded request message.
    pub payload: Vec<u8>,
    /// How long the caller waits.
    pub timeout: Option<Duration>,
    /// The headers.
    pub metadata: Vec<KeyValue>,
    /// Pid of the calling process, from SO_PEERCRED.
    pub peer_pid: Option<i32>,
}

impl Call {
    /// The containerd namespace in the headers.
    pub fn namespace(&self) -> Option<&str> {
        header(&self.metadata, NAMESPACE)
    }

    /// The trace context in the headers.
    pub fn traceparent(&self) -> Option<&str> {
        header(&self.metadata, TRACEPARENT)
    }

    /// Decodes the request message.
    ///
    /// # Errors
    /// `InvalidArgument` when the payload is no `M`.
    pub fn decode<M: Message + Default>(&self) -> Result<M, Status> {
        M::decode(self.payload.as_slice()).map_err(|error| {
            status(code::INVALID_ARGUMENT, format!("{}: decode the request: {error}: invalid argument", self.method))
        })
    }

    /// The answer to a method that does not exist: code 12, on which containerd 2.x tries the older
    /// task service. The texts are those of Go's ttrpc.
    pub fn unimplemented(&self, service_is_known: bool) -> Status {
        let text =
            if service_is_known { format!("method {}", self.method) } else { format!("service {}", self.service) };
        status(code::UNIMPLEMENTED, text)
    }
}

/// What answers the calls of a server.
pub trait Service: Send + Sync + 'static {
    /// Answers one call with the encoded answer message, or a status.
    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Result<Vec<u8>, Status>> + Send;
}

/// Accepts connections and serves them until this future is dropped; connections then go on.
pub async fn serve<S: Service>(listener: UnixListener, service: Arc<S>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, Arc::clone(&service)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Serves one connection until the other side closes it.
pub async fn serve_connection<S: Service>(stream: UnixStream, service: Arc<S>) {
    let peer_pid = stream.peer_cred().ok().and_then(|credentials| credentials.pid());
    let (mut reader, writer) = stream.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let room = Arc::new(Semaphore::new(MAX_CALLS));
    let mut calls = JoinSet::new();
    let mut last_stream = 0;
    loop {
        let frame = match frame::read(&mut reader).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "a connection ended inside a message");
                break;
            }
        };
        while calls.try_join_next().is_some() {}
        let stream = frame.header.stream;
        let request = match accept(frame, last_stream) {
            Ok(request) => request,
            Err(None) => continue,
            Err(Some(refusal)) => {
                respond(&writer, stream, Err(refusal)).await;
                continue;
            }
        };
        last_stream = stream;
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            let text = format!("more than {MAX_CALLS} calls at once on one connection: resource exhausted");
            respond(&writer, stream, Err(status(code::RESOURCE_EXHAUSTED, text))).await;
            continue;
        };
        let (service, writer) = (Arc::clone(&service), Arc::clone(&writer));
        calls.spawn(async move {
            let _permit = permit;
            let result = within_its_time(service, to_call(request, peer_pid)).await;
            respond(&writer, stream, result).await;
        });
    }
}

/// The request in `frame`; a refusal to answer, or nothing when the frame is to be skipped.
fn accept(frame: Frame, last_stream: u32) -> Result<Request, Option<Status>> {
    let stream = frame.header.stream;
    match frame.header.kind {
        Kind::Request => {}
        Kind::Response | Kind::Data | Kind::Unknown(_) => return Err(None),
    }
    if stream.is_multiple_of(2) {
        return Err(Some(status(code::INVALID_ARGUMENT, "StreamID must be odd for client initiated streams")));
    }
    if stream <= last_stream {
        let text = "StreamID cannot be re-used and must increment";
        return Err(Some(status(code::INVALID_ARGUMENT, text)));
    }
    let Some(payload) = frame.payload else {
        let text = format!(
            "message length {} exceed maximum message size of {}",
            frame.header.length,
            frame::MAX_PAYLOAD_BYTES
        );
        return Err(Some(status(code::RESOURCE_EXHAUSTED, text)));
    };
    Request::decode(payload.as_slice())
        .map_err(|error| Some(status(code::INVALID_ARGUMENT, format!("unmarshal request: {error}"))))
}

fn to_call(request: Request, peer_pid: Option<i32>) -> Call {
    let timeout = u64::try_from(request.timeout_nano).ok().filter(|nano| *nano > 0).map(Duration::from_nanos);
    let Request { service, method, payload, metadata, .. } = request;
    Call { service, method, payload, timeout, metadata, peer_pid }
}

async fn within_its_time<S: Service>(service: Arc<S>, call: Call) -> Result<Vec<u8>, Status> {
    match call.timeout {
        None => service.call(call).await,
        Some(timeout) => tokio::time::timeout(timeout, service.call(call))
            .await
            .unwrap_or_else(|_| Err(status(code::DEADLINE_EXCEEDED, "context deadline exceeded"))),
    }
}

/// Writes an answer. A caller that closed its side in the meantime does not need it.
async fn respond(writer: &Mutex<OwnedWriteHalf>, stream: u32, result: Result<Vec<u8>, Status>) {
    let response = match result {
        // Go's client takes a missing status as success, and so did every version of it.
        Ok(payload) => Response { status: None, payload },
        Err(status) => Response { status: Some(status), payload: Vec::new() },
    };
    let bytes = frame::encode(stream, Kind::Response, &response).or_else(|length| {
        let text = format!("an answer of {length} bytes is longer than a ttrpc message may be: resource exhausted");
        let refusal = Response { status: Some(status(code::RESOURCE_EXHAUSTED, text)), payload: Vec::new() };
        frame::encode(stream, Kind::Response, &refusal)
    });
    if let Ok(bytes) = bytes {
        let _ = writer.lock().await.write_all(&bytes).await;
    }
}
