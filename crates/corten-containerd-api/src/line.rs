//! The way to a containerd that may be started again at any time.
//!
//! [`Presence`] says whether it is there; who follows its events keeps that up to date. A [`Line`] with
//! a presence waits for a containerd that is away, and makes a call again whose answer was lost, when
//! it was never sent or when making it twice is the same as making it once. What is left fails with
//! `Unavailable`: nobody knows whether it was done.

use std::collections::VecDeque;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{self as http_body, Frame};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, request::Parts};
use tonic::transport::Channel;
use tonic::{ConnectError, Status};
use tower::{Service, ServiceExt};

/// Time a call waits for a containerd that is being started again.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often one call is made at most: each time the containerd of the time before has died.
const TRIES: usize = 3;

/// Methods that may be made twice: those that only read, and those after which all is as it was
/// after the first. Their callers take "not found" from a removal for done.
const REPEATABLE: [&str; 22] = [
    "Abort",
    "Check",
    "CloseIO",
    "Delete",
    "DeleteProcess",
    "Forward",
    "Get",
    "Info",
    "List",
    "ListPids",
    "ListResources",
    "ListStatuses",
    "Metrics",
    "Mounts",
    "Read",
    "Remove",
    "ResizePty",
    "Stat",
    "Status",
    "Update",
    "Usage",
    "Version",
];

/// The method whose request is a stream, which is gone once it was sent.
const STREAMED: [&str; 2] = ["Stream", "Write"];

/// Whether a containerd is there.
#[derive(Debug)]
pub struct Presence(watch::Sender<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Counts how often it came.
    life: u64,
    is_there: bool,
}

impl Default for Presence {
    fn default() -> Self {
        Self(watch::Sender::new(State { life: 0, is_there: false }))
    }
}

impl Presence {
    /// It has come; returns the number of its life.
    pub fn came(&self) -> u64 {
        self.0.send_modify(|state| *state = State { life: state.life + 1, is_there: true });
        self.0.borrow().life
    }

    /// Its life of that number is over; one that came since then is not meant.
    pub fn left(&self, life: u64) {
        self.0.send_if_modified(|state| {
            let is_news = state.is_there && state.life == life;
            state.is_there &= !is_news;
            is_news
        });
    }

    /// Waits until its life of that number is over.
    pub async fn gone(&self, life: u64) {
        // The sender lives as long as we.
        let _ = self.0.subscribe().wait_for(|state| !state.is_there || state.life != life).await;
    }

    /// Waits until it is there, and returns the number of its life.
    async fn there(&self) -> Result<u64, Status> {
        let mut state = self.0.subscribe();
        match tokio::time::timeout(PATIENCE, state.wait_for(|state| state.is_there)).await {
            Ok(Ok(state)) => Ok(state.life),
            _ => Err(Status::unavailable(format!("containerd has not been there for {} s", PATIENCE.as_secs()))),
        }
    }
}

/// A channel, with or without patience.
#[derive(Clone, Debug)]
pub struct Line {
    channel: Channel,
    presence: Option<Arc<Presence>>,
}

impl Line {
    /// One whose calls fail at once when nobody is there.
    pub const fn direct(channel: Channel) -> Self {
        Self { channel, presence: None }
    }

    /// One whose calls wait for `presence`.
    pub const fn patient(channel: Channel, presence: Arc<Presence>) -> Self {
        Self { channel, presence: Some(presence) }
    }

    /// The same channel without patience.
    #[must_use]
    pub fn without_patience(&self) -> Self {
        Self::direct(self.channel.clone())
    }
}

impl Service<Request<Body>> for Line {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // The channel is asked with each try.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.channel.clone();
        match self.presence.clone() {
            None => {
                Box::pin(
                    async move { exchange(channel, request).await.map_err(|error| Status::from_error(error.into())) },
                )
            }
            Some(presence) => Box::pin(patient(channel, presence, request)),
        }
    }
}

/// Bytes of an answer that are held back until it is known to be whole; what follows cannot be asked for
/// again.
const HELD_BYTES: usize = 1 << 20;

/// Why a call has no answer.
enum Lost {
    Call(tonic::transport::Error),
    /// In the middle of the answer.
    Answer(Status),
}

impl Lost {
    fn was_never_sent(&self) -> bool {
        matches!(self, Self::Call(error) if was_never_sent(error))
    }

    /// Notes that the connection is gone, and says so.
    fn tell(&self, presence: &Presence, life: u64) -> Status {
        presence.left(life);
        let why = match self {
            Self::Call(error) => corten_types::error::chain(error),
            Self::Answer(status) => status.message().to_owned(),
        };
        Status::unavailable(format!("containerd went away before it answered; try again ({why})"))
    }
}

async fn exchange(mut channel: Channel, request: Request<Body>) -> Result<Response<Body>, tonic::transport::Error> {
    channel.ready().await?.call(request).await
}

async fn patient(channel: Channel, presence: Arc<Presence>, request: Request<Body>) -> Result<Response<Body>, Status> {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    if STREAMED.contains(&method.as_str()) {
        let life = presence.there().await?;
        return exchange(channel, request).await.map_err(|error| Lost::Call(error).tell(&presence, life));
    }
    let is_repeatable = REPEATABLE.contains(&method.as_str());
    let (parts, body) = request.into_parts();
    // One message: it is in memory as a whole already.
    let body = body.collect().await?.to_bytes();
    let mut tries = 0;
    loop {
        let life = presence.there().await?;
        let lost = match exchange(channel.clone(), again(&parts, &body)).await {
            Ok(response) if is_repeatable => match hold(response).await {
                Ok(response) => return Ok(response),
                Err(status) => Lost::Answer(status),
            },
            Ok(response) => return Ok(response),
            Err(error) => Lost::Call(error),
        };
        let status = lost.tell(&presence, life);
        tries += 1;
        if tries == TRIES || !(is_repeatable || lost.was_never_sent()) {
            return Err(status);
        }
    }
}

