//! Making an image of one file system, given as an archive.

use std::io::{self, Read};

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Image, Labels, Store, rfc3339};
use corten_layers::archive::{Archive, ArchiveError, Kind};
use corten_layers::codec::{Codec, in_common_use};
use corten_layers::name::{Name, NameError};
use corten_layers::pipe::{self, Compressed};
use corten_types::{Digest, ErrorKind, Reference};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::catalog::{dangling_name, name_image};
use crate::change::{Change, ChangeError, RunConfig};
use crate::ingest::{Upload, Uploader};
use crate::lease::{Held, hold};
use crate::load::{LoadError, write_manifest};
use crate::manifest::{Manifest, Pointer};
use crate::media_type::{OCI_CONFIG, OCI_MANIFEST, oci_layer};
use crate::platform::Platform;
use crate::unpack::{UnpackError, unpack};

/// What to make of it.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// The image's name; none keeps it without one.
    pub name: Option<Reference>,
    /// Comment of the image's one history record; docker says `Imported from -`.
    pub message: String,
    /// Changes to its configuration, in order.
    pub changes: Vec<Change>,
    /// What it runs on.
    pub platform: Platform,
    /// Whose work this is; see [`settle`](crate::lease::settle).
    pub owner: String,
}

/// Why no image was made.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A change cannot be applied.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry's name cannot be used.
    #[error("archive entry {number} {path:?}")]
    Name {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// Why.
        source: NameError,
    },
    /// The layer could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The manifest could not be stored.
    #[error(transparent)]
    Store(#[from] LoadError),
    /// containerd did not do it.
    #[error("{operation}")]
    Api {
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: ApiError,
    },
    /// The thread that read the archive ended early.
    #[error("read the archive: the reading thread panicked")]
    Panicked,
}

impl ImportError {
    /// What went wrong, for the edge: the archive's fault is [`ErrorKind::InvalidArgument`].
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Change(_) | Self::Name { .. } => ErrorKind::InvalidArgument,
            Self::Archive(ArchiveError::Read(source)) => match source.kind() {
                io::ErrorKind::ConnectionAborted => ErrorKind::Canceled,
                io::ErrorKind::Unsupported => ErrorKind::Unimplemented,
                io::ErrorKind::Other => ErrorKind::Unknown,
                _ => ErrorKind::InvalidArgument,
            },
            Self::Archive(_) => ErrorKind::InvalidArgument,
            Self::Unpack(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Api { source, .. } => source.kind(),
            Self::Panicked => ErrorKind::Internal,
        }
    }
}

fn api(operation: &'static str) -> impl FnOnce(ApiError) -> ImportError {
    move |source| ImportError::Api { operation, source }
}

/// Makes an image of one layer from the archive of a root file system, compressed or not; returns its id.
///
/// The layer is kept as it came, but for bzip2 and xz, which are taken off. Nothing stays of a failed import. Run it in a task of its own, as
/// [`load`](crate::load::load).
///
/// # Errors
/// [`ImportError`].
pub async fn import<S: Store>(
    store: &S,
    request: &ImportRequest,
    archive: impl Read + Send + 'static,
) -> Result<Digest, ImportError> {
    let mut run = RunConfig::default();
    for change in &request.changes {
        change.apply(&mut run)?;
    }
    let held = hold(store, "import", &request.owner).await.map_err(api("take a lease"))?;
    let imported = import_under(&held, request, &run, archive).await;
    held.release(if imported.is_ok() { Collect::Later } else { Collect::Now }).await;
    imported
}

