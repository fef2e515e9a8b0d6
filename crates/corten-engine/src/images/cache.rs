//! What was read of an image: manifests and configurations never change under their digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use corten_docker_api::containers::ContainerConfig;

/// Images kept; one takes a few KiB.
const KEPT: usize = 256;

/// What the engine knows of an image for this host's platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// `sha256:…` of its configuration: docker's id.
    pub id: String,
    /// The digest its name points at: a manifest, or an index of several.
    pub target: String,
    /// The manifest of this platform.
    pub manifest: String,
    /// What a container inherits.
    pub config: ContainerConfig,
    /// The name of the snapshot with all its layers.
    pub chain_id: String,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
    /// `linux`.
    pub os: String,
    /// Go's word for the processor.
    pub architecture: String,
    /// The processor's variant.
    pub variant: String,
    /// The configuration as it lies in the store.
    pub raw_config: Arc<[u8]>,
    /// Bytes of the manifest's blobs, as they lie in the store.
    pub content_size_bytes: i64,
}

/// Images by the digest their name points at.
#[derive(Default)]
pub struct Cache(Mutex<HashMap<String, Arc<Image>>>);

impl Cache {
    /// The image behind `target`, if it was read before.
    pub fn get(&self, target: &str) -> Option<Arc<Image>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(target).cloned()
    }

    /// Keeps an image; at the bound, everything is forgotten and read again when it is needed.
    pub fn put(&self, image: Arc<Image>) {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() >= KEPT {
            images.clear();
        }
        images.insert(image.target.clone(), image);
    }
}
