//! From the name of an image to the manifests that are wanted of it.
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use corten_containerd_api::{Descriptor, Labels, Store};

use crate::fetch::Fetcher;
use crate::manifest::{
    CONFIG_MAX, DEPTH_MAX, Index, Manifest, ManifestError, Pointer, is_attestation, manifest_labels, parse_index,
    parse_manifest,
};
use crate::media_type::{is_index, is_manifest};
use crate::platform::Platform;
use crate::progress::key;
use crate::pull::{PullError, PullRequest};

/// Most manifests of one image.
const MANIFESTS_MAX: usize = 1024;

/// A manifest that is here, with what led to it.
pub(crate) struct Wanted {
    pub(crate) manifest: Manifest,
    pub(crate) descriptor: Descriptor,
}

/// From the top to the manifests that are wanted, fetching what is read on the way.
pub(crate) struct Walk<S: Store> {
    fetcher: Arc<Fetcher<S>>,
    platforms: Vec<Platform>,
    all_metadata: bool,
    images: Vec<Wanted>,
    seen: usize,
}

impl<S: Store> Walk<S> {
    pub(crate) fn new(fetcher: Arc<Fetcher<S>>, request: &PullRequest) -> Self {
        let (platforms, all_metadata) = (request.platforms.clone(), request.all_metadata);
        Self { fetcher, platforms, all_metadata, images: Vec::new(), seen: 0 }
    }

    /// The manifests below `top` that are wanted.
    pub(crate) async fn images(
        mut self,
        top: &Descriptor,
        data: Option<Bytes>,
        name: &str,
    ) -> Result<Vec<Wanted>, PullError> {
        self.visit(top, data, &[name.to_owned()], 0).await?;
        Ok(self.images)
    }

    /// Fetches a manifest or index, then what it lists, and labels it at last; whether anything runs here.
    async fn visit(
        &mut self,
        descriptor: &Descriptor,
        data: Option<Bytes>,
        parents: &[String],
        depth: usize,
    ) -> Result<(), PullError> {
        let malformed =
            |why: String| ManifestError::Malformed { what: "manifest", digest: descriptor.digest.clone(), why };
        self.seen += 1;
        if self.seen > MANIFESTS_MAX {
            return Err(malformed(format!("it lists more than {MANIFESTS_MAX} manifests")).into());
        }
        let data = self.fetcher.manifest(descriptor, data, parents).await?;
        if is_manifest(&descriptor.media_type) {
            let manifest = parse_manifest(descriptor, &data)?;
            self.fetcher.label(descriptor, &manifest_labels(&manifest)).await?;
            self.images.push(Wanted { manifest, descriptor: descriptor.clone() });
            return Ok(());
        }
        if depth == DEPTH_MAX {
            return Err(malformed(format!("indexes are nested more than {DEPTH_MAX} deep")).into());
        }
        let index = parse_index(descriptor, &data)?;
        let own = [key(descriptor)];
        let wanted = self.wanted(descriptor, &index)?;
        for child in &wanted {
            let child = Descriptor::from((*child).clone());
            if is_index(&child.media_type) || is_manifest(&child.media_type) {
                Box::pin(self.visit(&child, None, &own, depth + 1)).await?;
            } else if self.platforms.is_empty() {
                self.fetcher.blob(&child, &own).await?;
            }
        }
        if self.all_metadata {
            for other in index.manifests.iter().filter(|child| !wanted.iter().any(|one| one.digest == child.digest)) {
                self.describe(&Descriptor::from(other.clone()), &own).await?;
            }
        }
        let mut labels = Labels::new();
        for child in &index.manifests {
            if self.fetcher.is_here(&child.digest).await? {
                labels.insert(format!("containerd.io/gc.ref.content.m.{}", labels.len()), child.digest.to_string());
            }
        }
        self.fetcher.label(descriptor, &labels).await
    }

    /// Fetches a manifest that is not wanted and its configuration; of an index, itself.
    async fn describe(&mut self, descriptor: &Descriptor, parents: &[String]) -> Result<(), PullError> {
        self.seen += 1;
        let is_described = is_manifest(&descriptor.media_type) || is_index(&descriptor.media_type);
        if !is_described || self.seen > MANIFESTS_MAX {
            return Ok(());
        }
        let data = self.fetcher.manifest(descriptor, None, parents).await?;
        // What cannot be read is kept as it is: nobody asked for it.
        let Ok(manifest) = parse_manifest(descriptor, &data) else { return Ok(()) };
        if manifest.config.size <= CONFIG_MAX {
            self.fetcher.blob(&Descriptor::from(manifest.config.clone()), &[key(descriptor)]).await?;
        }
        self.fetcher.label(descriptor, &manifest_labels(&manifest)).await
    }

    /// What of an index is fetched: all, or for each platform the entry that runs best. An entry that does not say what
    /// it runs on is fetched when nothing better is listed.
    fn wanted<'a>(&self, descriptor: &Descriptor, index: &'a Index) -> Result<Vec<&'a Pointer>, PullError> {
        if self.platforms.is_empty() {
            return Ok(index.manifests.iter().collect());
        }
        let mut wanted: Vec<&Pointer> = Vec::new();
        for platform in &self.platforms {
            let candidates = || index.manifests.iter().filter(|pointer| !is_attestation(pointer));
            let rank = |pointer: &&Pointer| platform.rank(&pointer.platform.as_ref()?.into());
            // The first among equals.
            let best =
                candidates().filter_map(|pointer| Some((rank(&pointer)?, pointer))).min_by_key(|(rank, _)| *rank);
            let chosen: Vec<&Pointer> = match best {
                Some((_, pointer)) => vec![pointer],
                None => candidates().filter(|pointer| pointer.platform.is_none()).collect(),
            };
            if chosen.is_empty() {
                let (platform, digest) = (platform.clone(), descriptor.digest.clone());
                return Err(ManifestError::NoPlatform { platform, digest }.into());
            }
            wanted.extend(chosen);
        }
        let mut seen = HashSet::new();
        wanted.retain(|pointer| seen.insert(&pointer.digest));
        Ok(wanted)
    }
}
