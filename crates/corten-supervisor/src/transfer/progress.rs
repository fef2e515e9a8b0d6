//! What a transfer tells on the way.

use std::sync::Arc;

use corten_images::{Progress, Sink};
use corten_proto::{any, containerd::types::transfer};

use crate::{
    error::Result,
    streams::{Stream, Streams},
};

/// Tells a client how a transfer goes; nobody when it did not ask.
///
/// A client that does not read loses what does not fit: the transfer never waits for it.
#[derive(Clone, Debug, Default)]
pub struct Teller(Option<Arc<Stream>>);

impl Teller {
    /// Tells on the stream `id` of `namespace`; an empty id is nobody's.
    ///
    /// # Errors
    /// `NotFound` when there is no such stream.
    pub fn on(streams: &Streams, namespace: &str, id: &str) -> Result<Self> {
        if id.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self(Some(Arc::new(streams.take(namespace, id)?))))
    }

    /// Tells what `corten-images` says.
    pub fn sink(&self) -> Sink {
        let teller = self.clone();
        Arc::new(move |progress: Progress| {
            teller.tell(&progress.into());
        })
    }

    /// Tells that something begins or is done.
    pub fn event(&self, event: impl Into<String>) {
        self.tell(&transfer::Progress { event: event.into(), ..transfer::Progress::default() });
    }

    /// Tells `progress`.
    pub fn tell(&self, progress: &transfer::Progress) {
        if let Some(stream) = &self.0 {
            let _ = stream.outgoing.try_send(Ok(any::pack(progress)));
        }
    }

    /// Tells `progress`, which is not lost: it waits for a client that is behind.
    pub async fn tell_surely(&self, progress: &transfer::Progress) {
        if let Some(stream) = &self.0 {
            let _ = stream.outgoing.send(Ok(any::pack(progress))).await;
        }
    }
}
