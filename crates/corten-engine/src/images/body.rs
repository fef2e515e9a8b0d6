//! A request's body as the archive that loading reads: piece by piece, never whole.

use std::future::Future;
use std::time::Duration;

use corten_images::input::{self, Reader};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Bytes of a refused archive that are still taken, so that the client finishes writing and reads
/// the refusal instead of a broken pipe.
const DISCARDED_BYTES: usize = 256 * 1024 * 1024;

/// Runs `work` on the archive in `body`.
///
/// A client that goes away breaks the archive off, which `work` sees as an error; the task goes on
/// and undoes what it has begun.
pub async fn with_archive<T, F: Future<Output = T>>(body: Incoming, work: impl FnOnce(Reader) -> F) -> T {
    with_archive_within(body, Duration::MAX, work).await
}

/// As [`with_archive`]; a client that sends nothing for `patience` has gone away.
pub async fn with_archive_within<T, F: Future<Output = T>>(
    body: Incoming,
    patience: Duration,
    work: impl FnOnce(Reader) -> F,
) -> T {
    let (sender, reader) = input::channel();
    let feed = tokio::spawn(feed(body, sender, patience));
    let outcome = work(reader).await;
    // The reader is gone by now: what is left of the body is taken and thrown away.
    let _ = feed.await;
    outcome
}

async fn feed(mut body: Incoming, sender: input::Sender, patience: Duration) {
    loop {
        let Ok(frame) = tokio::time::timeout(patience, body.frame()).await else { return };
        let Some(frame) = frame else { break };
        // The connection broke: without `finish` the reader sees that the archive is not whole.
        let Ok(frame) = frame else { return };
        let Ok(data) = frame.into_data() else { continue };
        if sender.send(data).await.is_err() {
            return discard(body).await;
        }
    }
    sender.finish().await;
}

/// Takes what is left of a refused archive, within a bound, and throws it away.
pub async fn discard(mut body: Incoming) {
    let mut left = DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, bytes::Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
