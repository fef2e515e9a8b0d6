//! Images out of a registry.

use corten_containerd_api::ImageStore as _;
use corten_images::{Naming, Platform, PullError, PullRequest, registry::RegistryError};
use corten_proto::containerd::types::{
    self,
    transfer::{ImageStore, OciRegistry, UnpackConfiguration},
};
use corten_types::{Reference, error::chain};

use super::{names, progress::Teller, registry};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result},
    local::{LocalStore, refusal},
    snapshots::OVERLAYFS,
};

/// Pulls what `source` names and records it as `destination` says. A destination without a name is ours: the record is
/// docker's then, and what had the name before is kept without one.
///
/// # Errors
/// What the registry answers; what came stays for the next attempt.
pub async fn pull(
    supervisor: &Supervisor,
    caller: &Caller,
    local: &LocalStore,
    source: &OciRegistry,
    destination: &ImageStore,
    teller: &Teller,
) -> Result<()> {
    let resolver = source.resolver.clone().unwrap_or_default();
    let registry = registry::registry(supervisor, caller, &resolver)?;
    let sink = teller.sink();
    let pulled = corten_images::pull(local, &request(source, destination)?, &registry, &sink).await;
    let pulled = pulled.map_err(|error| refused(&error, destination))?;
    for image in names::of_pulled(destination, &pulled.target).into_iter().filter(|image| image.name != pulled.name) {
        local.put_image(&image).await.map_err(refusal)?;
    }
    Ok(())
}

fn request(source: &OciRegistry, destination: &ImageStore) -> Result<PullRequest> {
    let reference: Reference = source
        .reference
        .parse()
        .map_err(|error| Error::invalid(format!("reference {:?}: {error}", source.reference)))?;
    let platforms = destination.platforms.iter().map(platform).collect();
    let naming = match destination.name.as_str() {
        "" => Naming::Reference,
        name => Naming::Replace { name: name.to_owned(), labels: destination.labels.clone().into_iter().collect() },
    };
    Ok(PullRequest {
        reference,
        platforms,
        unpack: unpacked(destination)?,
        all_metadata: destination.all_metadata,
        naming,
        owner: super::OWNER.to_owned(),
    })
}

/// The platforms whose layers are unpacked.
pub(super) fn unpacked(destination: &ImageStore) -> Result<Vec<Platform>> {
    let one = |wanted: &UnpackConfiguration| match wanted.snapshotter.as_str() {
        "" | OVERLAYFS => Ok(wanted.platform.as_ref().map_or_else(Platform::host, platform)),
        other => Err(Error::invalid(format!("snapshotter not loaded: {other}"))),
    };
    destination.unpacks.iter().map(one).collect()
}

pub(super) fn platform(given: &types::Platform) -> Platform {
    if given.os.is_empty() && given.architecture.is_empty() {
        return Platform::host();
    }
    Platform::new(&given.os, &given.architecture, &given.variant)
}

fn refused(error: &PullError, destination: &ImageStore) -> Error {
    let text = match destination.name.as_str() {
        "" => chain(error),
        name => format!("pull {name}: {}", chain(error)),
    };
    Error::new(error.kind(), text).answered(error.registry().and_then(RegistryError::answer))
}
