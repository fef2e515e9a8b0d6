//! The metadata: one SQLite file in write-ahead mode, one thread that writes, one connection that reads.
//!
//! A write is a closure that runs in a transaction of the writer's thread. Closures waiting at the
//! same time share one commit, hence at most one sync. [`Durability::Relaxed`] commits are not synced
//! (they survive a kill, not a power cut); the log is a prefix, so the next durable commit makes all
//! of them durable too. What a user is told about (an image, a container, a blob) is durable.
//!
//! A record may speak of files that are not on disk yet: committed snapshots. Such a change calls
//! [`Database::files_await_sync`], and before the next durable commit, which would make the record
//! durable too, the files are synced: one syncfs an image, not one a layer.
//!
//! Reads see what was committed and answered, on a connection of their own, and never wait for a sync.

mod open;
pub mod records;
pub(crate) mod schema;
mod write;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;

pub use self::{
    open::{OpenError, SetAside},
    write::Durability,
};
use crate::error::Result;

/// The opened metadata.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    reader: Mutex<Connection>,
    writer: write::Writer,
    set_aside: Option<SetAside>,
    files: Arc<Files>,
}

/// Files whose records are committed and whose data may not be on disk.
#[derive(Default)]
struct Files {
    await_sync: AtomicBool,
    sync: OnceLock<Box<dyn Fn() -> Result<()> + Send + Sync>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Files {{ await_sync: {:?} }}", self.await_sync)
    }
}

impl Database {
    /// What `question` answers from the committed state.
    ///
    /// # Errors
    /// The question's own, or the database's.
    pub fn read<T>(&self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        // A panic in another question leaves the connection whole: it holds no transaction of ours.
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        question(&reader)
    }

    /// Runs `change` in a transaction and answers when it is committed (and synced, if durable).
    /// The change runs to its end even when the caller goes away; its error undoes all it did.
    ///
    /// # Errors
    /// The change's own, or the database's.
    pub async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        change: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(durability, change).await
    }

    /// A connection of its own for a long read, which then holds up neither readers nor writers.
    ///
    /// # Errors
    /// The database's.
    pub fn snapshot(&self) -> Result<Connection> {
        open::reader(&self.path)
    }

    /// How files are synced before a durable commit.
    pub fn sync_files_with(&self, sync: impl Fn() -> Result<()> + Send + Sync + 'static) {
        // Set once, when the stores are opened; a second call changes nothing.
        let _ = self.files.sync.set(Box::new(sync));
    }

    /// From now on the next durable commit syncs files first.
    pub fn files_await_sync(&self) {
        self.files.await_sync.store(true, Ordering::Release);
    }

    /// The database that was found broken at this start and set aside, if one was.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }
}
