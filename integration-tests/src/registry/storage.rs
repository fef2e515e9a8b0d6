//! What a registry of the tests holds, and how images are put there without a push.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::TestRegistry;
use crate::image::{ImageFiles, digest};

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Something with a media type.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// What it is.
    pub media_type: String,
    /// Its bytes.
    pub data: Bytes,
}

impl Artifact {
    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.data)
    }

    /// Its descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.data.len()})
    }
}

/// An image as it lies in a registry.
#[derive(Debug, Clone)]
pub struct Layered {
    /// The manifest.
    pub manifest: Artifact,
    /// The configuration's digest: docker's image id.
    pub id: String,
    /// The digests of the compressed layers.
    pub layers: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Storage {
    /// By digest.
    pub(super) blobs: BTreeMap<String, Bytes>,
    /// Which repository may serve which blob; blobs that were put by hand are served by all.
    pub(super) linked: BTreeSet<(String, String)>,
    /// By repository and digest.
    pub(super) manifests: BTreeMap<(String, String), Artifact>,
    /// By repository and tag.
    pub(super) tags: BTreeMap<(String, String), String>,
    /// Uploads that are under way.
    pub(super) uploads: BTreeMap<String, Vec<u8>>,
    /// Blobs that every repository serves.
    pub(super) common: BTreeSet<String>,
}

impl Storage {
    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<&Artifact> {
        let tag = self.tags.get(&(repository.to_owned(), reference.to_owned()));
        self.manifests.get(&(repository.to_owned(), tag.map_or(reference, String::as_str).to_owned()))
    }

    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<&Bytes> {
        let linked = self.common.contains(digest) || self.linked.contains(&(repository.to_owned(), digest.to_owned()));
        self.blobs.get(digest).filter(|_| linked)
    }

    pub(super) fn repositories(&self) -> BTreeSet<&String> {
        self.manifests.keys().map(|(repository, _)| repository).collect()
    }
}

impl TestRegistry {
    /// Stores a blob for every repository and returns its digest.
    #[must_use]
    pub fn put_blob(&self, data: impl Into<Bytes>) -> String {
        let data = data.into();
        let digest = digest(&data);
        self.with_storage(|storage| {
            storage.common.insert(digest.clone());
            storage.blobs.insert(digest.clone(), data);
        });
        digest
    }

    /// Stores a manifest or index, under a tag when one is given.
    pub fn put_manifest(&self, repository: &str, tag: Option<&str>, manifest: &Artifact) {
        let digest = manifest.digest();
        self.with_storage(|storage| {
            storage.manifests.insert((repository.to_owned(), digest.clone()), manifest.clone());
            if let Some(tag) = tag {
                storage.tags.insert((repository.to_owned(), tag.to_owned()), digest);
            }
        });
    }

    /// Stores an image, its layer compressed with gzip, under `NAME:TAG`.
    pub fn put_image(&self, repository: &str, tag: &str, image: &ImageFiles) -> Layered {
        let layered = self.put_layers(repository, &image.config, &[gzip(&image.layer)]);
        self.put_manifest(repository, Some(tag), &layered.manifest);
        layered
    }

    /// Stores configuration and layers, and a manifest of them that has no tag.
    pub fn put_layers(&self, repository: &str, config: &[u8], layers: &[Vec<u8>]) -> Layered {
        let id = self.put_blob(config.to_vec());
        let described: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
                json!({"mediaType": media_type, "digest": self.put_blob(layer.clone()), "size": layer.len()})
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": id, "size": config.len()},
            "layers": described,
        });
        let manifest =
            Artifact { media_type: OCI_MANIFEST.to_owned(), data: Bytes::from(manifest.to_string().into_bytes()) };
        self.put_manifest(repository, None, &manifest);
        Layered { manifest, id, layers: layers.iter().map(|layer| digest(layer)).collect() }
    }

    /// Stores an index of `entries` (descriptors with their platforms) under `tag`.
    pub fn put_index(&self, repository: &str, tag: &str, entries: &[Value]) -> Artifact {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
        let index = Artifact { media_type: OCI_INDEX.to_owned(), data: Bytes::from(index.to_string().into_bytes()) };
        self.put_manifest(repository, Some(tag), &index);
        index
    }

    /// The manifest that a tag or digest stands for.
    #[must_use]
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Artifact> {
        self.with_storage(|storage| storage.manifest(repository, reference).cloned())
    }

    /// A blob, whoever may see it.
    #[must_use]
    pub fn blob(&self, digest: &str) -> Option<Bytes> {
        self.with_storage(|storage| storage.blobs.get(digest).cloned())
    }

    /// Removes a blob.
    pub fn drop_blob(&self, digest: &str) {
        self.with_storage(|storage| storage.blobs.remove(digest));
    }

    /// The tags of a repository.
    #[must_use]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let of = |((name, tag), _): (&(String, String), &String)| (name == repository).then(|| tag.clone());
        self.with_storage(|storage| storage.tags.iter().filter_map(of).collect())
    }
}

/// `data` compressed with gzip.
#[must_use]
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("memory takes everything")
}
