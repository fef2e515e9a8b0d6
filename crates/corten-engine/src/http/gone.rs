//! Answers that go on for hours end with their client.
//!
//! Connections allow a client to end its sending half, so the server cannot take the end of what a
//! client sends for its leaving; and a log that nobody writes to is never written to the client
//! either. So whoever streams an answer watches the socket itself.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::{Body as _, Frame};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::answer::Body;

/// The same answer; one that is produced while it is sent ends when nobody is at the other end of
/// `socket` any more.
pub fn end_with(socket: Arc<OwnedFd>, response: Response<Body>) -> Response<Body> {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        let frames = body.into_data_stream().map_ok(Frame::data).take_until(gone(socket));
        BodyExt::boxed_unsync(StreamBody::new(frames))
    })
}

/// How often a client that has ended its sending half is looked at: the runtime tells the end of a
/// half once, and not the end of the other one. Clients that stream answers rarely do so.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Waits until both halves of the other end are closed.
#[expect(deprecated, reason = "its successor is an unsafe function, for types that are not AsFd; this one is")]
async fn gone(socket: Arc<OwnedFd>) {
    // What cannot be watched is found at the next write.
    let Ok(watched) = AsyncFd::with_interest(socket, Interest::READABLE) else { return std::future::pending().await };
    loop {
        let Ok(mut ready) = watched.readable().await else { return std::future::pending().await };
        if corten_sys::poll::hung_up(&[watched.get_ref().as_fd()]).is_ok_and(|hung_up| hung_up == [true]) {
            return;
        }
        if ready.ready().is_read_closed() {
            tokio::time::sleep(LOOK_AGAIN).await;
        } else {
            ready.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::http::Answer;

    #[tokio::test]
    async fn a_half_close_does_not_end_an_answer_and_leaving_does() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let endless = Answer::stream("text/plain", Box::pin(stream::pending::<std::io::Result<Bytes>>()));
        let response = end_with(Arc::new(OwnedFd::from(ours)), endless.into_response(&[]));
        let mut body = tokio::spawn(response.into_body().collect());
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut body).await.is_err());
        drop(theirs);
        let ended = tokio::time::timeout(Duration::from_secs(20), body).await.unwrap().unwrap();
        assert!(ended.unwrap().to_bytes().is_empty());
    }
}