async fn import_under<S: Store>(
    held: &Held<S>,
    request: &ImportRequest,
    run: &RunConfig,
    archive: impl Read + Send + 'static,
) -> Result<Digest, ImportError> {
    let store = &held.store;
    let mut uploader = Uploader::new(store.clone(), &held.id);
    let read = move || store_layer(in_common_use(archive).map_err(ArchiveError::Read)?, &mut uploader);
    let layer = tokio::task::spawn_blocking(read).await.map_err(|_| ImportError::Panicked)??;

    let config = config_json(request, run, &layer.diff_id);
    let config_digest = Digest::sha256(Sha256::digest(&config).into());
    let pointer = |media_type: &str, digest: &Digest, size| Pointer {
        media_type: media_type.to_owned(),
        digest: digest.clone(),
        size,
        annotations: Labels::new(),
        platform: None,
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: pointer(OCI_CONFIG, &config_digest, config.len() as u64),
        layers: vec![pointer(oci_layer(layer.codec), &layer.digest, layer.size)],
    };
    store
        .write_whole(&config_digest, Bytes::from(config), &Labels::new())
        .await
        .map_err(api("store the configuration"))?;
    let target = write_manifest(store, &manifest).await?;
    unpack(store, &manifest).await?;
    match &request.name {
        Some(name) => {
            let name = name.clone().or_latest().to_string();
            name_image(store, &name, &target).await.map_err(api("record the image"))?;
        }
        None => {
            let image = Image::new(dangling_name(&target.digest), target, Labels::new());
            store.put_image(&image).await.map_err(api("record the image"))?;
        }
    }
    Ok(config_digest)
}

struct Layer {
    digest: Digest,
    size: u64,
    diff_id: Digest,
    codec: Codec,
}

/// Sends what is read to the store as well.
struct Tee<R, S: Store> {
    input: R,
    upload: Upload<S>,
    failure: Option<ApiError>,
}

impl<R: Read, S: Store> Read for &mut Tee<R, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.upload.write(&buffer[..read]).map_err(|error| {
            self.failure = Some(error);
            io::Error::other("the content store did not take the layer")
        })?;
        Ok(read)
    }
}

/// Stores the layer while it is decompressed, hashed and checked: a bad archive is refused before it is unpacked.
fn store_layer<S: Store>(archive: impl Read + Send, uploader: &mut Uploader<S>) -> Result<Layer, ImportError> {
    let upload = uploader.begin(None, None).map_err(api("store the layer"))?;
    let mut tee = Tee { input: archive, upload, failure: None };
    let checked = pipe::run(&mut tee, Compressed::Hashed, check);
    let streamed = match checked {
        Ok(((), Some(streamed))) => streamed,
        Ok(((), None)) => {
            tee.upload.abort();
            return Err(ArchiveError::Read(io::Error::from(io::ErrorKind::UnexpectedEof)).into());
        }
        Err(error) => {
            tee.upload.abort();
            return Err(tee.failure.map_or(error, api("store the layer")));
        }
    };
    let (digest, size) = tee.upload.finish().map_err(api("store the layer"))?;
    Ok(Layer { digest, size, diff_id: streamed.diff_id, codec: streamed.codec })
}

fn check(stream: &mut dyn Read) -> Result<(), ImportError> {
    let mut archive = Archive::new(stream);
    while let Some(entry) = archive.next_entry()? {
        let named = |source| ImportError::Name { number: entry.number, path: entry.name(), source };
        Name::clean(&entry.path).map_err(named)?;
        if entry.kind == Kind::HardLink {
            Name::clean(&entry.link).map_err(named)?;
        }
    }
    Ok(archive.drain()?)
}

fn config_json(request: &ImportRequest, run: &RunConfig, diff_id: &Digest) -> Vec<u8> {
    let created = rfc3339(std::time::SystemTime::now());
    let mut config = Map::new();
    config.insert("architecture".into(), request.platform.architecture.clone().into());
    if !request.platform.variant.is_empty() {
        config.insert("variant".into(), request.platform.variant.clone().into());
    }
    config.insert("os".into(), request.platform.os.clone().into());
    config.insert("created".into(), created.clone().into());
    // Field names are strings and all values serialise, so this cannot fail.
    config.insert("config".into(), serde_json::to_value(run).unwrap_or(Value::Null));
    config.insert("rootfs".into(), json!({"type": "layers", "diff_ids": [diff_id]}));
    config.insert("history".into(), json!([{"created": created, "comment": request.message}]));
    Value::Object(config).to_string().into_bytes()
}
