//! All that a push sends: manifests and what they list.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use corten_containerd_api::{ApiError, Descriptor, Store};
use corten_layers::codec::Codec;
use corten_types::Digest;
use sha2::{Digest as _, Sha256};

use super::{Layers, PushError, api};
use crate::manifest::{DEPTH_MAX, MANIFEST_MAX, Manifest, ManifestError, Pointer, parse_index, parse_manifest};
use crate::media_type::{docker_layer, is_index, is_manifest, oci_layer};
use crate::platform::Platform;
use crate::progress::key;

/// Most manifests of one image.
const MANIFESTS_MAX: usize = 1024;

/// A blob that goes.
#[derive(Debug, Clone)]
pub(super) struct Cargo {
    /// As it is stored.
    pub(super) blob: Descriptor,
    /// The [`key`]s of what lists it.
    pub(super) parents: Vec<String>,
    /// The type it has when it is compressed, where it is before it goes.
    pub(super) compressed_type: Option<&'static str>,
}

/// All that is pushed.
pub(super) struct Tree {
    /// What lists others behind what it lists: the order they are written in.
    pub(super) manifests: Vec<(Descriptor, Bytes)>,
    pub(super) images: Vec<(Descriptor, Manifest)>,
    /// Blobs that no manifest describes: entries of an index.
    others: Vec<Descriptor>,
}

impl Tree {
    /// All below `top`, of what an index lists only what is for one of `platforms`, where there are any.
    ///
    /// # Errors
    /// [`PushError::Absent`] when not all of it is here.
    pub(super) async fn of<S: Store>(store: &S, top: &Descriptor, platforms: &[Platform]) -> Result<Self, PushError> {
        let mut tree = Self { manifests: Vec::new(), images: Vec::new(), others: Vec::new() };
        tree.add(store, top, platforms, 0).await?;
        Ok(tree)
    }

    pub(super) fn top(&self) -> &Descriptor {
        &self.manifests.last().expect("a tree has a top").0
    }

