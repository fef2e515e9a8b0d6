//! Sending: with who asks, along redirects, again after what may pass.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::{Request, Response, StatusCode, Uri};
use tokio::time::{Instant, sleep_until, timeout};

use super::call::{Call, Payload};
use super::credentials::Credentials;
use super::error::{RegistryError, read_errors};
use super::hosts::Endpoint;
use super::patience::{Patience, retry_after};
use super::settings::{Settings, refused};
use super::tls::{self, Identity};
use super::tokens::Known;
use super::transport::{ProxyRules, Transport};
use super::watch::{self, Watcher};

/// Redirects that are followed: Hub's blobs take one.
const REDIRECTS_MAX: usize = 5;
/// Times one request is answered with a challenge: for who asks, and once more for a token that ended.
const CHALLENGES_MAX: usize = 2;
/// Largest body of an error.
const ERROR_MAX: u64 = 64 << 10;
/// How many times the patience for an answer a registry may take to store a blob that it has.
const STORING_MAX: u32 = 5;
/// Who we say we are.
const AGENT: &str = concat!("corten/", env!("CARGO_PKG_VERSION"));

/// What all requests of one operation share.
pub(super) struct Client {
    pub(super) settings: Settings,
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) reference: String,
    pub(super) patience: Patience,
    proxies: Arc<ProxyRules>,
    /// Of every request to a registry itself.
    headers: HeaderMap,
    /// Who is told what is said.
    watcher: Option<Watcher>,
    known: Known,
    /// When a host that asked for rest may be asked again.
    rest: Mutex<HashMap<String, Instant>>,
}

/// A try that failed: whether another makes sense, and when.
struct Failure {
    error: RegistryError,
    again: Again,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    No,
    /// After the usual time.
    Later,
    /// The host's rest says when.
    Rested,
}

impl Client {
    pub(super) fn new(
        settings: Settings,
        credentials: Arc<dyn Credentials>,
        reference: String,
        patience: Patience,
        watcher: Option<Watcher>,
    ) -> Result<Self, RegistryError> {
        settings.check()?;
        let proxies = Arc::new(ProxyRules::new(&settings)?);
        let headers = settings.header_map()?;
        Ok(Self {
            settings,
            credentials,
            reference,
            patience,
            proxies,
            headers,
            watcher,
            known: Known::default(),
            rest: Mutex::default(),
        })
    }

    /// Sends `call` to `endpoint`; the answer is a success, or one that the caller must judge: an error of 4xx that no
    /// other try would change is returned as it is.
    pub(super) async fn send(&self, endpoint: &Endpoint, call: &Call) -> Result<Response<Incoming>, RegistryError> {
        self.persist(endpoint, call, true).await
    }

    /// The same, to a token server.
    pub(super) async fn send_without_token(
        &self,
        endpoint: &Endpoint,
        call: &Call,
    ) -> Result<Response<Incoming>, RegistryError> {
        Box::pin(self.persist(endpoint, call, false)).await
    }

