//! containerd's services: what runs on this machine, what it runs from, and who is told.
//!
//! In reading order:
//! - [`serve`] starts everything: the lock, the stores, the sockets; [`config`] is what it starts with.
//! - [`metadata`] is one SQLite file. Records of [`namespaces`], [`containers`], [`images`], [`leases`],
//!   [`content`] and [`snapshots`] stand in it; the last two have files beside.
//! - [`diff`] writes layers into snapshots. [`gc`] removes what nothing refers to.
//! - [`tasks`] is the running side: each verb asks the container's shim, which [`shims`] starts, adopts
//!   after a restart, and cleans up after.
//! - [`transfer`] moves images between registries, archives and the stores, which it sees as [`local`] ones;
//!   clients send and read on [`streams`].
//! - [`events`] is the bus that services and shims publish on.
//! - [`introspection`], [`version`] and [`health`] tell about the daemon itself.
//!
//! Every handler reads its [`caller`] and answers an [`error`] in containerd's words; lists are
//! filtered by [`filter`].

pub mod caller;
pub mod config;
pub mod containers;
pub mod content;
pub mod diff;
pub mod error;
pub mod events;
pub mod filter;
pub mod gc;
pub mod health;
pub mod identifier;
pub mod images;
pub mod introspection;
pub mod leases;
pub mod local;
pub mod metadata;
mod moment;
pub mod namespaces;
pub mod serve;
pub mod shims;
pub mod snapshots;
pub mod streams;
pub mod tasks;
pub mod transfer;
pub mod version;

use crate::error::{Error, Result};

/// Everything the services share.
#[derive(Debug)]
pub struct Supervisor {
    /// What it was started with.
    pub config: config::Config,
    /// The records.
    pub metadata: metadata::Database,
    /// Files of blobs and ingests.
    pub content: content::Store,
    /// Directories of snapshots.
    pub snapshots: snapshots::Snapshots,
    /// Who listens.
    pub events: events::Bus,
    /// What clients opened for transfers.
    pub streams: streams::Streams,
    /// How many blobs are on their way to and from registries.
    pub transfers: corten_images::registry::Limits,
    /// What runs.
    pub tasks: tasks::Tasks,
    /// When garbage is collected.
    pub gc: gc::Schedule,
}

/// Runs `work`, which may block, on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
}

/// Runs `work` to its end whether or not the client that asked for it stays.
async fn in_its_own_task<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
}
