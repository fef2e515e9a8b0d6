//! What unpacked layers take on disk, each counted once.

use std::collections::{BTreeMap, BTreeSet};

use corten_containerd_api::Snapshotter;
use corten_images::{Details, Listed};

use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// What the layers of several images take, by the name of their snapshot.
#[derive(Debug, Default)]
pub struct Sizes(BTreeMap<String, Layer>);

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    bytes: u64,
    images: u32,
}

impl Sizes {
    /// Measures every layer of `images`; one that is not unpacked takes nothing.
    ///
    /// # Errors
    /// What the snapshotter answers.
    pub async fn measure(engine: &Engine, images: &[Listed]) -> Result<Self> {
        let mut layers: BTreeMap<String, Layer> = BTreeMap::new();
        for image in images {
            // A layer can stand twice in one image; its name depends on what is below, so it is another then.
            let chain: BTreeSet<&str> = image.details.chain.iter().map(|id| id.as_str()).collect();
            for name in chain {
                if let Some(known) = layers.get_mut(name) {
                    known.images += 1;
                    continue;
                }
                let bytes = match engine.catalog.store().usage(name).await {
                    Ok((bytes, _files)) => bytes,
                    Err(error) if error.is_not_found() => 0,
                    Err(error) => {
                        return Err(EngineError::new(error.kind(), format!("measure layer {name}")).caused_by(error));
                    }
                };
                layers.insert(name.to_owned(), Layer { bytes, images: 1 });
            }
        }
        Ok(Self(layers))
    }

    /// The bytes of all layers.
    pub fn total_bytes(&self) -> u64 {
        self.0.values().map(|layer| layer.bytes).sum()
    }

    /// The bytes of an image's layers.
    pub fn bytes_of(&self, image: &Details) -> u64 {
        self.of(image).map(|layer| layer.bytes).sum()
    }

    /// The bytes of those that another image has as well.
    pub fn shared_bytes_of(&self, image: &Details) -> u64 {
        self.of(image).filter(|layer| layer.images > 1).map(|layer| layer.bytes).sum()
    }

    /// The bytes of layers that none of `images` has.
    pub fn bytes_without(&self, images: &[Listed]) -> u64 {
        let kept: BTreeSet<&str> =
            images.iter().flat_map(|image| &image.details.chain).map(|chain_id| chain_id.as_str()).collect();
        self.0.iter().filter(|(name, _)| !kept.contains(name.as_str())).map(|(_, layer)| layer.bytes).sum()
    }

    fn of<'a>(&'a self, image: &'a Details) -> impl Iterator<Item = &'a Layer> {
        image.chain.iter().filter_map(|chain_id| self.0.get(chain_id.as_str()))
    }
}