    async fn persist(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        with_token: bool,
    ) -> Result<Response<Incoming>, RegistryError> {
        // Whom another host can stand in for is not waited for.
        let attempts = if call.repeats && endpoint.is_last { self.settings.attempts } else { 1 };
        let mut attempt = 1;
        loop {
            self.wait_for_rest(&endpoint.host).await;
            let failure = match self.attempt(endpoint, call, with_token).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            if failure.again == Again::No || attempt >= attempts {
                return Err(failure.error);
            }
            tracing::debug!(host = endpoint.host, error = %failure.error, attempt, "request is tried again");
            if failure.again == Again::Later {
                tokio::time::sleep(self.patience.delay(attempt)).await;
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, endpoint: &Endpoint, call: &Call, with_token: bool) -> Result<Response<Incoming>, Failure> {
        let fatal = |error| Failure { error, again: Again::No };
        let response =
            if with_token { self.authorized(endpoint, call).await? } else { self.follow(endpoint, call, None).await? };
        let again = match response.status().as_u16() {
            408 | 429 | 500 | 502 | 503 | 504 => Again::Later,
            _ => return Ok(response),
        };
        let asked = retry_after(response.headers());
        let error = self.refusal(&endpoint.host, &call.what, response).await;
        if !call.repeats {
            return Err(fatal(error));
        }
        match asked {
            None => Err(Failure { error, again }),
            Some(pause) => {
                self.set_rest(&endpoint.host, pause);
                Err(Failure { error, again: Again::Rested })
            }
        }
    }

    /// Sends with what is known of who asks, and once more with what the challenge asks for.
    async fn authorized(&self, endpoint: &Endpoint, call: &Call) -> Result<Response<Incoming>, Failure> {
        let fatal = |error| Failure { error, again: Again::No };
        let mut header = self.known.header(self, endpoint, &call.scopes).await.map_err(fatal)?;
        for round in 0.. {
            let response = self.follow(endpoint, call, header.as_ref()).await?;
            if response.status() != StatusCode::UNAUTHORIZED || round == CHALLENGES_MAX {
                return Ok(response);
            }
            let challenges: Vec<String> = response
                .headers()
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            let next = self.known.challenged(self, endpoint, &call.scopes, &challenges, header.as_ref()).await;
            match next.map_err(fatal)? {
                // The same again would be refused again.
                Some(next) if header.as_ref() != Some(&next) => header = Some(next),
                _ => return Ok(response),
            }
        }
        unreachable!("the last round returns")
    }

    /// Sends, and goes where the answer points as long as the request only asks.
    async fn follow(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Incoming>, Failure> {
        let protocol = |why: String| Failure {
            error: RegistryError::Protocol { host: endpoint.host.clone(), what: call.what.clone(), why },
            again: Again::No,
        };
        let begin = || call.url.clone().unwrap_or_else(|| format!("{}{}{}", endpoint.root(), endpoint.path, call.path));
        let parse = |url: &str| url.parse::<Uri>().map_err(|error| protocol(format!("address {url:?}: {error}")));
        let mut uri = parse(&begin())?;
        let mut call = Cow::Borrowed(call);
        for _ in 0..=REDIRECTS_MAX {
            let response = match self.exchange(endpoint, &call, &uri, authorization).await {
                Ok(response) => response,
                // A registry without TLS that was asked with TLS; it has seen nothing of the request.
                Err(Failure { error: RegistryError::Connect { .. }, .. })
                    if uri.scheme_str() == Some("https")
                        && uri.authority().is_some_and(|own| own.as_str() == endpoint.host)
                        && endpoint.give_up_tls() =>
                {
                    uri = parse(&begin())?;
                    self.exchange(endpoint, &call, &uri, authorization).await?
                }
                Err(failure) => return Err(failure),
            };
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) || !call.only_reads() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| protocol("a redirect to nowhere".to_owned()))?;
            let next = resolve_location(&uri, location).map_err(protocol)?;
            let leaves_tls = uri.scheme_str() == Some("https") && next.scheme_str() != Some("https");
            if leaves_tls && !endpoint.is_insecure {
                return Err(protocol(format!("a redirect from TLS to plain text at {next}")));
            }
            if next.authority() != uri.authority() && call.headers.contains_key(AUTHORIZATION) {
                call.to_mut().headers.remove(AUTHORIZATION);
            }
            uri = next;
        }
        Err(protocol(format!("more than {REDIRECTS_MAX} redirects")))
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        uri: &Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Incoming>, Failure> {
        let fatal = |error| Failure { error, again: Again::No };
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let is_own = is_of(endpoint, uri);
        let transport = self.transport(endpoint).await.map_err(fatal)?;
        let transport = if is_own { transport.own() } else { transport.foreign() };
        let mut request = Request::builder().method(call.method.clone()).uri(uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
            // A body that is decompressed on the way has another digest.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if is_own {
                headers.extend(endpoint.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
                headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
                // Only the registry itself is told who asks (CVE-2020-15157); its storage refuses what it gets besides.
                headers.extend(authorization.map(|value| (AUTHORIZATION, value.clone())));
            }
            headers.extend(call.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
            if let Some(length) = call.payload.length() {
                headers.insert(CONTENT_LENGTH, length.into());
            }
        }
        let request =
            request.body(call.payload.body()).map_err(|error| fatal(refused(&call.what, error.to_string())))?;
        if let Some(watcher) = &self.watcher {
            watcher(&watch::said(&request));
        }
        let sent = self.in_time(call, transport.send(request)).await;
        match sent {
            Some(Ok(response)) => {
                if let Some(watcher) = &self.watcher {
                    watcher(&watch::answered(&response));
                }
                if is_own {
                    endpoint.set_answered();
                }
                Ok(response)
            }
            Some(Err(error)) if error.is_connect() => {
                // What never answered is a wrong address more often than a short failure.
                let again = if endpoint.has_answered() || !is_own { Again::Later } else { Again::No };
                let source = std::error::Error::source(&error).map(chain).unwrap_or_else(|| error.to_string());
                Err(Failure { error: RegistryError::Connect { host, source: source.into() }, again })
            }
            Some(Err(error)) => {
                let source = std::error::Error::source(&error).map(chain).unwrap_or_else(|| error.to_string());
                let error = RegistryError::Broken { host, what: call.what.clone(), source: source.into() };
                Err(Failure { error, again: Again::Later })
            }
            None => {
                let waited = self.patience.answer;
                let error = RegistryError::Stalled { host, what: call.what.clone(), bytes: 0, waited };
                Err(Failure { error, again: Again::Later })
            }
        }
    }

    /// Waits for the head of an answer; with a body on its way, as long as that moves, and then as long as a registry
    /// may take to store it.
    async fn in_time<T>(&self, call: &Call, sent: impl Future<Output = T>) -> Option<T> {
        let Payload::Stream(source) = &call.payload else { return timeout(self.patience.answer, sent).await.ok() };
        let mut sent = std::pin::pin!(sent);
        let (mut before, mut idle) = (u64::MAX, 0);
        loop {
            if let Ok(answer) = timeout(self.patience.answer, sent.as_mut()).await {
                return Some(answer);
            }
            let taken = source.taken.load(Ordering::Relaxed);
            idle = if taken == before { idle + 1 } else { 0 };
            before = taken;
            if idle >= STORING_MAX {
                return None;
            }
        }
    }

    async fn transport<'a>(&self, endpoint: &'a Endpoint) -> Result<&'a Pair, RegistryError> {
        endpoint
            .transport
            .get_or_try_init(|| async {
                let tls = endpoint.tls.clone();
                let has_client = !tls.clients.is_empty();
                let configs = tokio::task::spawn_blocking(move || {
                    let own = tls::config(&tls, Identity::Shown)?;
                    let foreign = if has_client { Some(tls::config(&tls, Identity::Hidden)?) } else { None };
                    Ok::<_, RegistryError>((own, foreign))
                });
                let (own, foreign) = configs.await.map_err(|_| refused("TLS", "the reading thread panicked"))??;
                let timeout = endpoint.dial_timeout.unwrap_or(self.patience.connect);
                let transport = |config| Transport::new(config, self.proxies.clone(), timeout);
                Ok(Pair { own: transport(own), foreign: foreign.map(transport) })
            })
            .await
    }

    /// Makes an error of every answer that is no success.
    pub(super) async fn expect_success(
        &self,
        host: &str,
        what: &str,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, RegistryError> {
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(host, what, response).await) }
    }

