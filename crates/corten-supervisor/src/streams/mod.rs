//! Streams a client opened by name, waiting for the transfer that uses them.
//!
//! The first message names the stream and is answered once it is listed; what follows belongs to whoever takes it.
//! A stream nobody took is forgotten when its client leaves. [`bytes`] is how archives travel on one, [`pipe`] how those
//! of our engine do beside one.

pub mod bytes;
pub mod pipe;
mod service;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prost_types::Any;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

pub use service::StreamingService;

use crate::error::{Error, Result};

/// Most streams that wait to be taken: a transfer uses four, and more than so many at once are a client's mistake.
const WAITING_MAX: usize = 1024;
/// Messages a stream holds for a client that does not read: some thousand of progress, of 200 bytes.
const AHEAD_MAX: usize = 1024;

/// Both directions of a stream.
#[derive(Debug)]
pub struct Stream {
    /// From the client.
    pub incoming: Streaming<Any>,
    /// To the client; the stream ends when it is dropped.
    pub outgoing: mpsc::Sender<Result<Any, Status>>,
}

/// The streams that wait, by namespace and name.
#[derive(Debug, Default)]
pub struct Streams {
    waiting: Mutex<HashMap<(String, String), Stream>>,
}

impl Streams {
    fn waiting(&self) -> MutexGuard<'_, HashMap<(String, String), Stream>> {
        // Every change is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the stream `id` of `namespace`.
    ///
    /// # Errors
    /// `NotFound` when none of that name waits.
    pub fn take(&self, namespace: &str, id: &str) -> Result<Stream> {
        let found = self.waiting().remove(&(namespace.to_owned(), id.to_owned()));
        found.ok_or_else(|| Error::not_found(format!("stream {id:?}")))
    }

    fn add(&self, namespace: &str, id: &str, stream: Stream) -> Result<()> {
        let mut waiting = self.waiting();
        let name = (namespace.to_owned(), id.to_owned());
        if waiting.contains_key(&name) {
            return Err(Error::already_exists(format!("stream {id:?}")));
        }
        if waiting.len() >= WAITING_MAX {
            let text = format!("stream {id:?}: {WAITING_MAX} streams wait already");
            return Err(Error::new(corten_types::ErrorKind::ResourceExhausted, text));
        }
        waiting.insert(name, stream);
        Ok(())
    }

    /// Forgets the stream of that name if its client is gone.
    fn forget_closed(&self, name: &(String, String)) {
        let mut waiting = self.waiting();
        if waiting.get(name).is_some_and(|stream| stream.outgoing.is_closed()) {
            waiting.remove(name);
        }
    }
}
