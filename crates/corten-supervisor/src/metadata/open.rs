//! Opening the metadata: a broken file costs its records, never the start.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{
    Database, Files,
    schema::{FORMAT, TABLES},
    write::Writer,
};
use crate::error::Result;

/// File name of the metadata under the root directory.
const FILE: &str = "metadata.db";
/// Prepared statements each connection keeps; there are about sixty in all.
const STATEMENTS: usize = 64;

/// A database that did not pass its check, kept for whoever wants to save something from it.
#[derive(Debug, Clone)]
pub struct SetAside {
    /// Where it lies now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// Why the metadata could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or the file cannot be used.
    #[error("open metadata {}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// A later version wrote it.
    #[error("metadata {} has format {found}, this version reads up to {FORMAT}", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// A file could not be moved, synced or made private.
    #[error("keep metadata {}", path.display())]
    File {
        /// The database file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Database {
    /// Opens the metadata under `root`, making it when there is none. One that fails its integrity
    /// check is renamed, and an empty one takes its place; [`Database::set_aside`] tells.
    ///
    /// # Errors
    /// [`OpenError`] when not even an empty one can be made, or a later version wrote it.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        let path = root.join(FILE);
        let mut set_aside = None;
        let connection = match checked(&path) {
            Ok(connection) => connection,
            Err(Trouble::Newer(found)) => return Err(OpenError::Newer { path, found }),
            Err(Trouble::Broken(reason)) => {
                let aside = put_away(&path).map_err(|source| OpenError::File { path: path.clone(), source })?;
                set_aside = Some(SetAside { path: aside, reason });
                checked(&path).map_err(|trouble| match trouble {
                    Trouble::Newer(found) => OpenError::Newer { path: path.clone(), found },
                    Trouble::Broken(reason) => OpenError::File { path: path.clone(), source: io::Error::other(reason) },
                })?
            }
        };
        // Another user's process must not read environment variables out of stored specs.
        let private = fs::set_permissions(&path, fs::Permissions::from_mode(0o600));
        private.map_err(|source| OpenError::File { path: path.clone(), source })?;
        corten_sys::atomic_file::sync_directory(root)
            .map_err(|source| OpenError::File { path: path.clone(), source })?;
        if let Some(aside) = &set_aside {
            remember(&connection, aside).map_err(|source| OpenError::Open { path: path.clone(), source })?;
        }
        let reader = reader_of(&path).map_err(|source| OpenError::Open { path: path.clone(), source })?;
        let files = Arc::<Files>::default();
        let writer = Writer::start(connection, files.clone());
        Ok(Self { path, reader: Mutex::new(reader), writer, set_aside, files })
    }
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    Ok(reader_of(path)?)
}

fn reader_of(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -512)?;
    Ok(connection)
}

/// A version 4 uuid (RFC 9562).
fn random_uuid() -> String {
    let mut bytes = [0_u8; 16];
    // Without random numbers the name is merely not unique.
    let _ = getrandom::fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

enum Trouble {
    Newer(i64),
    Broken(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

fn checked(path: &Path) -> Result<Connection, Trouble> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Trouble::Broken(verdict));
    }
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "cache_size", -512)?;
    connection.execute_batch(TABLES)?;
    let found: Option<String> =
        connection.query_row("SELECT value FROM facts WHERE name = 'format'", [], |row| row.get(0)).optional()?;
    match found.and_then(|text| text.parse::<i64>().ok()) {
        Some(format) if format > FORMAT => return Err(Trouble::Newer(format)),
        Some(_) => {}
        None => {
            connection.execute("INSERT INTO facts VALUES ('format', ?1)", [FORMAT.to_string()])?;
            connection.execute("INSERT INTO facts VALUES ('uuid', ?1)", [random_uuid()])?;
        }
    }
    Ok(connection)
}

/// Renames the database with its log, so that nothing of it is read again.
fn put_away(path: &Path) -> io::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = path.with_extension(format!("db.broken-{seconds}"));
    fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// From now on files that no record names may be somebody's data: garbage collection reads this.
fn remember(connection: &Connection, aside: &SetAside) -> rusqlite::Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO facts VALUES ('set_aside', ?1)", [aside.path.to_string_lossy()])
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(database: &Database, name: &str) -> Option<String> {
        database
            .read(|c| {
                Ok(c.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0)).optional()?)
            })
            .unwrap()
    }

    #[test]
    fn a_broken_database_is_set_aside_and_told_about() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), b"this is no database, whatever its name says").unwrap();
        let database = Database::open(root.path()).unwrap();
        let aside = database.set_aside().unwrap();
        assert!(aside.path.exists());
        assert_eq!(facts(&database, "set_aside").unwrap(), aside.path.to_string_lossy());
    }

    #[test]
    fn a_database_of_a_later_version_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        drop(Database::open(root.path()).unwrap());
        let connection = Connection::open(root.path().join(FILE)).unwrap();
        connection.execute("UPDATE facts SET value = '99' WHERE name = 'format'", []).unwrap();
        drop(connection);
        assert!(matches!(Database::open(root.path()), Err(OpenError::Newer { found: 99, .. })));
        assert!(root.path().join(FILE).exists());
    }
}
