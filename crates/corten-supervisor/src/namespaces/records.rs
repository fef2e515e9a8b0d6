//! The namespace records.

use std::collections::HashMap;

use corten_proto::containerd::services::namespaces::v1::Namespace;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    error::{Error, Result},
    identifier,
};

pub(super) fn get(connection: &Connection, name: &str) -> Result<Namespace> {
    let record: Option<Vec<u8>> = connection
        .prepare_cached("SELECT record FROM namespaces WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    // containerd answers a namespace that nobody made with empty labels, not with an error.
    decode(name.to_owned(), record.unwrap_or_default())
}

pub(super) fn list(connection: &Connection) -> Result<Vec<Namespace>> {
    let mut statement = connection.prepare_cached("SELECT name, record FROM namespaces ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| row.map_err(Error::from).and_then(|(name, record): (String, Vec<u8>)| decode(name, record)))
        .collect()
}

pub(super) fn create(connection: &Connection, namespace: &Namespace) -> Result<()> {
    identifier::validate(&namespace.name)?;
    identifier::validate_labels("namespace.Labels", &namespace.labels)?;
    let added = connection
        .prepare_cached("INSERT OR IGNORE INTO namespaces (name, record) VALUES (?1, ?2)")?
        .execute(params![namespace.name, namespace.encode_to_vec()])?;
    if added == 0 {
        return Err(Error::already_exists(format!("namespace {:?}", namespace.name)));
    }
    Ok(())
}

/// Sets the labels that `paths` name; all of them, and only them, when it names none.
pub(super) fn update(connection: &Connection, wanted: &Namespace, paths: &[String]) -> Result<Namespace> {
    identifier::validate_labels("namespace.Labels", &wanted.labels)?;
    let mut namespace = get(connection, &wanted.name)?;
    if paths.is_empty() {
        namespace.labels = HashMap::new();
        identifier::merge_labels(&mut namespace.labels, &wanted.labels);
    }
    for path in paths {
        match path.strip_prefix("labels.") {
            Some(key) => identifier::set_label(&mut namespace.labels, key, &wanted.labels),
            None if path == "labels" => identifier::merge_labels(&mut namespace.labels, &wanted.labels),
            None => return Err(Error::invalid(format!("cannot update {path:?} field"))),
        }
    }
    let changed = connection
        .prepare_cached("UPDATE namespaces SET record = ?2 WHERE name = ?1")?
        .execute(params![namespace.name, namespace.encode_to_vec()])?;
    if changed == 0 {
        return Err(Error::not_found(format!("namespace {:?}", wanted.name)));
    }
    Ok(namespace)
}

/// Removes an empty namespace, with its leases.
pub(super) fn delete(connection: &Connection, name: &str) -> Result<()> {
    let left = remaining(connection, name)?;
    if !left.is_empty() {
        let left = left.join(", ");
        return Err(Error::precondition(format!("namespace {name:?} must be empty, but it still has {left}")));
    }
    connection.execute("DELETE FROM lease_resources WHERE namespace = ?1", [name])?;
    connection.execute("DELETE FROM leases WHERE namespace = ?1", [name])?;
    if connection.execute("DELETE FROM namespaces WHERE name = ?1", [name])? == 0 {
        return Err(Error::not_found(format!("namespace {name:?}")));
    }
    Ok(())
}

/// What is left in a namespace, in containerd's words.
fn remaining(connection: &Connection, name: &str) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for kind in ["images", "blobs", "containers"] {
        if connection.prepare(&format!("SELECT 1 FROM {kind} WHERE namespace = ?1 LIMIT 1"))?.exists([name])? {
            left.push(kind.to_owned());
        }
    }
    let mut snapshotters =
        connection.prepare("SELECT DISTINCT snapshotter FROM snapshots WHERE namespace = ?1 ORDER BY snapshotter")?;
    for snapshotter in snapshotters.query_map([name], |row| row.get::<_, String>(0))? {
        left.push(format!("snapshots on {:?} snapshotter", snapshotter?));
    }
    Ok(left)
}

fn decode(name: String, record: Vec<u8>) -> Result<Namespace> {
    let labels = Namespace::decode(record.as_slice())
        .map_err(|error| Error::internal(format!("record of namespace {name:?} is broken: {error}")))?
        .labels;
    Ok(Namespace { name, labels })
}
