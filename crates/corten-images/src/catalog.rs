//! Finding, listing, tagging and removing images.
//!
//! A record's name is a normalised reference (`docker.io/library/busybox:latest`); an image nobody named is kept by
//! the name `moby-dangling@<digest>`, as dockerd names it. The id of an image is the digest of its configuration.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Descriptor, Image, Labels, Store};
use corten_types::{Digest, ErrorKind, Reference};

use crate::manifest::{Config, Manifest, ManifestError, choose, read_config, read_manifest};
use crate::media_type::is_manifest;
use crate::platform::Platform;
use crate::unpack::chain_ids;

/// Most images whose details are remembered; the rest are read again.
const REMEMBERED_MAX: usize = 512;
/// Largest configuration that is remembered with them: together at most 16 MiB, in practice 2 MiB.
const REMEMBERED_CONFIG_MAX: usize = 32 << 10;
/// What dockerd names images that have no name.
const DANGLING: &str = "moby-dangling@";

/// What an image consists of, for one platform.
#[derive(Debug, Clone)]
pub struct Details {
    /// The manifest.
    pub manifest: Descriptor,
    /// The configuration; its digest is the image's id.
    pub config: Descriptor,
    /// The configuration's bytes as stored.
    pub config_json: Bytes,
    /// The part of it that is read here.
    pub parsed: Config,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// The snapshots they are unpacked to, base first.
    pub chain: Vec<Digest>,
}

impl Details {
    /// The image's id.
    pub fn id(&self) -> &Digest {
        &self.config.digest
    }

    /// The snapshot that containers of this image stand on, empty for an image without layers.
    pub fn top(&self) -> &str {
        self.chain.last().map_or("", |chain_id| chain_id.as_str())
    }
}

/// An image and all its names.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What it consists of.
    pub details: Arc<Details>,
    /// Its records, in order of name.
    pub records: Vec<Image>,
}

impl Listed {
    /// Its references: none of an image nobody named.
    pub fn references(&self) -> impl Iterator<Item = Reference> + '_ {
        self.records.iter().filter(|record| !is_dangling(&record.name)).filter_map(|record| record.name.parse().ok())
    }

    /// The tags as docker shows them: `busybox:latest`.
    pub fn repo_tags(&self) -> Vec<String> {
        self.references().filter(|reference| reference.tag().is_some()).map(|reference| reference.familiar()).collect()
    }

    /// The digests as docker shows them: `busybox@sha256:…`, of the manifest or index the name stands for.
    pub fn repo_digests(&self) -> Vec<String> {
        let mut digests: Vec<String> = self
            .records
            .iter()
            .filter(|record| !is_dangling(&record.name))
            .filter_map(|record| {
                let name = record.name.parse::<Reference>().ok()?.familiar_name();
                Some(format!("{name}@{}", record.target.digest))
            })
            .collect();
        digests.dedup();
        digests
    }
}

/// True of the record that only keeps an image without a name.
pub fn is_dangling(name: &str) -> bool {
    name.starts_with(DANGLING)
}

/// The name of that record for `target`.
pub fn dangling_name(target: &Digest) -> String {
    format!("{DANGLING}{target}")
}

/// Why an image was not found, named or removed.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Nothing has this name or id; docker's text.
    #[error("No such image: {0}")]
    NotFound(String),
    /// Several ids start so.
    #[error("image ID prefix {prefix:?} is ambiguous: {count} images")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many match.
        count: usize,
    },
    /// It is neither a reference nor an id.
    #[error("invalid reference format")]
    Invalid(String),
    /// It is there, but its description cannot be used.
    #[error("image {name}")]
    Broken {
        /// Its name.
        name: String,
        /// Why.
        source: ManifestError,
    },
    /// containerd did not do it.
    #[error("{operation} image {name}")]
    Api {
        /// What was being done.
        operation: &'static str,
        /// To what.
        name: String,
        /// Why.
        source: ApiError,
    },
}

impl ResolveError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Ambiguous { .. } | Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Broken { source, .. } => source.kind(),
            Self::Api { source, .. } => source.kind(),
        }
    }
}

/// The images of one namespace, as docker sees them.
pub struct Catalog<S> {
    store: S,
    platform: Platform,
    /// By digest of a record's target. Blobs never change, so only what is gone is out of date, and what stands in for a
    /// platform that may still come is not kept here.
    known: Mutex<HashMap<Digest, Arc<Details>>>,
}

impl<S: Store> Catalog<S> {
    /// The images in `store`, for this machine's platform.
    pub fn new(store: S) -> Self {
        Self { store, platform: Platform::host(), known: Mutex::new(HashMap::new()) }
    }

