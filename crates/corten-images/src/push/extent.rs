//! How much of an image for several platforms is pushed: docker's choice, and containerd's.

use corten_containerd_api::{Descriptor, Store};

use super::tree::{Tree, is_here};
use super::{PushError, api};
use crate::manifest::{DEPTH_MAX, ManifestError, is_attestation, read_config, read_index, read_manifest};
use crate::media_type::{is_index, is_manifest};
use crate::platform::Platform;

/// Most manifests that are looked at.
const MANIFESTS_MAX: usize = 1024;

/// How much of an image for several platforms goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// `docker push`: all of it. Where not all is here, the one image that is, or of several the one for this machine.
    WholeOrOne,
    /// `docker push --platform`: the image for this very platform, as one that stands alone.
    One(Platform),
    /// containerd's: the index, with what it lists for these platforms; for all when none is named.
    Listed(Vec<Platform>),
}

/// What goes of the image `name` behind `target`.
pub(super) async fn tree<S: Store>(
    store: &S,
    target: &Descriptor,
    name: &str,
    extent: &Extent,
) -> Result<Tree, PushError> {
    match extent {
        Extent::Listed(platforms) => Tree::of(store, target, platforms).await,
        Extent::One(platform) => {
            let chosen = Present::of(store, target).await?.one(name, platform)?;
            Tree::of(store, &chosen, &[]).await
        }
        Extent::WholeOrOne => match Tree::of(store, target, &[]).await {
            Err(PushError::Absent(digest)) if is_index(&target.media_type) => {
                let chosen = Present::of(store, target).await?.instead(name)?;
                let chosen = chosen.ok_or(PushError::Absent(digest))?;
                Tree::of(store, &chosen, &[]).await
            }
            tree => tree,
        },
    }
}

/// The images behind an index of which everything is here.
struct Present {
    images: Vec<(Descriptor, Platform)>,
    /// Whether there are others.
    are_others: bool,
}

impl Present {
    async fn of<S: Store>(store: &S, target: &Descriptor) -> Result<Self, PushError> {
        let mut present = Self { images: Vec::new(), are_others: false };
        // Last in, first out, so that they are found in the order they are listed.
        let mut todo = vec![(target.clone(), 0, false)];
        let mut seen = 0;
        while let Some((descriptor, depth, is_attestation_of)) = todo.pop() {
            seen += 1;
            if depth > DEPTH_MAX || seen > MANIFESTS_MAX {
                let why = "it lists too much".to_owned();
                return Err(ManifestError::Malformed { what: "index", digest: target.digest.clone(), why }.into());
            }
            if is_index(&descriptor.media_type) {
                match read_index(store, &descriptor).await {
                    Ok(index) => todo.extend(index.manifests.into_iter().rev().map(|pointer| {
                        let is_attestation = is_attestation(&pointer);
                        (pointer.into(), depth + 1, is_attestation)
                    })),
                    Err(ManifestError::Missing { .. }) => present.are_others = true,
                    Err(error) => return Err(error.into()),
                }
            } else if is_manifest(&descriptor.media_type) {
                match whole(store, &descriptor).await? {
                    None => present.are_others = true,
                    Some(_) if is_attestation_of => {}
                    Some(platform) => present.images.push((descriptor, platform)),
                }
            }
        }
        Ok(present)
    }

    /// The one for `platform`, and for no other of its kind.
    fn one(self, name: &str, platform: &Platform) -> Result<Descriptor, PushError> {
        let mut fitting = self.images.into_iter().filter(|(_, own)| own == platform);
        match (fitting.next(), fitting.next()) {
            (Some((only, _)), None) => Ok(only),
            (Some(_), Some(_)) => {
                Err(PushError::Ambiguous(format!("multiple manifests found for platform {platform}")))
            }
            (None, _) => {
                let wanted = format!("the specified platform ({platform})");
                Err(PushError::NoPlatform { name: name.to_owned(), wanted })
            }
        }
    }

    /// What goes instead of an index that is not whole; none when all images of it are here.
    fn instead(self, name: &str) -> Result<Option<Descriptor>, PushError> {
        if self.images.is_empty() {
            return Err(PushError::NoPlatform { name: name.to_owned(), wanted: "any platform".to_owned() });
        }
        if !self.are_others {
            return Ok(None);
        }
        if let [(only, _)] = &self.images[..] {
            return Ok(Some(only.clone()));
        }
        let host = Platform::host();
        let ranked = self.images.into_iter().filter_map(|(image, own)| host.rank(&own).map(|rank| (rank, image)));
        match ranked.min_by_key(|(rank, _)| *rank) {
            Some((_, best)) => Ok(Some(best)),
            None => Err(PushError::Ambiguous(
                "multiple matching manifests found but no specific platform requested".to_owned(),
            )),
        }
    }
}

/// What the manifest's image runs on, if all of it is here.
async fn whole<S: Store>(store: &S, descriptor: &Descriptor) -> Result<Option<Platform>, PushError> {
    let manifest = match read_manifest(store, descriptor).await {
        Ok(manifest) => manifest,
        Err(ManifestError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for blob in &manifest.layers {
        let present = is_here(store, &blob.digest).await;
        if !present.map_err(api(format!("look up content {}", blob.digest)))? {
            return Ok(None);
        }
    }
    match read_config(store, &manifest).await {
        Ok((config, _)) => Ok(Some(config.platform())),
        Err(ManifestError::Missing { .. }) => Ok(None),
        // An artifact: nothing runs on any platform.
        Err(ManifestError::Malformed { .. }) => Ok(Some(Platform::new("unknown", "unknown", ""))),
        Err(error) => Err(error.into()),
    }
}
