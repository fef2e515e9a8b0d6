//! Tasks: the running side of containers. Every verb asks the container's shim; what is here is who
//! that is, and what happens around the call.
//!
//! ```text
//! (nothing) ──create──> Starting ──> Live ──delete, or the shim's death──> (nothing)
//!  a restart finds a bundle: Adopting ──> Live, or settled
//! ```
//! State lives in the shim and on tmpfs, never in the database.

pub mod create;
mod delete;
mod exits;
mod list;
mod service;
pub mod start;
mod verbs;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use corten_shim_api::CallError;
use corten_types::error::ErrorKind;
use tokio::sync::watch;

pub use self::{exits::Exits, service::TasksService};
use crate::{
    error::{Error, Result},
    shims::Shim,
};

/// How long a shim may take to tell a state (containerd: io.containerd.timeout.task.state).
pub const STATE_TIMEOUT: Duration = Duration::from_secs(2);

/// All tasks, by namespace and container id.
#[derive(Debug, Default)]
pub struct Tasks {
    map: Mutex<BTreeMap<(String, String), Entry>>,
    /// Exits that were announced.
    pub exits: Exits,
}

#[derive(Debug)]
enum Entry {
    /// The id is taken, nothing can be asked yet.
    Starting,
    /// Found at the start of the supervisor; the sender is dropped when that is decided.
    Adopting(watch::Receiver<()>),
    Live(Arc<Shim>),
}

impl Tasks {
    /// Takes the id for a task that is being created.
    ///
    /// # Errors
    /// `AlreadyExists` when it has one.
    pub(crate) fn claim(&self, namespace: &str, id: &str) -> Result<()> {
        let mut map = self.lock();
        let key = (namespace.to_owned(), id.to_owned());
        if map.contains_key(&key) {
            return Err(Error::already_exists(format!("task {id}")));
        }
        map.insert(key, Entry::Starting);
        Ok(())
    }

    /// Takes the id for a task of an earlier life, until the answer is dropped.
    pub(crate) fn claim_for_adoption(&self, namespace: &str, id: &str) -> watch::Sender<()> {
        let (decided, wait) = watch::channel(());
        self.lock().insert((namespace.to_owned(), id.to_owned()), Entry::Adopting(wait));
        decided
    }

    /// The task can be asked from now on.
    pub(crate) fn live(&self, shim: Arc<Shim>) {
        self.lock().insert((shim.namespace().to_owned(), shim.id().to_owned()), Entry::Live(shim));
    }

    /// The id is free again.
    pub(crate) fn forget(&self, namespace: &str, id: &str) {
        self.lock().remove(&(namespace.to_owned(), id.to_owned()));
    }

    /// The shim of a task, if it is there now.
    pub(crate) fn find(&self, namespace: &str, id: &str) -> Option<Arc<Shim>> {
        match self.lock().get(&(namespace.to_owned(), id.to_owned())) {
            Some(Entry::Live(shim)) => Some(shim.clone()),
            _ => None,
        }
    }

    /// The shim of a task; waits while it is being adopted.
    ///
    /// # Errors
    /// `NotFound` when there is no such task.
    pub(crate) async fn get(&self, namespace: &str, id: &str) -> Result<Arc<Shim>> {
        let adopting = match self.lock().get(&(namespace.to_owned(), id.to_owned())) {
            Some(Entry::Live(shim)) => return Ok(shim.clone()),
            Some(Entry::Adopting(decided)) => Some(decided.clone()),
            Some(Entry::Starting) | None => None,
        };
        if let Some(mut decided) = adopting {
            // Ends with an error when the sender goes, which is the news. Adoption has deadlines.
            while decided.changed().await.is_ok() {}
        }
        self.find(namespace, id).ok_or_else(|| Error::not_found(format!("task {id} not found")))
    }

    /// Every task of a namespace; waits while any is being adopted.
    pub(crate) async fn all(&self, namespace: &str) -> Vec<Arc<Shim>> {
        let ids: Vec<String> = {
            let map = self.lock();
            map.keys().filter(|(owner, _)| owner == namespace).map(|(_, id)| id.clone()).collect()
        };
        let mut shims = Vec::with_capacity(ids.len());
        for id in ids {
            shims.extend(self.get(namespace, &id).await);
        }
        shims
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Entry>> {
        // Each change is one call, so a panic leaves the map whole.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shim's answer as this service passes it on: code and text as they came.
pub(crate) fn refused(error: CallError) -> Error {
    if error.is_closed() {
        // Its task ends with it, and is settled in a moment.
        return Error::new(ErrorKind::NotFound, format!("the shim is gone: {error}"));
    }
    let status = error.into_status();
    Error::new(ErrorKind::from_grpc_code(status.code), status.message)
}
