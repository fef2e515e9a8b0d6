//! One request as handlers read it.

use bytes::{Bytes, BytesMut};
use corten_docker_api::ApiVersion;
use corten_docker_api::json;
use corten_types::ErrorKind;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, UPGRADE};
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;

use super::Query;
use crate::errors::{EngineError, Result};

/// Most bytes of a JSON body. The smallest values take about eight times their text in memory, so
/// one request stays below 16 MiB; an argument list the kernel takes is at most 2 MiB of text, and
/// real bodies are a few KiB.
pub const JSON_LIMIT_BYTES: usize = 1024 * 1024;

/// One request.
pub struct Request {
    /// The version the client speaks.
    pub version: ApiVersion,
    /// What the query asks.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    params: Vec<(&'static str, String)>,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
}

impl Request {
    /// Puts together what the server has taken apart.
    pub fn new(
        version: ApiVersion,
        params: Vec<(&'static str, String)>,
        request: hyper::Request<Incoming>,
        upgrade: OnUpgrade,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let query = Query::decode(parts.uri.query().unwrap_or_default());
        Self { version, query, headers: parts.headers, params, body, upgrade: Some(upgrade) }
    }

    /// The part of the path that the route calls `name`; empty when it has none.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// A header's text; empty when absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the client asks to take the connection over with an `Upgrade` header.
    pub fn wants_upgrade(&self) -> bool {
        self.headers.contains_key(UPGRADE)
    }

    /// The way to the connection itself, once; `None` afterwards.
    pub fn take_upgrade(&mut self) -> Option<OnUpgrade> {
        self.upgrade.take()
    }

    /// The body as it comes, for archives.
    pub fn into_body(self) -> Incoming {
        self.body
    }

    /// The whole body.
    ///
    /// # Errors
    /// 413 when it is longer than `limit_bytes`; nothing beyond that is read.
    pub async fn bytes(&mut self, limit_bytes: usize) -> Result<Bytes> {
        let mut bytes = BytesMut::new();
        let too_long = || {
            EngineError::new(ErrorKind::ResourceExhausted, format!("request body is longer than {limit_bytes} bytes"))
        };
        let announced = self.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit_bytes as u64) {
            return Err(too_long());
        }
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| EngineError::invalid("read request body").caused_by(error))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if bytes.len() + chunk.len() > limit_bytes {
                return Err(too_long());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// The body as JSON text, its type checked.
    ///
    /// # Errors
    /// 400 for another content type, 413 when it is too long.
    pub async fn json_text(&mut self) -> Result<Bytes> {
        let bytes = self.bytes(JSON_LIMIT_BYTES).await?;
        if !bytes.is_empty() {
            self.check_json_type()?;
        }
        // A list would be read as an object's fields in their order.
        match bytes.trim_ascii_start().first() {
            Some(b'[') => Err(EngineError::invalid("invalid JSON: a list, expected an object")),
            _ => Ok(bytes),
        }
    }

    /// The body as one JSON document.
    ///
    /// # Errors
    /// As [`Request::json_text`], and 400 naming the key at fault.
    pub async fn json<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T> {
        Ok(json::decode(&self.json_text().await?)?)
    }

    /// As [`Request::json`]; no body is the zero value.
    ///
    /// # Errors
    /// As [`Request::json`].
    pub async fn json_or_default<T: Default + for<'de> Deserialize<'de>>(&mut self) -> Result<T> {
        let bytes = self.json_text().await?;
        if bytes.is_empty() { Ok(T::default()) } else { Ok(json::decode(&bytes)?) }
    }

    fn check_json_type(&self) -> Result<()> {
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence.eq_ignore_ascii_case("application/json") {
            true => Ok(()),
            false => Err(EngineError::invalid(format!(
                "unsupported Content-Type header ({content_type}): must be 'application/json'"
            ))),
        }
    }
}
