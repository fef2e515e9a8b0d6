//! An answer: its head at once, its body read whole or as it comes.

use super::{ClientError, Sender};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest answer that is read into memory. An inspect of a container is some 10 KiB, a list of
/// 10 000 containers some 10 MiB; more than this is not an answer.
const LONGEST_DOCUMENT_BYTES: usize = 256 << 20;

/// Longest text of an error that is kept.
const LONGEST_ERROR_BYTES: usize = 1 << 20;

/// An answer whose head has arrived.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    body: ResponseBody,
}

/// A body that is still arriving.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    /// hyper ends a connection whose sender is gone; the body needs it.
    _sender: Sender,
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
}

impl Response {
    pub(super) fn new(response: hyper::Response<Incoming>, sender: Sender) -> Self {
        let (head, incoming) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: ResponseBody { incoming, _sender: sender } }
    }

    /// The body as it comes.
    #[must_use]
    pub fn into_body(self) -> ResponseBody {
        self.body
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`ClientError::TooLong`] above 256 MiB.
    pub async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        self.body.read_all(LONGEST_DOCUMENT_BYTES).await
    }

    /// The whole body as a JSON document.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when it is none of that shape.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ClientError::Decode { target: std::any::type_name::<T>().to_owned(), source })
    }

    /// Turns a refusal into the error that carries the daemon's words.
    pub(super) async fn or_daemon_error(mut self) -> Result<Self, ClientError> {
        if self.status.as_u16() < 400 {
            return Ok(self);
        }
        let is_json =
            self.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        let body = self.body.read_all(LONGEST_ERROR_BYTES).await.unwrap_or_default();
        Err(ClientError::Daemon { status: self.status.as_u16(), message: error_message(self.status, is_json, &body) })
    }
}

/// The message of a refusal, as moby's client takes it out.
pub(super) fn error_message(status: StatusCode, is_json: bool, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).trim().to_owned();
    if text.is_empty() {
        let reason = status.canonical_reason().unwrap_or("Unknown");
        return format!(
            "request returned {reason} without a message; check if the server supports the requested API version"
        );
    }
    if !is_json {
        return text;
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(error) if !error.message.trim().is_empty() => error.message.trim().to_owned(),
        Ok(_) => format!(
            "API returned a {} ({}) but provided no error-message",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default()
        ),
        Err(_) => text,
    }
}

impl ResponseBody {
    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Exchange`] when the connection breaks before the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(frame) = self.incoming.frame().await else { return Ok(None) };
            let frame =
                frame.map_err(|source| ClientError::Exchange { target: "reading the answer".to_owned(), source })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    async fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, ClientError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > limit {
                return Err(ClientError::TooLong { limit });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::error_message;
    use hyper::StatusCode;

    #[test]
    fn the_message_of_a_refusal_is_found() {
        let check = |is_json, body: &str, expected: &str| {
            assert_eq!(error_message(StatusCode::NOT_FOUND, is_json, body.as_bytes()), expected)
        };
        check(true, "{\"message\":\"No such container: x\"}\n", "No such container: x");
        check(false, "404 page not found\n", "404 page not found");
        check(true, "{}", "API returned a 404 (Not Found) but provided no error-message");
    }
}
