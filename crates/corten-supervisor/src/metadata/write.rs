//! The thread that writes: changes that wait together are committed together.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;
use tracing::error;

use super::Files;
use crate::error::{Error, Result};

/// Changes that may wait. A caller is answered before it sends the next, so this bounds callers.
const WAITING: usize = 1024;
/// Changes in one commit: enough to share a sync, few enough that the first does not wait long.
const TOGETHER: usize = 128;

/// What a commit must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A kill of the process. No sync; a later durable commit makes it durable as well.
    Relaxed,
    /// A power cut: the log is synced before the answer.
    Durable,
}

struct Queued {
    durability: Durability,
    run: Box<dyn FnOnce(&Connection) -> Ran + Send>,
}

/// A change that ran and waits for its commit.
struct Ran {
    keep: bool,
    /// Answers the caller; the argument is the commit's error.
    answer: Box<dyn FnOnce(Option<Error>) + Send>,
}

/// The sending side of the writer's queue.
pub(super) struct Writer {
    queue: SyncSender<Queued>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread; it ends when the last sender is gone.
    pub(super) fn start(connection: Connection, files: Arc<Files>) -> Self {
        let (queue, waiting) = mpsc::sync_channel(WAITING);
        let started = thread::Builder::new().name("metadata".into()).stack_size(512 << 10).spawn(move || {
            // A supervisor that cannot record must not go on answering; its restart finds every task.
            let _abort = AbortOnPanic;
            work(&connection, &waiting, &files);
        });
        if let Err(error) = started {
            // Every later write then answers that the writer is gone.
            error!(%error, "start the metadata thread");
        }
        Self { queue }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        change: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = oneshot::channel();
        let run = Box::new(move |connection: &Connection| {
            let result = change(connection);
            Ran {
                keep: result.is_ok(),
                answer: Box::new(move |commit_error| {
                    // The caller may be gone; the change stands all the same.
                    let _ = tell.send(commit_error.map_or(result, Err));
                }),
            }
        });
        let mut queued = Queued { durability, run };
        loop {
            match self.queue.try_send(queued) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) => {
                    queued = again;
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                Err(TrySendError::Disconnected(_)) => {
                    return Err(Error::internal("metadata database: the writer is gone"));
                }
            }
        }
        told.await.unwrap_or_else(|_| Err(Error::internal("metadata database: the writer is gone")))
    }
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            error!("the metadata thread panicked");
            std::process::abort();
        }
    }
}

fn work(connection: &Connection, waiting: &Receiver<Queued>, files: &Files) {
    let mut synced = Durability::Relaxed;
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER {
            match waiting.try_recv() {
                Ok(next) => batch.push(next),
                Err(_) => break,
            }
        }
        let durability = match batch.iter().any(|queued| queued.durability == Durability::Durable) {
            true => Durability::Durable,
            false => Durability::Relaxed,
        };
        let flushed = durability == Durability::Durable && files.flush();
        commit(connection, batch, durability, flushed, &mut synced);
    }
}

fn commit(connection: &Connection, batch: Vec<Queued>, durability: Durability, flushed: bool, synced: &mut Durability) {
    let mut ran = Vec::with_capacity(batch.len());
    let result = begin(connection, durability, synced).and_then(|()| {
        for queued in batch {
            run("SAVEPOINT change", connection)?;
            let done = (queued.run)(connection);
            if !done.keep {
                run("ROLLBACK TO change", connection)?;
            }
            run("RELEASE change", connection)?;
            ran.push(done);
        }
        if flushed {
            run("UPDATE snapshots SET unsynced_since_boot = NULL WHERE unsynced_since_boot IS NOT NULL", connection)?;
        }
        run("COMMIT", connection)
    });
    if result.is_err() {
        // Fails when the transaction is already gone, which is what is wanted.
        let _ = connection.execute_batch("ROLLBACK");
    }
    let failure = result.err().map(|error| {
        error!(%error, "commit metadata");
        Error::internal(format!("commit metadata: {error}"))
    });
    for done in ran {
        let lost = done.keep.then(|| failure.clone()).flatten();
        (done.answer)(lost);
    }
}

impl Files {
    /// Syncs the files that wait for it; answers whether all of them are on disk since. Those of the
    /// changes about to be committed were written before these were queued, so they are among them.
    fn flush(&self) -> bool {
        if !self.await_sync.swap(false, Ordering::AcqRel) {
            return false;
        }
        let Some(sync) = self.sync.get() else { return false };
        match sync() {
            Ok(()) => true,
            Err(error) => {
                error!(%error, "files of committed snapshots are not on disk yet");
                self.await_sync.store(true, Ordering::Release);
                false
            }
        }
    }
}

fn begin(connection: &Connection, durability: Durability, synced: &mut Durability) -> rusqlite::Result<()> {
    if *synced != durability {
        run(
            match durability {
                Durability::Relaxed => "PRAGMA synchronous = NORMAL",
                Durability::Durable => "PRAGMA synchronous = FULL",
            },
            connection,
        )?;
        *synced = durability;
    }
    run("BEGIN IMMEDIATE", connection)
}

fn run(statement: &str, connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.raw_execute().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Database;

    fn count(database: &Database) -> i64 {
        database
            .read(|c| Ok(c.query_row("SELECT count(*) FROM facts WHERE name LIKE 't%'", [], |row| row.get(0))?))
            .unwrap()
    }

    #[tokio::test]
    async fn a_change_that_fails_is_undone_and_its_neighbours_stand() {
        let root = tempfile::tempdir().unwrap();
        let database = Database::open(root.path()).unwrap();
        let put = |name: &'static str, then: Result<()>| {
            database.write(Durability::Relaxed, move |c| {
                c.execute("INSERT INTO facts VALUES (?1, '')", [name])?;
                then
            })
        };
        let (first, second, third) =
            tokio::join!(put("t1", Ok(())), put("t2", Err(Error::invalid("no"))), put("t3", Ok(())));
        assert!(first.is_ok() && third.is_ok());
        assert_eq!(second.unwrap_err().to_string(), "no: invalid argument");
        assert_eq!(count(&database), 2);
    }

    #[tokio::test]
    async fn what_was_answered_is_there_for_the_next_read_and_after_reopening() {
        let root = tempfile::tempdir().unwrap();
        let database = Database::open(root.path()).unwrap();
        for n in 0..300 {
            let change = move |c: &Connection| Ok(c.execute("INSERT INTO facts VALUES (?1, '')", [format!("t{n}")])?);
            let durability = if n % 50 == 0 { Durability::Durable } else { Durability::Relaxed };
            database.write(durability, change).await.unwrap();
            assert_eq!(count(&database), n + 1);
        }
        drop(database);
        assert_eq!(count(&Database::open(root.path()).unwrap()), 300);
    }
}