    /// The error that an answer tells.
    pub(super) async fn refusal(&self, host: &str, what: &str, response: Response<Incoming>) -> RegistryError {
        let status = response.status().as_u16();
        // An error's own error is of no use.
        let body = self.read_body(host, what, response, ERROR_MAX).await.unwrap_or_default();
        let (code, message) = read_errors(&body);
        RegistryError::Status { host: host.to_owned(), what: what.to_owned(), status, code, message }
    }

    /// Reads a body that is no larger than `max`.
    pub(super) async fn read_body(
        &self,
        host: &str,
        what: &str,
        mut response: Response<Incoming>,
        max: u64,
    ) -> Result<Bytes, RegistryError> {
        let too_large = || RegistryError::TooLarge { host: host.to_owned(), what: what.to_owned(), max };
        if content_length(&response).is_some_and(|length| length > max) {
            return Err(too_large());
        }
        let mut all = BytesMut::new();
        let deadline = Instant::now() + self.patience.answer;
        loop {
            let frame = match tokio::time::timeout_at(deadline, response.body_mut().frame()).await {
                Ok(frame) => frame,
                Err(_) => {
                    let (host, what) = (host.to_owned(), what.to_owned());
                    return Err(RegistryError::Stalled {
                        host,
                        what,
                        bytes: all.len() as u64,
                        waited: self.patience.answer,
                    });
                }
            };
            let Some(frame) = frame else { return Ok(all.freeze()) };
            let frame = frame.map_err(|error| RegistryError::Broken {
                host: host.to_owned(),
                what: what.to_owned(),
                source: chain(&error).into(),
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if (all.len() + data.len()) as u64 > max {
                return Err(too_large());
            }
            all.extend_from_slice(&data);
        }
    }

    fn set_rest(&self, host: &str, pause: Duration) {
        if let Ok(mut rest) = self.rest.lock() {
            let until = rest.entry(host.to_owned()).or_insert_with(Instant::now);
            *until = (*until).max(Instant::now() + pause);
        }
    }

    /// Waits until `host` may be asked again: all requests heed what one of them was told.
    async fn wait_for_rest(&self, host: &str) {
        loop {
            let until = self.rest.lock().ok().and_then(|rest| rest.get(host).copied());
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }
}

/// The connections of one endpoint: to itself, and to others it points at, which see no client certificate.
#[derive(Debug)]
pub(super) struct Pair {
    own: Transport,
    foreign: Option<Transport>,
}

impl Pair {
    fn own(&self) -> &Transport {
        &self.own
    }

    fn foreign(&self) -> &Transport {
        self.foreign.as_ref().unwrap_or(&self.own)
    }
}

/// Whether `uri` is the endpoint itself: the same host and port, no less protected.
fn is_of(endpoint: &Endpoint, uri: &Uri) -> bool {
    let scheme = if endpoint.is_plain() { "http" } else { "https" };
    uri.authority().is_some_and(|authority| authority.as_str() == endpoint.host) && uri.scheme_str() == Some(scheme)
}

/// Where `location` leads from `base`.
pub(super) fn resolve_location(base: &Uri, location: &str) -> Result<Uri, String> {
    let invalid = |error: &dyn std::fmt::Display| format!("location {location:?}: {error}");
    let (scheme, authority) = (base.scheme_str().unwrap_or("https"), base.authority().map_or("", |own| own.as_str()));
    let whole = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", base.path())
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{authority}{directory}/{location}")
    };
    let uri: Uri = whole.parse().map_err(|error| invalid(&error))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(invalid(&"not http or https")),
    }
}

/// The length a response states.
pub(super) fn content_length<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// An error and its causes in one text.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    corten_types::error::chain(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_relative_or_not() {
        let base: Uri = "https://r.example:5/v2/a/blobs/uploads/?x=1".parse().unwrap();
        for (location, expected) in [
            ("/v2/u?state=1", "https://r.example:5/v2/u?state=1"),
            ("http://other/x", "http://other/x"),
            ("//other/x", "https://other/x"),
            ("next", "https://r.example:5/v2/a/blobs/uploads/next"),
            ("?n=2", "https://r.example:5/v2/a/blobs/uploads/?n=2"),
        ] {
            assert_eq!(resolve_location(&base, location).unwrap().to_string(), expected);
        }
        assert!(resolve_location(&base, "file:///etc/passwd").is_err());
    }
}
