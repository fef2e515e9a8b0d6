//! A connection taken over after `101 UPGRADED`: raw bytes both ways.

use super::body::error_message;
use super::{ClientError, Socket};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper_util::rt::TokioIo;

/// The raw connection, and what of the daemon's bytes was read with the head already.
#[derive(Debug)]
pub struct Hijacked {
    /// The stream; shutting down its writing half ends the container's input.
    pub socket: Socket,
    /// Bytes that come before anything the socket still holds.
    pub read_ahead: Bytes,
    /// `Content-Type` of the answer: says whether output is framed (API 1.42 and above).
    pub content_type: String,
}

pub(super) async fn take_over(response: hyper::Response<Incoming>) -> Result<Hijacked, ClientError> {
    let status = response.status();
    let content_type =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let message = error_message(status, content_type.starts_with("application/json"), &body);
        return Err(ClientError::NotUpgraded { status: status.as_u16(), message });
    }
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|source| ClientError::Exchange { target: "taking over the connection".to_owned(), source })?;
    let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else {
        unreachable!("every connection of this client is a Socket");
    };
    Ok(Hijacked { socket: parts.io.into_inner(), read_ahead: parts.read_buf, content_type })
}