    /// The store it reads.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// What a record's target consists of on this machine.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub async fn details(&self, target: &Descriptor) -> Result<Arc<Details>, ManifestError> {
        if let Some(known) = self.known.lock().ok().and_then(|known| known.get(&target.digest).cloned()) {
            return Ok(known);
        }
        let details = Arc::new(read_details(&self.store, target, &self.platform).await?);
        let is_final = is_manifest(&target.media_type) || self.platform.rank(&details.parsed.platform()) == Some(0);
        if is_final
            && details.config_json.len() <= REMEMBERED_CONFIG_MAX
            && let Ok(mut known) = self.known.lock()
        {
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            known.insert(target.digest.clone(), details.clone());
        }
        Ok(details)
    }

    /// Forgets what is known of `targets`, of which a part was removed.
    pub fn forget<'a>(&self, targets: impl IntoIterator<Item = &'a Digest>) {
        if let Ok(mut known) = self.known.lock() {
            targets.into_iter().for_each(|target| drop(known.remove(target)));
        }
    }

    /// Every image once, with all its names; images whose description cannot be used are left out and logged.
    ///
    /// # Errors
    /// [`ResolveError::Api`].
    pub async fn list(&self) -> Result<Vec<Listed>, ResolveError> {
        let records = self.records().await?;
        let mut by_id: BTreeMap<Digest, Listed> = BTreeMap::new();
        for record in records {
            match self.details(&record.target).await {
                Ok(details) => {
                    let entry =
                        by_id.entry(details.id().clone()).or_insert_with(|| Listed { details, records: Vec::new() });
                    entry.records.push(record);
                }
                Err(error) => {
                    let chain = corten_types::error::chain(&error);
                    tracing::warn!(image = record.name, error = chain, "image left out of the list");
                }
            }
        }
        Ok(by_id.into_values().collect())
    }

    async fn records(&self) -> Result<Vec<Image>, ResolveError> {
        let api = |source| ResolveError::Api { operation: "list", name: "records".to_owned(), source };
        self.store.list_images().await.map_err(api)
    }

    /// Finds an image as docker does: by name, by name with `latest`, by digest, by id or a unique prefix of it.
    ///
    /// # Errors
    /// [`ResolveError::NotFound`] with docker's text.
    pub async fn resolve(&self, text: &str) -> Result<Listed, ResolveError> {
        let id = text.strip_prefix("sha256:").unwrap_or(text);
        let may_be_id = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_certainly_id = may_be_id && (id.len() == 64 || id.len() < text.len());
        let reference = match text.parse::<Reference>() {
            Ok(reference) => Some(reference.or_latest()),
            Err(_) if may_be_id => None,
            Err(_) => return Err(ResolveError::Invalid(text.to_owned())),
        };
        if let Some(reference) = reference.as_ref().filter(|_| !is_certainly_id)
            && let Some(found) = self.by_reference(reference).await?
        {
            return Ok(found);
        }
        if may_be_id && let Some(found) = self.by_id(id).await? {
            return Ok(found);
        }
        let shown = reference.filter(|_| !is_certainly_id).map_or_else(|| text.to_owned(), |name| name.familiar());
        Err(ResolveError::NotFound(shown))
    }

    async fn by_reference(&self, reference: &Reference) -> Result<Option<Listed>, ResolveError> {
        if let Some(digest) = reference.digest() {
            let records = self.records().await?;
            let named = |record: &Image| {
                record.name.parse::<Reference>().is_ok_and(|own| own.name() == reference.name())
                    && record.target.digest == *digest
            };
            return match records.iter().find(|record| named(record)) {
                Some(record) => self.listed(record, &records).await.map(Some),
                None => Ok(None),
            };
        }
        let name = reference.to_string();
        match self.store.get_image(&name).await {
            Ok(record) => self.listed(&record, std::slice::from_ref(&record)).await.map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(source) => Err(ResolveError::Api { operation: "look up", name, source }),
        }
    }

    async fn by_id(&self, prefix: &str) -> Result<Option<Listed>, ResolveError> {
        let prefix = prefix.to_ascii_lowercase();
        let matches = |digest: &Digest| digest.hex().starts_with(&prefix);
        let mut found: Vec<Listed> = self.list().await?;
        found.retain(|image| {
            matches(image.details.id()) || image.records.iter().any(|record| matches(&record.target.digest))
        });
        if found.len() > 1 {
            return Err(ResolveError::Ambiguous { prefix, count: found.len() });
        }
        Ok(found.pop())
    }

    async fn listed(&self, record: &Image, others: &[Image]) -> Result<Listed, ResolveError> {
        let broken = |source| ResolveError::Broken { name: record.name.clone(), source };
        let details = self.details(&record.target).await.map_err(broken)?;
        let same = |other: &&Image| other.target.digest == record.target.digest;
        Ok(Listed { details, records: others.iter().filter(same).cloned().collect() })
    }

    /// All names of an image that was found by one of them.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn with_all_names(&self, image: &Listed) -> Result<Listed, ResolveError> {
        let mut all = self.list().await?;
        all.retain(|other| other.details.id() == image.details.id());
        all.pop().ok_or_else(|| ResolveError::NotFound(image.details.id().to_string()))
    }

    /// Gives an image another name; an image that loses it by that is kept without a name.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn tag(&self, image: &Listed, name: &Reference) -> Result<(), ResolveError> {
        let text = name.clone().or_latest().to_string();
        let api = |source| ResolveError::Api { operation: "tag", name: text.clone(), source };
        let Some(first) = image.records.first() else {
            return Err(ResolveError::NotFound(image.details.id().to_string()));
        };
        name_image(&self.store, &text, &first.target).await.map_err(api)
    }

    /// Removes one name. The last name of an image removes the image, once nothing else keeps it, before this
    /// returns.
    ///
    /// # Errors
    /// [`ResolveError::NotFound`].
    pub async fn delete(&self, record: &str) -> Result<(), ResolveError> {
        match self.store.delete_image(record, Collect::Now).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() => Err(ResolveError::NotFound(record.to_owned())),
            Err(source) => Err(ResolveError::Api { operation: "delete", name: record.to_owned(), source }),
        }
    }

    /// What an image's unpacked layers take on disk, in bytes; 0 for a layer that is not unpacked.
    ///
    /// # Errors
    /// [`ResolveError::Api`].
    pub async fn size(&self, details: &Details) -> Result<u64, ResolveError> {
        let mut total = 0;
        for chain_id in &details.chain {
            match self.store.usage(chain_id.as_str()).await {
                Ok((size, _)) => total += size,
                Err(error) if error.is_not_found() => {}
                Err(source) => {
                    let name = details.id().to_string();
                    return Err(ResolveError::Api { operation: "measure", name, source });
                }
            }
        }
        Ok(total)
    }
}

