//! Pushes: uploads of blobs, whole or in pieces, mounts from other repositories, manifests.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::log::Logged;
use super::serve::Reply;
use super::storage::Artifact;
use super::{Shared, tokens};
use crate::image::digest;

/// POST, PATCH and PUT below `/blobs/uploads/`.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    request: &Logged,
    name: &str,
    id: &str,
    body: Incoming,
    number: usize,
) -> Reply {
    let parameters = tokens::parameters(&request.query);
    let value = |name: &str| parameters.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    if request.method == "POST" {
        return begin(shared, name, value("mount"), value("from"));
    }
    let Some(data) = take(shared, body, number).await else {
        return Reply::error(400, "BLOB_UPLOAD_INVALID", "the body broke off");
    };
    let mut storage = shared.storage.lock().expect("no request panics");
    let Some(mut upload) = storage.uploads.remove(id) else {
        return Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    };
    let location = format!("/v2/{name}/blobs/uploads/{id}?state=of-the-tests");
    if let Some(range) = &request.content_range
        && range.split('-').next().and_then(|start| start.parse().ok()) != Some(upload.len())
    {
        storage.uploads.insert(id.to_owned(), upload);
        return Reply::error(416, "RANGE_INVALID", "out of order");
    }
    upload.extend_from_slice(&data);
    if request.method == "PATCH" {
        let end = upload.len().saturating_sub(1);
        storage.uploads.insert(id.to_owned(), upload);
        return Reply::new(202).with("location", location).with("range", format!("0-{end}"));
    }
    let stated = value("digest").unwrap_or_default();
    if value("state").is_none() || digest(&upload) != stated {
        return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    storage.linked.insert((name.to_owned(), stated.clone()));
    storage.blobs.insert(stated.clone(), upload.into());
    Reply::new(201).with("location", format!("/v2/{name}/blobs/{stated}")).with("docker-content-digest", stated)
}

fn begin(shared: &Shared, name: &str, mount: Option<String>, from: Option<String>) -> Reply {
    let mut storage = shared.storage.lock().expect("no request panics");
    if let (Some(digest), Some(from)) = (mount, from)
        && storage.blob(&from, &digest).is_some()
    {
        storage.linked.insert((name.to_owned(), digest.clone()));
        return Reply::new(201).with("location", format!("/v2/{name}/blobs/{digest}"));
    }
    let id = crate::random_id(8);
    storage.uploads.insert(id.clone(), Vec::new());
    Reply::new(202).with("location", format!("/v2/{name}/blobs/uploads/{id}?state=of-the-tests"))
}

/// A request's body; none when it broke off.
async fn take(shared: &Shared, mut body: Incoming, number: usize) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        all.extend_from_slice(&data);
        if let Some(entry) = shared.log.lock().expect("no request panics").get_mut(number) {
            entry.taken += data.len() as u64;
        }
    }
    Some(all)
}

/// Stores a manifest whose parts are all there.
pub(super) async fn put_manifest(
    shared: &Arc<Shared>,
    request: &Logged,
    name: &str,
    reference: &str,
    body: Incoming,
) -> Reply {
    let data = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let media_type =
        request.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value).to_owned();
    let mut storage = shared.storage.lock().expect("no request panics");
    let Ok(parsed) = serde_json::from_slice::<Value>(&data) else {
        return Reply::error(400, "MANIFEST_INVALID", "manifest invalid");
    };
    let blobs = parsed["layers"].as_array().into_iter().flatten().chain([&parsed["config"]]);
    for pointer in blobs.filter_map(|blob| blob["digest"].as_str()) {
        if storage.blob(name, pointer).is_none() {
            return Reply::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
        }
    }
    for pointer in parsed["manifests"].as_array().into_iter().flatten().filter_map(|entry| entry["digest"].as_str()) {
        if storage.manifest(name, pointer).is_none() {
            return Reply::error(400, "MANIFEST_UNKNOWN", "manifest unknown");
        }
    }
    let artifact = Artifact { media_type, data: Bytes::from(data.to_vec()) };
    let own = artifact.digest();
    if reference.contains(':') && reference != own {
        return Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    storage.manifests.insert((name.to_owned(), own.clone()), artifact);
    if !reference.contains(':') {
        storage.tags.insert((name.to_owned(), reference.to_owned()), own.clone());
    }
    Reply::new(201).with("location", format!("/v2/{name}/manifests/{own}")).with("docker-content-digest", own)
}