fn again(parts: &Parts, body: &Bytes) -> Request<Body> {
    Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())))
}

/// Reads the answer to its end, or as much as is held of it.
async fn hold(response: Response<Body>) -> Result<Response<Body>, Status> {
    let (parts, mut rest) = response.into_parts();
    let (mut frames, mut held_bytes) = (VecDeque::new(), 0);
    while held_bytes < HELD_BYTES
        && let Some(frame) = rest.frame().await
    {
        let frame = frame?;
        held_bytes += frame.data_ref().map_or(0, Bytes::len);
        frames.push_back(frame);
    }
    Ok(Response::from_parts(parts, Body::new(Held { frames, rest })))
}

/// The beginning of an answer that was held, then the rest of it.
struct Held {
    frames: VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }
}

/// Whether the other side can have seen nothing of the call: there was no connection, or it was known
/// to be closed before the call's turn came.
fn was_never_sent(error: &tonic::transport::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<ConnectError>() || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::StreamBody;
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncReadExt;
    use tonic::transport::{Endpoint, Uri};

    use super::*;

    /// A channel whose every connection is read from and then closed, and how many there were.
    fn to_nobody(presence: &Arc<Presence>) -> (Channel, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let (presence, counted) = (Arc::clone(presence), Arc::clone(&count));
        let connector = tower::service_fn(move |_: Uri| {
            let (presence, counted) = (Arc::clone(&presence), Arc::clone(&counted));
            async move {
                let (ours, mut theirs) = tokio::io::duplex(64 << 10);
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 4096];
                    let mut seen = Vec::new();
                    // Until the call itself has come: a message ends with its marker.
                    while let Ok(count @ 1..) = theirs.read(&mut buffer).await {
                        seen.extend_from_slice(&buffer[..count]);
                        if seen.windows(6).any(|window| window == b"marker") {
                            break;
                        }
                    }
                    drop(theirs);
                    presence.came();
                });
                Ok::<_, std::io::Error>(TokioIo::new(ours))
            }
        });
        (Endpoint::from_static("http://containerd").connect_with_connector_lazy(connector), count)
    }

    fn request(method: &str) -> Request<Body> {
        let body = Body::new(Full::new(Bytes::from_static(b"\0\0\0\0\x06marker")));
        Request::builder().method("POST").uri(format!("http://containerd/a.B/{method}")).body(body).expect("valid")
    }

    #[tokio::test]
    async fn a_call_that_was_lost_is_made_again_when_that_changes_nothing() {
        for (method, expected) in [("Get", TRIES), ("Start", 1)] {
            let presence = Arc::new(Presence::default());
            presence.came();
            let (channel, count) = to_nobody(&presence);
            let mut line = Line::patient(channel, presence);
            let status = line.call(request(method)).await.expect_err("nobody answers");
            assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
            assert_eq!(count.load(Ordering::SeqCst), expected, "{method}");
        }
    }

    #[tokio::test]
    async fn a_call_that_was_never_sent_is_made_again_whatever_it_is() {
        let presence = Arc::new(Presence::default());
        presence.came();
        let count = Arc::new(AtomicUsize::new(0));
        let (back, counted) = (Arc::clone(&presence), Arc::clone(&count));
        let connector = tower::service_fn(move |_: Uri| {
            let (back, counted) = (Arc::clone(&back), Arc::clone(&counted));
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                // Back as soon as it was noticed to be gone.
                tokio::spawn(async move {
                    let life = back.0.borrow().life;
                    back.gone(life).await;
                    back.came();
                });
                Err::<TokioIo<tokio::io::DuplexStream>, _>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
            }
        });
        let channel = Endpoint::from_static("http://containerd").connect_with_connector_lazy(connector);
        let mut line = Line::patient(channel, presence);
        let status = line.call(request("Start")).await.expect_err("nobody is there");
        assert!(status.message().contains("went away"), "{status:?}");
        assert_eq!(count.load(Ordering::SeqCst), TRIES);
    }

    #[tokio::test]
    async fn an_answer_is_held_until_it_is_whole_and_a_long_one_is_passed_on() {
        let whole = |length: usize| {
            let frames = (0..length).map(|_| Ok(Frame::data(Bytes::from(vec![7; HELD_BYTES / 2]))));
            Body::new(StreamBody::new(futures_util::stream::iter(frames.chain([Err(Status::internal("broken"))]))))
        };
        let broken = hold(Response::new(whole(1))).await;
        assert_eq!(broken.expect_err("broken while held").message(), "broken");
        let mut body = hold(Response::new(whole(3))).await.expect("held").into_body();
        for _ in 0..3 {
            let frame = body.frame().await.expect("a frame").expect("whole");
            assert_eq!(frame.data_ref().map(Bytes::len), Some(HELD_BYTES / 2));
        }
        assert!(body.frame().await.expect("a frame").is_err(), "the rest breaks where it broke");
    }

    #[tokio::test]
    async fn a_life_that_ended_before_is_not_the_one_that_came_since() {
        let presence = Presence::default();
        let first = presence.came();
        presence.left(first);
        let second = presence.came();
        presence.left(first);
        assert_eq!(presence.there().await.expect("there"), second);
        presence.gone(first).await;
    }
}