/// Reads what `target` consists of for `platform`.
///
/// # Errors
/// [`ManifestError`].
pub async fn read_details<S: Store>(
    store: &S,
    target: &Descriptor,
    platform: &Platform,
) -> Result<Details, ManifestError> {
    let (descriptor, manifest) = choose(store, target, platform).await?;
    let (parsed, config_json) = read_config(store, &manifest).await?;
    Ok(details_of(descriptor, manifest, parsed, config_json))
}

/// Reads what the manifest `target` consists of, whatever it runs on.
///
/// # Errors
/// [`ManifestError`].
pub async fn details_of_manifest<S: Store>(store: &S, target: &Descriptor) -> Result<Details, ManifestError> {
    let manifest = read_manifest(store, target).await?;
    let (parsed, config_json) = read_config(store, &manifest).await?;
    Ok(details_of(target.clone(), manifest, parsed, config_json))
}

fn details_of(descriptor: Descriptor, manifest: Manifest, parsed: Config, config_json: Bytes) -> Details {
    let mut config = Descriptor::from(manifest.config);
    config.annotations = Labels::new();
    Details {
        manifest: descriptor,
        config,
        config_json,
        chain: chain_ids(&parsed.rootfs.diff_ids),
        parsed,
        layers: manifest.layers.into_iter().map(Descriptor::from).collect(),
    }
}

/// Points `name` at `target`; what it pointed at before is kept without a name, as docker keeps it.
///
/// # Errors
/// What containerd answers.
pub async fn name_image<S: Store>(store: &S, name: &str, target: &Descriptor) -> Result<(), ApiError> {
    match store.get_image(name).await {
        Ok(previous) if previous.target.digest == target.digest => return Ok(()),
        Ok(previous) => keep_without_name(store, &previous).await?,
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    store.put_image(&Image::new(name, target.clone(), Labels::new())).await?;
    // Named now, so the record that only kept it is of no use.
    match store.delete_image(&dangling_name(&target.digest), Collect::Later).await {
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}

async fn keep_without_name<S: Store>(store: &S, previous: &Image) -> Result<(), ApiError> {
    let records = store.list_images().await?;
    let others = |record: &&Image| record.name != previous.name && record.target.digest == previous.target.digest;
    if records.iter().any(|record| others(&record)) {
        return Ok(());
    }
    let name = dangling_name(&previous.target.digest);
    store.put_image(&Image::new(name, previous.target.clone(), Labels::new())).await
}
