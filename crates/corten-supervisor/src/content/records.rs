//! Which namespace has which blob, with its labels.

use std::{borrow::Cow, collections::HashMap, str::FromStr};

use corten_proto::containerd::services::content::v1::{Info, Status};
use corten_types::digest::Digest;
use rusqlite::Connection;

use crate::{
    caller::Caller,
    error::{Error, Result},
    filter::{Fields, label, non_empty},
    identifier, leases,
    metadata::records::BLOBS,
    moment,
};

pub(crate) fn get(connection: &Connection, namespace: &str, digest: &str) -> Result<Info> {
    check_digest(digest)?;
    BLOBS.get(connection, namespace, digest)?.ok_or_else(|| Error::not_found(format!("content digest {digest}")))
}

pub(crate) fn list(connection: &Connection, namespace: &str, filters: &[String]) -> Result<Vec<Info>> {
    BLOBS.list(connection, namespace, filters)
}

/// Records a blob that is on disk, and moves the caller's lease from the ingest to it.
pub(super) fn create(
    connection: &Connection,
    caller: &Caller,
    reference: &str,
    digest: &str,
    size: i64,
    mut labels: HashMap<String, String>,
) -> Result<()> {
    identifier::validate_labels("info.Labels", &labels)?;
    labels.retain(|_, value| !value.is_empty());
    leases::join(connection, caller, "content", digest)?;
    leases::leave(connection, &caller.namespace, "ingests", reference)?;
    let now = Some(moment::now());
    let info = Info { digest: digest.to_owned(), size, created_at: now, updated_at: now, labels };
    match BLOBS.insert(connection, &caller.namespace, digest, &info)? {
        true => Ok(()),
        false => Err(Error::already_exists(format!("content {digest}"))),
    }
}

/// Sets the labels that `paths` name; all of them when it names none.
pub(super) fn update(connection: &Connection, namespace: &str, wanted: &Info, paths: &[String]) -> Result<Info> {
    identifier::validate_labels("info.Labels", &wanted.labels)?;
    let mut info = get(connection, namespace, &wanted.digest)?;
    if paths.is_empty() {
        info.labels.clone_from(&wanted.labels);
    }
    for path in paths {
        match path.strip_prefix("labels.") {
            Some(key) => identifier::set_label(&mut info.labels, key, &wanted.labels),
            None if path == "labels" => info.labels.clone_from(&wanted.labels),
            None => {
                let digest = &wanted.digest;
                return Err(Error::invalid(format!("cannot update {path:?} field on content info {digest:?}")));
            }
        }
    }
    info.labels.retain(|_, value| !value.is_empty());
    info.updated_at = Some(moment::now());
    BLOBS.replace(connection, namespace, &wanted.digest, &info)?;
    Ok(info)
}

pub(super) fn delete(connection: &Connection, namespace: &str, digest: &str) -> Result<()> {
    check_digest(digest)?;
    match BLOBS.delete(connection, namespace, digest)? {
        true => leases::leave(connection, namespace, "content", digest),
        false => Err(Error::not_found(format!("content digest {digest}"))),
    }
}

/// Refuses what is no digest, and algorithms that no blob here can have.
pub(crate) fn check_digest(digest: &str) -> Result<()> {
    let parsed =
        Digest::from_str(digest).map_err(|error| Error::invalid(format!("{digest:?} failed validation: {error}")))?;
    match parsed.algorithm() {
        "sha256" => Ok(()),
        other => Err(Error::invalid(format!("{digest:?}: digest algorithm {other} is not supported, only sha256"))),
    }
}

impl Fields for Info {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["digest"] => non_empty(&self.digest),
            ["size"] => Some(self.size.to_string().into()),
            ["labels", key @ ..] => label(&self.labels, key),
            _ => None,
        }
    }
}

impl Fields for Status {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["ref"] => Some(Cow::Borrowed(&self.r#ref)),
            _ => None,
        }
    }
}
