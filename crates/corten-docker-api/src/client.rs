//! The client's end of the Engine API: one request, one connection.
//!
//! A [`Client`] knows where the daemon listens ([`Host`]) and which API version both speak
//! ([`Client::negotiate`]). Each call opens its own connection: on a unix socket that costs some ten
//! microseconds, and it makes a taken-over connection ([`Hijacked`]) the same thing as any other.

mod body;
mod calls;
mod error;
mod hijack;
mod host;
mod query;
mod socket;

pub use body::{Response, ResponseBody};
pub use calls::AttachStreams;
pub use error::ClientError;
pub use hijack::Hijacked;
pub use host::{Host, HostError};
pub use query::{Query, encode_path, encode_segment};
pub use socket::Socket;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
pub use hyper::Method;
use hyper::Request;
use hyper::body::Frame;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE, USER_AGENT};
pub use hyper::header::{HeaderMap, HeaderValue};
use hyper_util::rt::TokioIo;
use std::sync::OnceLock;

/// The newest API version this client speaks.
pub const NEWEST_API_VERSION: &str = "1.51";

/// The version assumed of a daemon that does not say one (moby's client does the same).
const OLDEST_ASSUMED_API_VERSION: &str = "1.24";

/// A body on its way to the daemon.
pub enum Payload {
    /// No body.
    Empty,
    /// A JSON document.
    Json(Vec<u8>),
    /// An archive or other bytes, produced while they are sent.
    Stream {
        /// The `Content-Type` header.
        content_type: &'static str,
        /// The bytes; an error ends the request.
        chunks: ChunkStream,
    },
}

/// Bytes produced while they are sent.
pub type ChunkStream = std::pin::Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send + Sync>>;

/// One daemon, as a client sees it.
#[derive(Debug)]
pub struct Client {
    host: Host,
    user_agent: String,
    version: OnceLock<String>,
    observer: Option<fn(&str)>,
}

/// What `_ping` told about the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ping {
    /// Newest API version of the daemon; empty when it named none.
    pub api_version: String,
    /// Operating system of its containers.
    pub os_type: String,
    /// Whether experimental features are on.
    pub experimental: bool,
}

impl Client {
    /// A client for the daemon at `host`; nothing is sent yet.
    #[must_use]
    pub fn new(host: Host, user_agent: &str) -> Self {
        Self { host, user_agent: user_agent.to_owned(), version: OnceLock::new(), observer: None }
    }

    /// Fixes the API version instead of negotiating it (`DOCKER_API_VERSION`).
    #[must_use]
    pub fn with_version(self, version: &str) -> Self {
        // A new client's cell is empty, so this cannot fail.
        let _ = self.version.set(version.trim_start_matches('v').to_owned());
        self
    }

