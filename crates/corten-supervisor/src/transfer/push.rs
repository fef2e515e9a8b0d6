//! Images into a registry.

use corten_images::{
    Platform,
    push::{Extent, Layers, PushError, PushRequest},
    registry::RegistryError,
};
use corten_proto::containerd::types::transfer::{ImageStore, OciRegistry};
use corten_types::{Reference, error::chain};

use super::{progress::Teller, pull, registry};
use crate::{
    Supervisor,
    caller::Caller,
    error::{Error, Result},
    local::LocalStore,
};

/// Pushes the image that `source` names to where `destination` says. For our engine, layers that are stored plain are
/// compressed, once, and of an image for several platforms docker's choice goes; for containerd's clients what is stored is
/// what is sent, the index above all.
///
/// # Errors
/// What the registry answers; it has no new tag then.
pub async fn push(
    supervisor: &Supervisor,
    caller: &Caller,
    local: &LocalStore,
    source: &ImageStore,
    destination: &OciRegistry,
    teller: &Teller,
) -> Result<()> {
    let resolver = destination.resolver.clone().unwrap_or_default();
    let registry = registry::registry(supervisor, caller, &resolver)?;
    let reference: Reference = destination
        .reference
        .parse()
        .map_err(|error| Error::invalid(format!("reference {:?}: {error}", destination.reference)))?;
    let is_ours = !resolver.corten_settings.is_empty();
    let layers = if is_ours { Layers::Compressed } else { Layers::AsStored };
    let mut platforms: Vec<Platform> = source.platforms.iter().map(pull::platform).collect();
    let extent = match (is_ours, platforms.len()) {
        (true, 0) => Extent::WholeOrOne,
        (true, 1) => Extent::One(platforms.remove(0)),
        _ => Extent::Listed(platforms),
    };
    let owner = super::OWNER.to_owned();
    let request = PushRequest { reference, name: source.name.clone(), extent, layers, owner };
    let pushed = corten_images::push::push(local, &request, &registry, &teller.sink()).await;
    pushed.map(drop).map_err(|error| refused(&error))
}

fn refused(error: &PushError) -> Error {
    Error::new(error.kind(), chain(error)).answered(error.registry().and_then(RegistryError::answer))
}
