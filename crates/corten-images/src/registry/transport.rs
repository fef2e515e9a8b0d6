//! Connections to one host: plain or TLS, direct or through a proxy, kept for the next request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tower::Service;

use super::error::Cause;
use super::hosts::{bare_host, is_this_machine};
use super::settings::{Proxies, refused};
use super::{RegistryError, settings::Settings};

/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);

/// A request's body.
pub(super) type Body = UnsyncBoxBody<Bytes, Cause>;

/// The client of one host.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client<Connector, Body>,
    proxies: Arc<ProxyRules>,
}

impl Transport {
    pub(super) fn new(tls: ClientConfig, proxies: Arc<ProxyRules>, dial_timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let connector = Connector { tcp, tls: Arc::new(tls), proxies: proxies.clone(), dial_timeout };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { client, proxies }
    }

    /// Sends `request` and waits for the head of its answer.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, Error> {
        // A proxy for plain text reads the request itself; one for TLS got the header with CONNECT.
        if request.uri().scheme_str() == Some("http")
            && let Some(proxy) = self.proxies.of(request.uri())
            && let Some(value) = proxy.basic_auth()
        {
            request.headers_mut().insert(hyper::header::PROXY_AUTHORIZATION, value.clone());
        }
        self.client.request(request).await
    }
}

/// Which requests go through which proxy.
#[derive(Debug)]
pub(super) struct ProxyRules(Matcher);

impl ProxyRules {
    pub(super) fn new(settings: &Settings) -> Result<Self, RegistryError> {
        let Some(Proxies { http, https, no }) = &settings.proxies else { return Ok(Self(Matcher::from_env())) };
        for (name, url) in [("http-proxy", http), ("https-proxy", https)] {
            let scheme = url.split_once("://").map(|(scheme, _)| scheme);
            if scheme.is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
                let why = format!("{scheme:?} proxies are not supported, only http and https");
                return Err(refused(name, why));
            }
        }
        Ok(Self(Matcher::builder().http(http.as_str()).https(https.as_str()).no(no.as_str()).build()))
    }

    fn of(&self, uri: &Uri) -> Option<Intercept> {
        // This machine is never reached through another.
        if is_this_machine(uri.host().unwrap_or_default()) { None } else { self.0.intercept(uri) }
    }
}

#[derive(Debug, Clone)]
struct Connector {
    tcp: HttpConnector,
    tls: Arc<ClientConfig>,
    proxies: Arc<ProxyRules>,
    dial_timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Cause>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let own = self.clone();
        Box::pin(async move {
            let patience = own.dial_timeout;
            match tokio::time::timeout(patience, own.connect(uri)).await {
                Ok(result) => result,
                Err(_) => Err(format!("no connection in {} s", patience.as_secs_f32()).into()),
            }
        })
    }
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<Link, Cause> {
        let proxy = self.proxies.of(&uri);
        let is_tls = uri.scheme_str() == Some("https");
        let dialer = Dialer { tcp: self.tcp, tls: self.tls };
        let Some(proxy) = proxy else {
            return Ok(Link { io: dialer.dial(uri).await?, is_proxied: false });
        };
        let scheme = proxy.uri().scheme_str().unwrap_or("such");
        if !matches!(scheme, "http" | "https") {
            return Err(format!("{scheme} proxies are not supported").into());
        }
        if !is_tls {
            return Ok(Link { io: dialer.proxy(proxy.uri().clone()).await?, is_proxied: true });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), dialer.clone());
        if let Some(value) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(HeaderValue::clone(value));
        }
        let stream = tunnel.call(uri.clone()).await?;
        Ok(Link { io: dialer.encrypt(stream.into_inner(), &uri).await?, is_proxied: false })
    }
}

type Stream = TokioIo<Box<dyn Io>>;

/// Connections to what an address says, with TLS where it says so. A proxy is believed by the same authorities as the
/// host behind it, as Go's clients do it.
#[derive(Debug, Clone)]
struct Dialer {
    tcp: HttpConnector,
    tls: Arc<ClientConfig>,
}

impl Dialer {
    async fn dial(&self, uri: Uri) -> Result<Stream, Cause> {
        let stream = self.tcp.clone().call(uri.clone()).await?.into_inner();
        if uri.scheme_str() == Some("https") {
            return self.encrypt(stream, &uri).await;
        }
        Ok(TokioIo::new(Box::new(stream)))
    }

    async fn proxy(&self, uri: Uri) -> Result<Stream, Cause> {
        let name = uri.authority().map(ToString::to_string).unwrap_or_default();
        let name = name.rsplit('@').next().unwrap_or_default().to_owned();
        self.dial(uri).await.map_err(|error| format!("proxy {name}: {error}").into())
    }

    async fn encrypt(&self, stream: impl Io + 'static, uri: &Uri) -> Result<Stream, Cause> {
        let name = ServerName::try_from(bare_host(uri.host().unwrap_or_default()).to_owned())?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        Ok(TokioIo::new(Box::new(stream)))
    }
}

/// As a tunnel dials its proxy.
impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Cause>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let own = self.clone();
        Box::pin(async move { own.proxy(uri).await })
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection, whatever it is made of.
struct Link {
    io: Stream,
    is_proxied: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
