//! One request before it has a host.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName};

use super::RegistryError;
use super::settings::refused;
use super::transport::Body;

/// A body that can be sent more than once.
#[derive(Clone)]
pub(super) enum Payload {
    None,
    Bytes(Bytes),
    /// Made anew for each attempt.
    Stream(Source),
}

/// A body that is made while it is sent.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) make: Arc<dyn Fn() -> Body + Send + Sync>,
    /// Its length.
    pub(super) length: u64,
    /// Bytes that were taken, over all attempts: as long as it grows, the other side is alive.
    pub(super) taken: Arc<AtomicU64>,
}

impl fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Payload")
    }
}

impl Payload {
    pub(super) fn body(&self) -> Body {
        match self {
            Self::None => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Self::Bytes(data) => Full::new(data.clone()).map_err(|never| match never {}).boxed_unsync(),
            Self::Stream(source) => (source.make)(),
        }
    }

    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Bytes(data) => Some(data.len() as u64),
            Self::Stream(source) => Some(source.length),
        }
    }
}

/// One request before it has a host.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// In words, for errors.
    pub(super) what: String,
    pub(super) method: Method,
    /// Below `/v2`.
    pub(super) path: String,
    /// Instead of host and path: where a token server or an upload is.
    pub(super) url: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// What a token must allow.
    pub(super) scopes: Vec<String>,
    /// Tried again when it fails for a reason that may pass.
    pub(super) repeats: bool,
}

impl Call {
    pub(super) fn new(what: &str, method: Method) -> Self {
        Self {
            what: what.to_owned(),
            method,
            path: String::new(),
            url: None,
            headers: HeaderMap::new(),
            payload: Payload::None,
            scopes: Vec::new(),
            repeats: true,
        }
    }

    pub(super) fn get(what: &str) -> Self {
        Self::new(what, Method::GET)
    }

    pub(super) fn post(what: &str, body: Bytes) -> Self {
        Self { payload: Payload::Bytes(body), ..Self::new(what, Method::POST) }
    }

    pub(super) fn at(self, path: String) -> Self {
        Self { path, ..self }
    }

    pub(super) fn with_scopes(self, scopes: &[String]) -> Self {
        Self { scopes: scopes.to_vec(), ..self }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Result<Self, RegistryError> {
        let value = value.parse().map_err(|_| refused(name.as_str(), "its value cannot be sent as a header"))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Whether it only asks: such requests follow redirects and are safe to send again.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}
