//! The snapshot records.
//!
//! ```text
//! prepare ──> Active ──commit──> Committed        view ──> View
//! ```

use std::borrow::Cow;

use corten_proto::containerd::services::snapshots::v1::{Info, Kind as WireKind};
use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    error::{Error, Result},
    filter::{Fields, label},
    metadata::records::touch_namespace,
};

/// What a snapshot may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Read only, thrown away.
    View,
    /// Written to, may be committed.
    Active,
    /// Finished; may be a parent.
    Committed,
}

/// A snapshot's row; `info` is what clients see.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub number: u64,
    pub parent: Option<u64>,
    pub kind: Kind,
    pub size: i64,
    pub inodes: i64,
    pub info: Info,
}

const COLUMNS: &str = "number, parent, kind, size, inodes, record";

pub(crate) fn find(connection: &Connection, namespace: &str, snapshotter: &str, key: &str) -> Result<Option<Snapshot>> {
    let sql = format!("SELECT {COLUMNS} FROM snapshots WHERE namespace = ?1 AND snapshotter = ?2 AND key = ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row([namespace, snapshotter, key], |row| Ok(decode(row))).optional()?.transpose()
}

pub(crate) fn get(connection: &Connection, namespace: &str, snapshotter: &str, key: &str) -> Result<Snapshot> {
    find(connection, namespace, snapshotter, key)?.ok_or_else(|| missing(key))
}

pub(super) fn missing(key: &str) -> Error {
    Error::not_found(format!("snapshot {key} does not exist"))
}

/// A parent by its name: it must be there and committed.
pub(super) fn parent(
    connection: &Connection,
    namespace: &str,
    snapshotter: &str,
    name: &str,
) -> Result<Option<Snapshot>> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = find(connection, namespace, snapshotter, name)?;
    let parent = found.ok_or_else(|| Error::not_found(format!("parent snapshot {name} does not exist")))?;
    if parent.kind != Kind::Committed {
        return Err(Error::invalid(format!("parent {name:?} is not committed snapshot")));
    }
    Ok(Some(parent))
}

/// The numbers of `parent` and all above it, nearest first.
pub(super) fn chain(connection: &Connection, parent: Option<u64>) -> Result<Vec<u64>> {
    let Some(parent) = parent else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE up (number, parent, depth) AS (
             SELECT number, parent, 0 FROM snapshots WHERE number = ?1
             UNION ALL SELECT s.number, s.parent, depth + 1 FROM snapshots s JOIN up ON s.number = up.parent
         ) SELECT number FROM up ORDER BY depth",
    )?;
    let rows = statement.query_map([signed(parent)], |row| row.get::<_, i64>(0))?;
    rows.map(|row| Ok(row?.unsigned_abs())).collect()
}

/// Adds a record; `false` when the key is taken.
pub(super) fn insert(connection: &Connection, namespace: &str, snapshotter: &str, snapshot: &Snapshot) -> Result<bool> {
    touch_namespace(connection, namespace)?;
    let added = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO snapshots (number, namespace, snapshotter, key, parent, kind, size, inodes, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            signed(snapshot.number),
            namespace,
            snapshotter,
            snapshot.info.name,
            snapshot.parent.map(signed),
            snapshot.kind.to_wire() as i32,
            snapshot.size,
            snapshot.inodes,
            snapshot.info.encode_to_vec(),
        ])?;
    Ok(added == 1)
}

/// The snapshot's files may not be on disk yet; should the machine go down before they are, they are
/// not to be believed.
pub(super) fn await_sync(connection: &Connection, number: u64, boot: &str) -> Result<()> {
    connection
        .prepare_cached("UPDATE snapshots SET unsynced_since_boot = ?2 WHERE number = ?1")?
        .execute(params![signed(number), boot])?;
    Ok(())
}

/// The committed snapshots whose files may not be on disk yet.
pub(super) fn unsynced(connection: &Connection) -> Result<Vec<u64>> {
    let mut statement = connection.prepare("SELECT number FROM snapshots WHERE unsynced_since_boot IS NOT NULL")?;
    let rows = statement.query_map([], |row| row.get::<_, i64>(0))?;
    rows.map(|row| Ok(row?.unsigned_abs())).collect()
}

/// Notes that the files of these snapshots are on disk.
pub(super) fn are_synced(connection: &Connection, numbers: &[u64]) -> Result<()> {
    let mut statement = connection.prepare("UPDATE snapshots SET unsynced_since_boot = NULL WHERE number = ?1")?;
    for number in numbers {
        statement.execute([signed(*number)])?;
    }
    Ok(())
}

/// The snapshots whose files were not synced when the machine went down.
pub(super) fn lost(connection: &Connection, boot: &str) -> Result<Vec<Snapshot>> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM snapshots WHERE unsynced_since_boot <> ?1"))?;
    let mut rows = statement.query([boot])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(decode(row)?);
    }
    Ok(found)
}

