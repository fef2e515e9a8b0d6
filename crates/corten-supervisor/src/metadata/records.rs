//! Records by namespace and key: what containers, images, blobs and leases have in common.

use std::marker::PhantomData;

use prost::Message;
use prost::Name;
use rusqlite::{Connection, OptionalExtension, params};
use tracing::warn;

use corten_proto::containerd::services::{
    containers::v1::Container, content::v1::Info, images::v1::Image, leases::v1::Lease,
};

use crate::{
    error::{Error, Result},
    filter::{Fields, Filter},
};

/// A table of messages `M`, keyed by namespace and one more column.
pub struct Table<M> {
    name: &'static str,
    key: &'static str,
    message: PhantomData<fn() -> M>,
}

/// Containers by id.
pub const CONTAINERS: Table<Container> = Table { name: "containers", key: "id", message: PhantomData };
/// Images by name.
pub const IMAGES: Table<Image> = Table { name: "images", key: "name", message: PhantomData };
/// Content by digest.
pub const BLOBS: Table<Info> = Table { name: "blobs", key: "digest", message: PhantomData };
/// Leases by id.
pub const LEASES: Table<Lease> = Table { name: "leases", key: "id", message: PhantomData };

impl<M: Message + Name + Default> Table<M> {
    /// The record, if there is one.
    ///
    /// # Errors
    /// The database's, or that the record does not decode.
    pub fn get(&self, connection: &Connection, namespace: &str, key: &str) -> Result<Option<M>> {
        let sql = format!("SELECT record FROM {} WHERE namespace = ?1 AND {} = ?2", self.name, self.key);
        let record: Option<Vec<u8>> =
            connection.prepare_cached(&sql)?.query_row([namespace, key], |row| row.get(0)).optional()?;
        let decoded = record.map(|record| M::decode(record.as_slice())).transpose();
        decoded.map_err(|error| Error::internal(format!("record of {} {key:?} is broken: {error}", self.name)))
    }

    /// The records of a namespace that one of containerd's filters accepts; all without a filter.
    ///
    /// # Errors
    /// The database's, or that a filter cannot be understood.
    pub fn list(&self, connection: &Connection, namespace: &str, filters: &[String]) -> Result<Vec<M>>
    where
        M: Fields,
    {
        let filter = Filter::parse(filters)?;
        let mut found = Vec::new();
        self.each(connection, namespace, |record| {
            if filter.accepts(&record) {
                found.push(record);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether there is one.
    ///
    /// # Errors
    /// The database's.
    pub fn exists(&self, connection: &Connection, namespace: &str, key: &str) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE namespace = ?1 AND {} = ?2", self.name, self.key);
        Ok(connection.prepare_cached(&sql)?.exists([namespace, key])?)
    }

    /// Adds a record and, by first use, its namespace. `false`: the key is taken, nothing changed.
    ///
    /// # Errors
    /// The database's.
    pub fn insert(&self, connection: &Connection, namespace: &str, key: &str, record: &M) -> Result<bool> {
        touch_namespace(connection, namespace)?;
        let sql = format!("INSERT OR IGNORE INTO {} (namespace, {}, record) VALUES (?1, ?2, ?3)", self.name, self.key);
        let added = connection.prepare_cached(&sql)?.execute(params![namespace, key, record.encode_to_vec()])?;
        Ok(added == 1)
    }

    /// Writes over an existing record.
    ///
    /// # Errors
    /// The database's.
    pub fn replace(&self, connection: &Connection, namespace: &str, key: &str, record: &M) -> Result<()> {
        let sql = format!("UPDATE {} SET record = ?3 WHERE namespace = ?1 AND {} = ?2", self.name, self.key);
        connection.prepare_cached(&sql)?.execute(params![namespace, key, record.encode_to_vec()])?;
        Ok(())
    }

    /// Removes a record; `false` when there was none.
    ///
    /// # Errors
    /// The database's.
    pub fn delete(&self, connection: &Connection, namespace: &str, key: &str) -> Result<bool> {
        let sql = format!("DELETE FROM {} WHERE namespace = ?1 AND {} = ?2", self.name, self.key);
        Ok(connection.prepare_cached(&sql)?.execute([namespace, key])? == 1)
    }

    /// Shows every record of a namespace in byte order of the key. One that does not decode is
    /// reported and left out: it costs itself, not the list.
    ///
    /// # Errors
    /// The database's, or what `visit` answers, which ends the walk.
    pub fn each(&self, connection: &Connection, namespace: &str, mut visit: impl FnMut(M) -> Result<()>) -> Result<()> {
        let sql = format!("SELECT {0}, record FROM {1} WHERE namespace = ?1 ORDER BY {0}", self.key, self.name);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([namespace])?;
        while let Some(row) = rows.next()? {
            match M::decode(row.get_ref(1)?.as_blob().unwrap_or_default()) {
                Ok(record) => visit(record)?,
                Err(error) => warn!(table = self.name, key = ?row.get::<_, String>(0), %error, "record is broken"),
            }
        }
        Ok(())
    }

    /// Shows every record of every namespace.
    ///
    /// # Errors
    /// The database's, a record's that does not decode, or what `visit` answers: a caller that acts
    /// on absence (garbage collection) must not take a broken record for one.
    pub fn each_everywhere(
        &self,
        connection: &Connection,
        mut visit: impl FnMut(&str, &str, M) -> Result<()>,
    ) -> Result<()> {
        let sql = format!("SELECT namespace, {}, record FROM {}", self.key, self.name);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (namespace, key): (String, String) = (row.get(0)?, row.get(1)?);
            let record = M::decode(row.get_ref(2)?.as_blob().unwrap_or_default())
                .map_err(|error| Error::internal(format!("record of {} {key:?} is broken: {error}", self.name)))?;
            visit(&namespace, &key, record)?;
        }
        Ok(())
    }
}

/// A namespace appears by first use.
///
/// # Errors
/// The database's.
pub fn touch_namespace(connection: &Connection, namespace: &str) -> Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO namespaces (name, record) VALUES (?1, x'')")?
        .execute([namespace])?;
    Ok(())
}
