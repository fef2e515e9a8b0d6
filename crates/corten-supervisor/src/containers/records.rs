//! The container records.

use std::borrow::Cow;

use corten_proto::containerd::services::containers::v1::Container;
use rusqlite::Connection;

use crate::{
    error::{Error, Result},
    filter::{Fields, label, non_empty},
    identifier,
    metadata::records::CONTAINERS,
    moment,
};

/// The container `id` of `namespace`.
///
/// # Errors
/// `NotFound` when there is none.
pub fn get(connection: &Connection, namespace: &str, id: &str) -> Result<Container> {
    CONTAINERS
        .get(connection, namespace, id)?
        .ok_or_else(|| Error::not_found(format!("container {id:?} in namespace {namespace:?}")))
}

pub(super) fn list(connection: &Connection, namespace: &str, filters: &[String]) -> Result<Vec<Container>> {
    CONTAINERS.list(connection, namespace, filters)
}

pub(super) fn create(connection: &Connection, namespace: &str, mut container: Container) -> Result<Container> {
    container.labels.retain(|_, value| !value.is_empty());
    validate(&container).map_err(|error| error.within("create container failed validation"))?;
    container.created_at = Some(moment::now());
    container.updated_at = container.created_at;
    if !CONTAINERS.insert(connection, namespace, &container.id, &container)? {
        return Err(Error::already_exists(format!("container {:?}", container.id)));
    }
    Ok(container)
}

/// Takes over the fields that `paths` name; without any, all that may change.
pub(super) fn update(
    connection: &Connection,
    namespace: &str,
    wanted: Container,
    paths: Vec<String>,
) -> Result<Container> {
    if wanted.id.is_empty() {
        return Err(Error::invalid("must specify a container id"));
    }
    let mut container = CONTAINERS
        .get(connection, namespace, &wanted.id)?
        .ok_or_else(|| Error::not_found(format!("container {:?}", wanted.id)))?;
    let paths = if paths.is_empty() {
        immutable_fields_agree(&container, &wanted)?;
        ["labels", "spec", "extensions", "image", "snapshotkey"].map(str::to_owned).to_vec()
    } else {
        paths
    };
    for path in &paths {
        if let Some(key) = path.strip_prefix("labels.") {
            identifier::set_label(&mut container.labels, key, &wanted.labels);
            continue;
        }
        if let Some(key) = path.strip_prefix("extensions.") {
            match wanted.extensions.get(key) {
                Some(extension) => container.extensions.insert(key.to_owned(), extension.clone()),
                None => container.extensions.remove(key),
            };
            continue;
        }
        match path.as_str() {
            "labels" => container.labels.clone_from(&wanted.labels),
            "spec" => container.spec.clone_from(&wanted.spec),
            "extensions" => container.extensions.clone_from(&wanted.extensions),
            "image" => container.image.clone_from(&wanted.image),
            "snapshotkey" => container.snapshot_key.clone_from(&wanted.snapshot_key),
            _ => return Err(Error::invalid(format!("cannot update {path:?} field on {:?}", wanted.id))),
        }
    }
    container.labels.retain(|_, value| !value.is_empty());
    validate(&container).map_err(|error| error.within("update failed validation"))?;
    container.updated_at = Some(moment::now());
    CONTAINERS.replace(connection, namespace, &container.id, &container)?;
    Ok(container)
}

pub(super) fn delete(connection: &Connection, namespace: &str, id: &str) -> Result<()> {
    match CONTAINERS.delete(connection, namespace, id)? {
        true => Ok(()),
        false => Err(Error::not_found(format!("container {id:?}"))),
    }
}

fn immutable_fields_agree(container: &Container, wanted: &Container) -> Result<()> {
    if wanted.snapshotter != container.snapshotter {
        return Err(Error::invalid("container.Snapshotter field is immutable"));
    }
    let name =
        |container: &Container| container.runtime.as_ref().map(|runtime| runtime.name.clone()).unwrap_or_default();
    if name(wanted) != name(container) {
        return Err(Error::invalid("container.Runtime.Name field is immutable"));
    }
    Ok(())
}

fn validate(container: &Container) -> Result<()> {
    identifier::validate(&container.id).map_err(|error| error.within("container.ID"))?;
    if container.extensions.contains_key("") {
        return Err(Error::invalid("container.Extension keys must not be zero-length"));
    }
    identifier::validate_labels("containers.Labels", &container.labels)?;
    if container.runtime.as_ref().is_none_or(|runtime| runtime.name.is_empty()) {
        return Err(Error::invalid("container.Runtime.Name must be set"));
    }
    if container.spec.is_none() {
        return Err(Error::invalid("container.Spec must be set"));
    }
    if !container.snapshot_key.is_empty() && container.snapshotter.is_empty() {
        return Err(Error::invalid("container.Snapshotter must be set if container.SnapshotKey is set"));
    }
    Ok(())
}

impl Fields for Container {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["id"] => non_empty(&self.id),
            ["runtime", "name"] => self.runtime.as_ref().and_then(|runtime| non_empty(&runtime.name)),
            ["image"] => non_empty(&self.image),
            ["labels", key @ ..] => label(&self.labels, key),
            _ => None,
        }
    }
}
