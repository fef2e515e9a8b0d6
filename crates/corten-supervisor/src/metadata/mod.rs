//! The metadata: one SQLite file in write-ahead mode, one thread that writes, one connection that reads.
//!
//! A write is a closure that runs in a transaction of the writer's thread. Closures waiting at the
//! same time share one commit, hence at most one sync. [`Durability::Relaxed`] commits are not synced
//! (they survive a kill, not a power cut); the log is a prefix, so the next durable commit makes all
//! of them durable too. What a user is told about (an image, a container, a blob) is durable.
//!
//! Reads see what was committed and answered, on a connection of their own, and never wait for a sync.

mod open;
pub mod records;
mod schema;
mod write;

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
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

    /// The database that was found broken at this start and set aside, if one was.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }
}
