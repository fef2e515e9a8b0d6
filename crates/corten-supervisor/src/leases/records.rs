//! The lease records and what each holds.

use std::{borrow::Cow, str::FromStr};

use corten_proto::containerd::services::leases::v1::{Lease, Resource};
use corten_types::digest::Digest;
use rusqlite::{Connection, params};

use crate::{
    caller::Caller,
    error::{Error, Result},
    filter::{Fields, label, non_empty},
    identifier,
    metadata::records::LEASES,
    moment,
};

/// Adds what `caller` creates to the lease its request names, if it names one.
///
/// # Errors
/// `NotFound` when that lease does not exist.
pub fn join(connection: &Connection, caller: &Caller, kind: &str, id: &str) -> Result<()> {
    let Some(lease) = &caller.lease else { return Ok(()) };
    if !LEASES.exists(connection, &caller.namespace, lease)? {
        return Err(Error::not_found("lease does not exist"));
    }
    hold(connection, &caller.namespace, lease, kind, id)
}

/// Takes a resource that is gone out of every lease.
///
/// # Errors
/// The database's.
pub fn leave(connection: &Connection, namespace: &str, kind: &str, id: &str) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM lease_resources WHERE namespace = ?1 AND type = ?2 AND id = ?3")?
        .execute([namespace, kind, id])?;
    Ok(())
}

pub(super) fn create(connection: &Connection, namespace: &str, mut lease: Lease) -> Result<Lease> {
    lease.labels.retain(|_, value| !value.is_empty());
    identifier::validate_labels("lease.Labels", &lease.labels)?;
    if lease.id.is_empty() {
        return Err(Error::invalid("lease id must not be empty"));
    }
    lease.created_at = Some(moment::now());
    if !LEASES.insert(connection, namespace, &lease.id, &lease)? {
        return Err(Error::already_exists(format!("lease {:?}", lease.id)));
    }
    Ok(lease)
}

pub(super) fn delete(connection: &Connection, namespace: &str, id: &str) -> Result<()> {
    if !LEASES.delete(connection, namespace, id)? {
        return Err(unknown(id));
    }
    let_go(connection, namespace, id)
}

/// Lets go what a lease held that is no more. An ingest that was begun for it is nobody's then: it is kept in mind under no
/// lease's name, for the next collection, as containerd's collects it.
///
/// # Errors
/// The database's.
pub fn let_go(connection: &Connection, namespace: &str, id: &str) -> Result<()> {
    let abandon =
        "UPDATE OR IGNORE lease_resources SET lease = '' WHERE namespace = ?1 AND lease = ?2 AND type = 'ingests'";
    for sql in [abandon, "DELETE FROM lease_resources WHERE namespace = ?1 AND lease = ?2"] {
        connection.prepare_cached(sql)?.execute([namespace, id])?;
    }
    Ok(())
}

/// The ingests, with their namespaces, whose leases have all ended.
///
/// # Errors
/// The database's.
pub fn abandoned_ingests(connection: &Connection) -> Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT namespace, id FROM lease_resources AS one WHERE lease = '' AND type = 'ingests' AND NOT EXISTS
         (SELECT 1 FROM lease_resources WHERE namespace = one.namespace AND type = 'ingests' AND id = one.id AND lease <> '')",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| Ok(row?)).collect()
}

pub(super) fn list(connection: &Connection, namespace: &str, filters: &[String]) -> Result<Vec<Lease>> {
    LEASES.list(connection, namespace, filters)
}

pub(super) fn add_resource(connection: &Connection, namespace: &str, id: &str, resource: &Resource) -> Result<()> {
    check(resource)?;
    exists(connection, namespace, id)?;
    hold(connection, namespace, id, &resource.r#type, &resource.id)
}

pub(super) fn delete_resource(connection: &Connection, namespace: &str, id: &str, resource: &Resource) -> Result<()> {
    check(resource)?;
    exists(connection, namespace, id)?;
    connection
        .prepare_cached("DELETE FROM lease_resources WHERE namespace = ?1 AND lease = ?2 AND type = ?3 AND id = ?4")?
        .execute([namespace, id, &resource.r#type, &resource.id])?;
    Ok(())
}

/// Everything a lease holds: content, then snapshots, ingests and images, as containerd lists them.
pub(super) fn list_resources(connection: &Connection, namespace: &str, id: &str) -> Result<Vec<Resource>> {
    exists(connection, namespace, id)?;
    let mut statement = connection.prepare_cached(
        "SELECT type, id FROM lease_resources WHERE namespace = ?1 AND lease = ?2
         ORDER BY CASE type WHEN 'content' THEN 0 WHEN 'images' THEN 1 WHEN 'ingests' THEN 3 ELSE 2 END, type, id",
    )?;
    let rows = statement.query_map([namespace, id], |row| Ok(Resource { r#type: row.get(0)?, id: row.get(1)? }))?;
    rows.map(|row| Ok(row?)).collect()
}

fn hold(connection: &Connection, namespace: &str, lease: &str, kind: &str, id: &str) -> Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO lease_resources (namespace, lease, type, id) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![namespace, lease, kind, id])?;
    Ok(())
}

fn exists(connection: &Connection, namespace: &str, id: &str) -> Result<()> {
    LEASES.exists(connection, namespace, id)?.then_some(()).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Error {
    Error::not_found(format!("lease {id:?}"))
}

fn check(resource: &Resource) -> Result<()> {
    let kind = resource.r#type.as_str();
    match kind.split_once('/') {
        None if kind == "content" => Digest::from_str(&resource.id)
            .map(drop)
            .map_err(|error| Error::invalid(format!("invalid content resource id {}: {error}", resource.id))),
        None if kind == "ingests" || kind == "images" => Ok(()),
        None if kind == "snapshots" => Err(Error::invalid(format!("invalid snapshot resource type {kind}"))),
        Some(("snapshots", snapshotter)) if !snapshotter.is_empty() => Ok(()),
        Some(("content" | "ingests" | "images", _)) => Err(Error::invalid(format!("invalid resource type {kind}"))),
        _ => Err(Error::unimplemented(format!("resource type {kind} not supported yet"))),
    }
}

impl Fields for Lease {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["id"] => non_empty(&self.id),
            ["labels", key @ ..] => label(&self.labels, key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::schema;

    #[test]
    fn an_ingest_is_abandoned_when_the_last_of_its_leases_has_ended() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(schema::TABLES).unwrap();
        for (lease, ingest) in [("one", "both"), ("two", "both"), ("one", "alone")] {
            hold(&connection, "ns", lease, "ingests", ingest).unwrap();
        }
        hold(&connection, "ns", "one", "content", "sha256:x").unwrap();
        assert_eq!(abandoned_ingests(&connection).unwrap(), []);
        let_go(&connection, "ns", "one").unwrap();
        let abandoned = |name: &str| ("ns".to_owned(), name.to_owned());
        assert_eq!(abandoned_ingests(&connection).unwrap(), [abandoned("alone")]);
        let_go(&connection, "ns", "two").unwrap();
        assert_eq!(abandoned_ingests(&connection).unwrap(), [abandoned("alone"), abandoned("both")]);
        // What was committed or aborted is nobody's any more.
        leave(&connection, "ns", "ingests", "alone").unwrap();
        assert_eq!(abandoned_ingests(&connection).unwrap(), [abandoned("both")]);
    }
}