/// Whether there is a snapshot of that number.
pub(super) fn is_there(connection: &Connection, number: u64) -> Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM snapshots WHERE number = ?1")?.exists([signed(number)])?)
}

/// Forgets a snapshot and what stands on it. Answers how many.
pub(super) fn forget(connection: &Connection, number: u64) -> Result<usize> {
    let forgotten = connection.execute(
        "WITH RECURSIVE lost (number) AS (
             SELECT ?1
             UNION SELECT s.number FROM snapshots s JOIN lost ON s.parent = lost.number
         ) DELETE FROM snapshots WHERE number IN (SELECT number FROM lost)",
        [signed(number)],
    )?;
    Ok(forgotten)
}

/// Writes over the record of the same number; its key and its parent may change.
pub(super) fn replace(connection: &Connection, snapshot: &Snapshot) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE snapshots SET key = ?2, kind = ?3, size = ?4, inodes = ?5, record = ?6, parent = ?7
             WHERE number = ?1",
        )?
        .execute(params![
            signed(snapshot.number),
            snapshot.info.name,
            snapshot.kind.to_wire() as i32,
            snapshot.size,
            snapshot.inodes,
            snapshot.info.encode_to_vec(),
            snapshot.parent.map(signed),
        ])?;
    Ok(())
}

pub(crate) fn has_child(connection: &Connection, number: u64) -> Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM snapshots WHERE parent = ?1")?.exists([signed(number)])?)
}

pub(crate) fn delete(connection: &Connection, number: u64) -> Result<()> {
    connection.prepare_cached("DELETE FROM snapshots WHERE number = ?1")?.execute([signed(number)])?;
    Ok(())
}

/// Shows every snapshot of a namespace's snapshotter in byte order of the key.
pub(crate) fn each(
    connection: &Connection,
    namespace: &str,
    snapshotter: &str,
    mut visit: impl FnMut(Snapshot),
) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM snapshots WHERE namespace = ?1 AND snapshotter = ?2 ORDER BY key");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([namespace, snapshotter])?;
    while let Some(row) = rows.next()? {
        visit(decode(row)?);
    }
    Ok(())
}

/// Shows every snapshot there is, with its namespace and snapshotter.
pub(crate) fn each_everywhere(connection: &Connection, mut visit: impl FnMut(&str, &str, Snapshot)) -> Result<()> {
    let sql = format!("SELECT {COLUMNS}, namespace, snapshotter FROM snapshots");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (namespace, snapshotter): (String, String) = (row.get(6)?, row.get(7)?);
        visit(&namespace, &snapshotter, decode(row)?);
    }
    Ok(())
}

fn decode(row: &Row<'_>) -> Result<Snapshot> {
    let number = row.get::<_, i64>(0)?.unsigned_abs();
    let info = Info::decode(row.get_ref(5)?.as_blob().unwrap_or_default())
        .map_err(|error| Error::internal(format!("record of snapshot {number} is broken: {error}")))?;
    Ok(Snapshot {
        number,
        parent: row.get::<_, Option<i64>>(1)?.map(i64::unsigned_abs),
        kind: Kind::from_wire(row.get(2)?)
            .ok_or_else(|| Error::internal(format!("record of snapshot {number} has an unknown kind")))?,
        size: row.get(3)?,
        inodes: row.get(4)?,
        info,
    })
}

/// SQLite's integers are signed; numbers count up from one.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Kind {
    /// The word of the crate that keeps the directories.
    pub(super) fn of_directories(self) -> corten_snapshots::Kind {
        match self {
            Self::View => corten_snapshots::Kind::View,
            Self::Active => corten_snapshots::Kind::Active,
            Self::Committed => corten_snapshots::Kind::Committed,
        }
    }

    pub(super) fn to_wire(self) -> WireKind {
        match self {
            Self::View => WireKind::View,
            Self::Active => WireKind::Active,
            Self::Committed => WireKind::Committed,
        }
    }

    fn from_wire(kind: i32) -> Option<Self> {
        match WireKind::try_from(kind).ok()? {
            WireKind::View => Some(Self::View),
            WireKind::Active => Some(Self::Active),
            WireKind::Committed => Some(Self::Committed),
            WireKind::Unknown => None,
        }
    }
}

impl Fields for Info {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["kind"] => match WireKind::try_from(self.kind) {
                Ok(WireKind::View) => Some("view".into()),
                Ok(WireKind::Active) => Some("active".into()),
                Ok(WireKind::Committed) => Some("committed".into()),
                _ => None,
            },
            ["name"] => Some(Cow::Borrowed(&self.name)),
            ["parent"] => Some(Cow::Borrowed(&self.parent)),
            ["labels", key @ ..] => label(&self.labels, key),
            _ => None,
        }
    }
}
