//! The image records.

use std::{borrow::Cow, str::FromStr};

use corten_proto::containerd::{services::images::v1::Image, types::Descriptor};
use corten_types::digest::Digest;
use prost_types::Timestamp;
use rusqlite::Connection;

use crate::{
    caller::Caller,
    error::{Error, Result},
    filter::{Fields, label, non_empty},
    identifier, leases,
    metadata::records::IMAGES,
    moment,
};

pub(super) fn get(connection: &Connection, namespace: &str, name: &str) -> Result<Image> {
    IMAGES.get(connection, namespace, name)?.ok_or_else(|| Error::not_found(format!("image {name:?}")))
}

pub(super) fn list(connection: &Connection, namespace: &str, filters: &[String]) -> Result<Vec<Image>> {
    IMAGES.list(connection, namespace, filters)
}

pub(super) fn create(
    connection: &Connection,
    caller: &Caller,
    mut image: Image,
    epoch: Option<Timestamp>,
) -> Result<Image> {
    image.labels.retain(|_, value| !value.is_empty());
    validate(&image)?;
    leases::join(connection, caller, "images", &image.name)?;
    image.created_at = epoch.or_else(|| Some(moment::now()));
    image.updated_at = image.created_at;
    if !IMAGES.insert(connection, &caller.namespace, &image.name, &image)? {
        return Err(Error::already_exists(format!("image {:?}", image.name)));
    }
    Ok(image)
}

/// Takes over the fields that `paths` name; without any, the whole record.
pub(super) fn update(
    connection: &Connection,
    namespace: &str,
    wanted: Image,
    paths: &[String],
    epoch: Option<Timestamp>,
) -> Result<Image> {
    if wanted.name.is_empty() {
        return Err(Error::invalid("image name is required for update"));
    }
    let mut image = get(connection, namespace, &wanted.name)?;
    if paths.is_empty() {
        image = Image { created_at: image.created_at, ..wanted.clone() };
    }
    for path in paths {
        if let Some(key) = path.strip_prefix("labels.") {
            identifier::set_label(&mut image.labels, key, &wanted.labels);
            continue;
        }
        let wanted_target = wanted.target.clone().unwrap_or_default();
        if let Some(key) = path.strip_prefix("annotations.") {
            let target = image.target.get_or_insert_default();
            identifier::set_label(&mut target.annotations, key, &wanted_target.annotations);
            continue;
        }
        match path.as_str() {
            "labels" => image.labels.clone_from(&wanted.labels),
            "target" => image.target = Some(wanted_target),
            "annotations" => image.target.get_or_insert_default().annotations = wanted_target.annotations,
            _ => return Err(Error::invalid(format!("cannot update {path:?} field on image {:?}", wanted.name))),
        }
    }
    image.labels.retain(|_, value| !value.is_empty());
    validate(&image)?;
    image.updated_at = epoch.or_else(|| Some(moment::now()));
    IMAGES.replace(connection, namespace, &image.name, &image)?;
    Ok(image)
}

/// Removes the image; with a `target`, only while it still points there.
pub(super) fn delete(connection: &Connection, namespace: &str, name: &str, target: Option<&Descriptor>) -> Result<()> {
    if let Some(target) = target {
        let points_at = get(connection, namespace, name)?.target.unwrap_or_default().digest;
        if points_at != target.digest {
            let wanted = &target.digest;
            return Err(Error::not_found(format!("image {name:?} has target {points_at}, not {wanted}")));
        }
    }
    if !IMAGES.delete(connection, namespace, name)? {
        return Err(Error::not_found(format!("image {name:?}")));
    }
    leases::leave(connection, namespace, "images", name)
}

fn validate(image: &Image) -> Result<()> {
    if image.name.is_empty() {
        return Err(Error::invalid("image name must not be empty"));
    }
    identifier::validate_labels("image.Labels", &image.labels)?;
    let target = image.target.clone().unwrap_or_default();
    Digest::from_str(&target.digest)
        .map_err(|error| Error::invalid(format!("target.Digest {:?} invalid: {error}", target.digest)))?;
    if target.size <= 0 {
        return Err(Error::invalid("target.Size must be greater than zero"));
    }
    if target.media_type.is_empty() {
        return Err(Error::invalid("target.MediaType must be set"));
    }
    Ok(())
}

impl Fields for Image {
    fn field(&self, path: &[&str]) -> Option<Cow<'_, str>> {
        match path {
            ["name"] => non_empty(&self.name),
            ["target", "digest"] => self.target.as_ref().and_then(|target| non_empty(&target.digest)),
            ["target", "mediatype"] => self.target.as_ref().and_then(|target| non_empty(&target.media_type)),
            ["labels", key @ ..] => label(&self.labels, key),
            ["annotations", key @ ..] => self.target.as_ref().and_then(|target| label(&target.annotations, key)),
            _ => None,
        }
    }
}