    /// Tells `observer` a line about each request and each answer: method, target, status; no bodies.
    #[must_use]
    pub fn observed_by(self, observer: fn(&str)) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Where the daemon listens.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The API version requests are sent with: the negotiated one, or the newest of this client
    /// as long as nothing was negotiated.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.get().map_or(NEWEST_API_VERSION, String::as_str)
    }

    /// Whether the version in use is at least `minimum` (`1.42`).
    #[must_use]
    pub fn version_at_least(&self, minimum: &str) -> bool {
        version_number(self.version()) >= version_number(minimum)
    }

    /// Asks the daemon for its version and agrees on the older of the two.
    ///
    /// HEAD first, then GET for daemons and proxies that know no HEAD (moby's client does so too).
    ///
    /// # Errors
    /// [`ClientError::Connect`] when nobody listens.
    pub async fn negotiate(&self) -> Result<Ping, ClientError> {
        let answer = match self.exchange(Method::HEAD, "/_ping", Payload::Empty, HeaderMap::new()).await {
            Ok(answer) if answer.status.is_success() || answer.status.as_u16() == 500 => answer,
            Err(error @ (ClientError::Connect { .. } | ClientError::Permission { .. })) => return Err(error),
            Ok(_) | Err(_) => self.exchange(Method::GET, "/_ping", Payload::Empty, HeaderMap::new()).await?,
        };
        let header =
            |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let ping = Ping {
            api_version: header("api-version"),
            os_type: header("ostype"),
            experimental: header("docker-experimental") == "true",
        };
        let theirs = if ping.api_version.is_empty() { OLDEST_ASSUMED_API_VERSION } else { &ping.api_version };
        let agreed =
            if version_number(theirs) < version_number(NEWEST_API_VERSION) { theirs } else { NEWEST_API_VERSION };
        // A version fixed by the user stays.
        let _ = self.version.set(agreed.to_owned());
        Ok(ping)
    }

    /// Sends one request and returns the answer when its head has arrived.
    ///
    /// # Errors
    /// [`ClientError::Daemon`] carries status and message of an answer of 400 and above.
    pub async fn send(&self, method: Method, target: &str, payload: Payload) -> Result<Response, ClientError> {
        self.send_with(method, target, payload, HeaderMap::new()).await
    }

    /// [`send`](Self::send) with extra headers.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with(
        &self,
        method: Method,
        target: &str,
        payload: Payload,
        headers: HeaderMap,
    ) -> Result<Response, ClientError> {
        let target = self.versioned(target);
        let response = self.exchange(method, &target, payload, headers).await?;
        response.or_daemon_error().await
    }

    /// Sends a request whose connection becomes a raw two-way stream.
    ///
    /// # Errors
    /// [`ClientError::NotUpgraded`] when the daemon answers anything else than 101.
    pub async fn hijack(&self, target: &str, payload: Payload) -> Result<Hijacked, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, hyper::header::HeaderValue::from_static("tcp"));
        let target = self.versioned(target);
        let (mut sender, request) = self.prepare(Method::POST, &target, payload, headers).await?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|source| ClientError::Exchange { target: target.clone(), source })?;
        self.observe(|| format!("{} for POST {target}", response.status()));
        hijack::take_over(response).await
    }

    fn versioned(&self, target: &str) -> String {
        format!("/v{}{target}", self.version())
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        payload: Payload,
        headers: HeaderMap,
    ) -> Result<Response, ClientError> {
        let (mut sender, request) = self.prepare(method.clone(), target, payload, headers).await?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|source| ClientError::Exchange { target: target.to_owned(), source })?;
        self.observe(|| format!("{} for {method} {target}", answer.status()));
        Ok(Response::new(answer, sender))
    }

    fn observe(&self, line: impl FnOnce() -> String) {
        if let Some(observer) = self.observer {
            observer(&line());
        }
    }

    async fn prepare(
        &self,
        method: Method,
        target: &str,
        payload: Payload,
        headers: HeaderMap,
    ) -> Result<(Sender, Request<RequestBody>), ClientError> {
        self.observe(|| format!("{method} {target} to {}", self.host));
        let socket = socket::connect(&self.host).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|source| ClientError::Exchange { target: target.to_owned(), source })?;
        // Its result is seen again by whoever reads the answer.
        tokio::spawn(connection.with_upgrades());

        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.host.header())
            .header(USER_AGENT, &self.user_agent);
        if let Some(all) = request.headers_mut() {
            all.extend(headers);
        }
        let (request, body) = match payload {
            Payload::Empty => (request, Full::default().map_err(|never| match never {}).boxed()),
            Payload::Json(bytes) => (
                request.header(CONTENT_TYPE, "application/json"),
                Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed(),
            ),
            Payload::Stream { content_type, chunks } => {
                use futures_util::TryStreamExt;
                (request.header(CONTENT_TYPE, content_type), StreamBody::new(chunks.map_ok(Frame::data)).boxed())
            }
        };
        let request =
            request.body(body).map_err(|source| ClientError::BadRequest { target: target.to_owned(), source })?;
        Ok((sender, request))
    }
}

type RequestBody = BoxBody<Bytes, std::io::Error>;
pub(crate) type Sender = http1::SendRequest<RequestBody>;

/// `1.42` as numbers that compare; what is no number counts as 0.
fn version_number(version: &str) -> (u32, u32) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::version_number;

    #[test]
    fn versions_compare_by_number() {
        assert!(version_number("1.9") < version_number("1.24"));
        assert!(version_number("1.51") < version_number("2.0"));
        assert_eq!(version_number("1.41"), (1, 41));
    }
}
