//! How a transfer goes on, in the words of containerd's Transfer service.

use std::sync::Arc;

use corten_containerd_api::{Descriptor, TransferProgress};

use crate::media_type::{is_index, is_manifest};

/// One step of a transfer (containerd, api/types/transfer/progress.proto).
///
/// Events of a pull: `Resolving from …`, `Pulling from …` and `Completed pull from …` without a name; `fetching image
/// content` and `saved` with the image's; of each blob, by its [`key`], `waiting`, `already exists` or `downloading` and
/// `complete`, and of a layer then `extracting` and `extracted`. Of a push likewise: `Pushing to …`, `pushing content`,
/// then `waiting`, `uploading`, `already exists` or `mounted from REPOSITORY`, and `complete` of each blob, `pushed content`,
/// `Completed push to …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What happened.
    pub event: String,
    /// To what: a blob's [`key`] or an image's name; empty for the transfer itself.
    pub name: String,
    /// The names that list this one.
    pub parents: Vec<String>,
    /// Bytes done.
    pub progress: u64,
    /// Bytes in all.
    pub total: u64,
    /// The blob.
    pub descriptor: Option<Descriptor>,
}

/// Who is told.
pub type Sink = Arc<dyn Fn(Progress) + Send + Sync>;

/// A sink for nobody.
pub fn silent() -> Sink {
    Arc::new(|_| {})
}

impl Progress {
    /// A step of the whole transfer.
    pub fn message(event: impl Into<String>) -> Self {
        Self::of_image(event, "", None)
    }

    /// A step of the image `name`.
    pub fn of_image(event: impl Into<String>, name: &str, descriptor: Option<Descriptor>) -> Self {
        Self { event: event.into(), name: name.to_owned(), parents: Vec::new(), progress: 0, total: 0, descriptor }
    }

    /// A step of a blob.
    pub fn of_blob(event: &str, descriptor: &Descriptor, parents: &[String], progress: u64) -> Self {
        Self {
            event: event.to_owned(),
            name: key(descriptor),
            parents: parents.to_vec(),
            progress,
            total: descriptor.size,
            descriptor: Some(descriptor.clone()),
        }
    }
}

impl From<Progress> for TransferProgress {
    fn from(progress: Progress) -> Self {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            event: progress.event,
            name: progress.name,
            parents: progress.parents,
            progress: signed(progress.progress),
            total: signed(progress.total),
            desc: progress.descriptor.map(Into::into),
            ..Self::default()
        }
    }
}

/// The name of a blob under way, as containerd names its ingests: `layer-sha256:…`.
pub fn key(descriptor: &Descriptor) -> String {
    let media_type = descriptor.media_type.as_str();
    let sort = if is_manifest(media_type) {
        "manifest"
    } else if is_index(media_type) {
        "index"
    } else if is_layer(media_type) {
        "layer"
    } else if media_type.contains("config") || media_type == crate::media_type::DOCKER_CONFIG {
        "config"
    } else {
        "unknown"
    };
    format!("{sort}-{}", descriptor.digest)
}

fn is_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.") || media_type.contains(".rootfs.")
}
