//! The records a transfer makes for what it brought.

use std::time::SystemTime;

use corten_containerd_api::{Descriptor, Image, Labels, rfc3339};
use corten_proto::containerd::types::transfer::{ImageReference, ImageStore};

/// Names the store that a record goes with: gone when that is.
const GOES_WITH: &str = "containerd.io/gc.bref.image";
/// From when a record counts only by what refers to it.
const EXPIRE: &str = "containerd.io/gc.expire";

/// Records for what was pulled: the name asked for and the whole references beside it.
pub fn of_pulled(store: &ImageStore, target: &Descriptor) -> Vec<Image> {
    let mut images = Vec::new();
    if !store.name.is_empty() {
        images.push(Image::new(store.name.clone(), target.clone(), labels(store)));
    }
    // A prefix alone is no name; with a digest behind it, it is one.
    for reference in store.extra_references.iter().filter(|reference| !reference.is_prefix || reference.add_digest) {
        let name = match reference.add_digest {
            true => by_digest(reference, target),
            false => reference.name.clone(),
        };
        images.push(Image::new(name, target.clone(), extra_labels(store)));
    }
    images
}

fn by_digest(reference: &ImageReference, target: &Descriptor) -> String {
    format!("{}@{}", reference.name, target.digest)
}

fn labels(store: &ImageStore) -> Labels {
    store.labels.clone().into_iter().collect()
}

/// An extra name goes with the first one, where there is a first one.
pub fn extra_labels(store: &ImageStore) -> Labels {
    let mut labels = labels(store);
    if !store.name.is_empty() {
        labels.insert(GOES_WITH.to_owned(), store.name.clone());
        labels.insert(EXPIRE.to_owned(), rfc3339(SystemTime::now()));
    }
    labels
}
