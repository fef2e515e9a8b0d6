//! Reading and labelling snapshots.

use std::sync::Arc;

use corten_proto::containerd::services::snapshots::v1::Info;
use rusqlite::Connection;

use super::{Kind, Snapshots, records, refused};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result},
    filter::Filter,
    identifier, moment,
};

pub(super) fn stat(
    snapshots: &Snapshots,
    connection: &Connection,
    caller: &Caller,
    snapshotter: &str,
    key: &str,
) -> Result<Info> {
    snapshots.check(snapshotter)?;
    Ok(records::get(connection, &caller.namespace, snapshotter, key)?.info)
}

pub(super) fn list(
    snapshots: &Snapshots,
    connection: &Connection,
    caller: &Caller,
    snapshotter: &str,
    filters: &[String],
) -> Result<Vec<Info>> {
    snapshots.check(snapshotter)?;
    let filter = Filter::parse(filters)?;
    let mut found = Vec::new();
    records::each(connection, &caller.namespace, snapshotter, |snapshot| {
        if filter.accepts(&snapshot.info) {
            found.push(snapshot.info);
        }
    })?;
    Ok(found)
}

/// Sets the labels that `paths` name; all of them when it names none.
pub(super) fn update(
    connection: &Connection,
    caller: &Caller,
    snapshotter: &str,
    wanted: &Info,
    paths: &[String],
) -> Result<Info> {
    identifier::validate_labels("info.Labels", &wanted.labels)?;
    let mut snapshot = records::get(connection, &caller.namespace, snapshotter, &wanted.name)?;
    let labels = &mut snapshot.info.labels;
    if paths.is_empty() {
        labels.clone_from(&wanted.labels);
    }
    for path in paths {
        match path.strip_prefix("labels.") {
            Some(key) => identifier::set_label(labels, key, &wanted.labels),
            None if path == "labels" => labels.clone_from(&wanted.labels),
            None => {
                let name = &wanted.name;
                return Err(Error::invalid(format!("cannot update {path:?} field on snapshot {name:?}")));
            }
        }
    }
    labels.retain(|_, value| !value.is_empty());
    snapshot.info.updated_at = Some(moment::now());
    records::replace(connection, &snapshot)?;
    Ok(snapshot.info)
}

/// Bytes and inodes of a snapshot's own layer: counted now while it is written, stored at commit.
pub(super) async fn usage(
    supervisor: &Arc<Supervisor>,
    caller: &Caller,
    snapshotter: &str,
    key: &str,
) -> Result<(i64, i64)> {
    supervisor.snapshots.check(snapshotter)?;
    let snapshot = supervisor.metadata.read(|c| records::get(c, &caller.namespace, snapshotter, key))?;
    if snapshot.kind != Kind::Active {
        return Ok((snapshot.size, snapshot.inodes));
    }
    let (owner, number) = (supervisor.clone(), snapshot.number);
    crate::blocking(move || owner.snapshots.overlay.usage(number).map(counts).map_err(|error| refused(&error))).await
}

/// Bytes and inodes as the wire has them.
pub(super) fn counts(usage: corten_snapshots::Usage) -> (i64, i64) {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    (signed(usage.size), signed(usage.inodes))
}