    async fn add<S: Store>(
        &mut self,
        store: &S,
        descriptor: &Descriptor,
        platforms: &[Platform],
        depth: usize,
    ) -> Result<(), PushError> {
        let malformed =
            |why: String| ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why };
        if self.manifests.iter().any(|(known, _)| known.digest == descriptor.digest) {
            return Ok(());
        }
        if depth > DEPTH_MAX || self.manifests.len() >= MANIFESTS_MAX {
            return Err(malformed("it lists too much".to_owned()).into());
        }
        let (is_index, is_manifest) = (is_index(&descriptor.media_type), is_manifest(&descriptor.media_type));
        if !is_index && !is_manifest {
            if depth == 0 {
                return Err(malformed(format!("unsupported media type {:?}", descriptor.media_type)).into());
            }
            expect_content(store, "blob", descriptor).await?;
            self.others.push(descriptor.clone());
            return Ok(());
        }
        expect_content(store, "manifest", descriptor).await?;
        let data = store.read_whole(&descriptor.digest, MANIFEST_MAX).await;
        let data = data.map_err(api(format!("read content {}", descriptor.digest)))?;
        if is_index {
            let is_wanted = |child: &Pointer| {
                let own = child.platform.as_ref().filter(|_| !platforms.is_empty());
                own.is_none_or(|own| platforms.contains(&own.into()))
            };
            for child in parse_index(descriptor, &data)?.manifests.into_iter().filter(is_wanted) {
                Box::pin(self.add(store, &child.into(), platforms, depth + 1)).await?;
            }
        } else {
            let manifest = parse_manifest(descriptor, &data)?;
            for blob in blobs_of(&manifest) {
                expect_content(store, "blob", &blob).await?;
            }
            self.images.push((descriptor.clone(), manifest));
        }
        self.manifests.push((descriptor.clone(), data));
        Ok(())
    }

    /// What each blob is when it goes, in the order the manifests list them, each once. The plain layers of an image that
    /// no registry has seen are compressed first, if `layers` says so.
    pub(super) async fn cargo<S: Store>(&self, store: &S, layers: Layers) -> Result<Vec<Cargo>, PushError> {
        let is_own = layers == Layers::Compressed && self.is_of_here(store).await?;
        let mut seen = HashSet::new();
        let of_images = self.images.iter().flat_map(|(descriptor, manifest)| {
            let parents = vec![key(descriptor)];
            blobs_of(manifest).into_iter().map(move |blob| {
                let compressed_type = if is_own { gzip_type(&blob.media_type) } else { None };
                Cargo { blob, parents: parents.clone(), compressed_type }
            })
        });
        let others =
            self.others.iter().map(|blob| Cargo { blob: blob.clone(), parents: Vec::new(), compressed_type: None });
        Ok(of_images.chain(others).filter(|cargo| seen.insert(cargo.blob.digest.clone())).collect())
    }

    /// Whether this is one image that was made here, whose manifest may become another one.
    async fn is_of_here<S: Store>(&self, store: &S) -> Result<bool, PushError> {
        let ([(descriptor, _)], [_]) = (&self.manifests[..], &self.images[..]) else { return Ok(false) };
        let info = store.content_info(&descriptor.digest).await;
        let info = info.map_err(api(format!("look up content {}", descriptor.digest)))?;
        Ok(!info.labels.keys().any(|key| key.starts_with("containerd.io/distribution.source.")))
    }

    /// Writes into the image's manifest what its layers went as; it becomes another one.
    pub(super) fn replace(&mut self, went: &HashMap<Digest, Descriptor>) -> Result<(), PushError> {
        if went.is_empty() {
            return Ok(());
        }
        let ([(descriptor, data)], [(described, manifest)]) = (&mut self.manifests[..], &mut self.images[..]) else {
            return Ok(());
        };
        let unusable =
            |why: String| ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why };
        // As a document, so that what is not known here stays.
        let mut document: serde_json::Value =
            serde_json::from_slice(data).map_err(|error| unusable(error.to_string()))?;
        for (number, layer) in manifest.layers.iter_mut().enumerate() {
            let Some(new) = went.get(&layer.digest) else { continue };
            (layer.media_type, layer.digest, layer.size) = (new.media_type.clone(), new.digest.clone(), new.size);
            let entry = &mut document["layers"][number];
            entry["mediaType"] = new.media_type.as_str().into();
            entry["digest"] = new.digest.as_str().into();
            entry["size"] = new.size.into();
        }
        *data = Bytes::from(serde_json::to_vec(&document).map_err(|error| unusable(error.to_string()))?);
        descriptor.digest = Digest::sha256(Sha256::digest(&data[..]).into());
        descriptor.size = data.len() as u64;
        *described = descriptor.clone();
        Ok(())
    }
}

/// The type that a plain layer has when it is compressed.
fn gzip_type(media_type: &str) -> Option<&'static str> {
    if media_type == docker_layer(Codec::Plain) {
        Some(docker_layer(Codec::Gzip))
    } else if media_type == oci_layer(Codec::Plain) {
        Some(oci_layer(Codec::Gzip))
    } else {
        None
    }
}

/// Configuration and layers, but for those that nobody may distribute.
fn blobs_of(manifest: &Manifest) -> Vec<Descriptor> {
    let is_foreign = |media_type: &str| media_type.contains("nondistributable") || media_type.contains(".foreign.");
    let layers = manifest.layers.iter().filter(|layer| !is_foreign(&layer.media_type));
    layers.chain([&manifest.config]).cloned().map(Descriptor::from).collect()
}

async fn expect_content<S: Store>(store: &S, what: &'static str, descriptor: &Descriptor) -> Result<(), PushError> {
    let digest = &descriptor.digest;
    match is_here(store, digest).await.map_err(api(format!("look up content {digest}")))? {
        true => Ok(()),
        false => Err(ManifestError::Missing { what, digest: digest.clone() }.into()),
    }
}

pub(super) async fn is_here<S: Store>(store: &S, digest: &Digest) -> Result<bool, ApiError> {
    match store.content_info(digest).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
