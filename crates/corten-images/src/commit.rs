//! Making an image of what a container changed, on top of the image it was made of.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use corten_containerd_api::{ApiError, Collect, Image, Labels, Store, rfc3339};
use corten_layers::codec::Codec;
use corten_layers::diff::DiffError;
use corten_types::{Digest, ErrorKind, Reference};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::catalog::{Details, dangling_name, name_image};
use crate::change::RunConfig;
use crate::ingest::{Upload, Uploader};
use crate::lease::{Held, hold};
use crate::load::{LoadError, write_manifest};
use crate::manifest::{Manifest, Pointer};
use crate::media_type::{OCI_CONFIG, OCI_MANIFEST, oci_layer};
use crate::unpack::{UnpackError, unpack};

/// What to make.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The image the container was made of.
    pub base: Arc<Details>,
    /// Who made it; empty keeps the base's.
    pub author: String,
    /// Comment of its history record.
    pub message: String,
    /// The command that history shows.
    pub created_by: String,
    /// What its containers run by default.
    pub config: RunConfig,
    /// The image's name; none keeps it without one.
    pub name: Option<Reference>,
    /// Whose work this is; see [`settle`](crate::lease::settle).
    pub owner: String,
}

/// Why no image was made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The base's configuration is none.
    #[error("read the configuration of the image {id}")]
    Config {
        /// The base.
        id: Digest,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The container's files could not be read.
    #[error(transparent)]
    Diff(#[from] DiffError),
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
    /// The thread that read the files ended early.
    #[error("read the container's files: the reading thread panicked")]
    Panicked,
}

impl CommitError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config { .. } | Self::Panicked => ErrorKind::Internal,
            Self::Diff(_) => ErrorKind::Unknown,
            Self::Unpack(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Api { source, .. } => source.kind(),
        }
    }
}

fn api(operation: &'static str) -> impl FnOnce(ApiError) -> CommitError {
    move |source| CommitError::Api { operation, source }
}

/// Makes an image of the layer that `write` writes, uncompressed, and says how many changes it holds; without any the
/// image has no layer of its own, as docker has it. Returns its id.
///
/// Nothing stays of a failed commit. Run it in a task of its own, as [`load`](crate::load::load).
///
/// # Errors
/// [`CommitError`].
pub async fn commit<S: Store>(
    store: &S,
    request: &CommitRequest,
    write: impl FnOnce(&mut dyn Write) -> Result<u64, DiffError> + Send + 'static,
) -> Result<Digest, CommitError> {
    let held = hold(store, "commit", &request.owner).await.map_err(api("take a lease"))?;
    let committed = commit_under(&held, request, write).await;
    held.release(if committed.is_ok() { Collect::Later } else { Collect::Now }).await;
    committed
}

async fn commit_under<S: Store>(
    held: &Held<S>,
    request: &CommitRequest,
    write: impl FnOnce(&mut dyn Write) -> Result<u64, DiffError> + Send + 'static,
) -> Result<Digest, CommitError> {
    let store = &held.store;
    let mut uploader = Uploader::new(store.clone(), &held.id);
    let layer = tokio::task::spawn_blocking(move || store_layer(write, &mut uploader));
    let layer = layer.await.map_err(|_| CommitError::Panicked)??;

    let config = config_json(request, layer.as_ref().map(|(digest, _)| digest))?;
    let config_digest = Digest::sha256(Sha256::digest(&config).into());
    let pointer = |media_type: &str, digest: &Digest, size| Pointer {
        media_type: media_type.to_owned(),
        digest: digest.clone(),
        size,
        annotations: Labels::new(),
        platform: None,
    };
    let mut layers: Vec<Pointer> = request.base.layers.iter().map(Pointer::from).collect();
    layers.extend(layer.map(|(digest, size)| pointer(oci_layer(Codec::Plain), &digest, size)));
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: pointer(OCI_CONFIG, &config_digest, config.len() as u64),
        layers,
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

/// The layer on its way to the store.
struct Out<S: Store> {
    upload: Upload<S>,
    failure: Option<ApiError>,
}

impl<S: Store> Write for Out<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.upload.write(bytes).map_err(|error| {
            self.failure = Some(error);
            io::Error::other("the content store did not take the layer")
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stores the layer; its digest, which is its diff id, and size. `None` when nothing was changed.
fn store_layer<S: Store>(
    write: impl FnOnce(&mut dyn Write) -> Result<u64, DiffError>,
    uploader: &mut Uploader<S>,
) -> Result<Option<(Digest, u64)>, CommitError> {
    let upload = uploader.begin(None, None).map_err(api("store the layer"))?;
    let mut out = Out { upload, failure: None };
    match write(&mut out) {
        Ok(0) => {
            out.upload.abort();
            Ok(None)
        }
        Ok(_) => out.upload.finish().map(Some).map_err(api("store the layer")),
        Err(error) => {
            out.upload.abort();
            Err(out.failure.map_or(error.into(), api("store the layer")))
        }
    }
}

/// The base's configuration with what the commit changes; fields that are not known here stay.
fn config_json(request: &CommitRequest, diff_id: Option<&Digest>) -> Result<Vec<u8>, CommitError> {
    let broken = |source| CommitError::Config { id: request.base.id().clone(), source };
    let mut config: Map<String, Value> = serde_json::from_slice(&request.base.config_json).map_err(broken)?;
    let created = rfc3339(std::time::SystemTime::now());
    // What docker's builder notes of a container of its own.
    for stale in ["container", "container_config", "id", "parent", "docker_version"] {
        config.remove(stale);
    }
    config.insert("created".into(), created.clone().into());
    if !request.author.is_empty() {
        config.insert("author".into(), request.author.clone().into());
    }
    let author = config.get("author").cloned();
    config.insert("config".into(), serde_json::to_value(&request.config).map_err(broken)?);
    let mut diff_ids = request.base.parsed.rootfs.diff_ids.clone();
    diff_ids.extend(diff_id.cloned());
    config.insert("rootfs".into(), json!({"type": "layers", "diff_ids": diff_ids}));
    let mut record = Map::new();
    record.insert("created".into(), created.into());
    record.insert("created_by".into(), request.created_by.clone().into());
    if let Some(author) = author.filter(|author| author.as_str().is_some_and(|author| !author.is_empty())) {
        record.insert("author".into(), author);
    }
    if !request.message.is_empty() {
        record.insert("comment".into(), request.message.clone().into());
    }
    if diff_id.is_none() {
        record.insert("empty_layer".into(), true.into());
    }
    match config.get_mut("history").and_then(Value::as_array_mut) {
        Some(history) => history.push(Value::Object(record)),
        None => {
            config.insert("history".into(), json!([record]));
        }
    }
    Ok(Value::Object(config).to_string().into_bytes())
}
