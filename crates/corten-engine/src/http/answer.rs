//! One answer: a status, a body, and what every answer of the engine carries.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use corten_docker_api::{ErrorResponse, json};
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::errors::{EngineError, Result};

/// The body of any answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Chunks produced while they are sent.
pub type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// One answer.
pub struct Answer(Response<Body>);

/// Media type of a terminal's or an old client's connection.
pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";

/// Media type of a connection with framed streams (1.42).
pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

impl Answer {
    /// `status` without a body.
    pub fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = status;
        Self(response)
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    /// 200 with a JSON document.
    ///
    /// # Errors
    /// None of our bodies can fail to be written.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Self::json_with(StatusCode::OK, value)
    }

    /// `status` with a JSON document.
    ///
    /// # Errors
    /// None of our bodies can fail to be written.
    pub fn json_with<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Result<Self> {
        let bytes = json::encode(value).map_err(|error| EngineError::internal("write the answer").caused_by(error))?;
        Ok(Self::bytes(status, "application/json", bytes))
    }

    /// `status` with a body of that type.
    pub fn bytes(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let mut response = Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self(response)
    }

    /// 200 with a body that is produced while it is sent; the header goes at once.
    pub fn stream(content_type: &'static str, chunks: Chunks) -> Self {
        let body = BodyExt::boxed_unsync(StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))));
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self(response)
    }

    /// 101: the connection is the caller's from now on, by [`super::Request::take_upgrade`].
    pub fn upgraded(content_type: &'static str) -> Self {
        let mut answer = Self::empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = answer.0.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        // Docker's own words; Go's client prints them in its debug log only.
        answer.0.extensions_mut().insert(hyper::ext::ReasonPhrase::from_static(b"UPGRADED"));
        answer
    }

    /// The refusal `error`: `{"message":"…"}`. 304 has no body.
    pub fn refused(error: &EngineError) -> Self {
        let status = StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::NOT_MODIFIED {
            return Self::empty(status);
        }
        let body = ErrorResponse { message: error.message() };
        Self::json_with(status, &body).unwrap_or_else(|_| Self::empty(StatusCode::INTERNAL_SERVER_ERROR))
    }

    /// The same with another header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers_mut().insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The response, with the headers every answer carries.
    pub fn into_response(mut self, common: &[(HeaderName, HeaderValue)]) -> Response<Body> {
        for (name, value) in common {
            self.0.headers_mut().insert(name, value.clone());
        }
        self.0
    }
}
