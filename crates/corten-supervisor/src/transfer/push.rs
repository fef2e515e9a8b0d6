//! Images into a registry.

use corten_images::{
    push::{Layers, PushError, PushRequest},
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
/// compressed, once; for containerd's clients what is stored is what is sent.
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
    let platform = match source.platforms.as_slice() {
        [] => None,
        [one] => Some(pull::platform(one)),
        several => {
            let text = format!("push for {} platforms at once: not supported yet", several.len());
            return Err(Error::unimplemented(text));
        }
    };
    let is_ours = !resolver.corten_settings.is_empty();
    let layers = if is_ours { Layers::Compressed } else { Layers::AsStored };
    let owner = super::OWNER.to_owned();
    let request = PushRequest { reference, name: source.name.clone(), platform, layers, owner };
    let pushed = corten_images::push::push(local, &request, &registry, &teller.sink()).await;
    pushed.map(drop).map_err(|error| refused(&error))
}

fn refused(error: &PushError) -> Error {
    Error::new(error.kind(), chain(error)).answered(error.registry().and_then(RegistryError::answer))
}
