//! Images out of an archive that the client sends.

use corten_images::{LoadRequest, Platform, load};
use corten_proto::containerd::types::transfer::{ImageImportStream, ImageStore, Progress};
use corten_types::error::chain;

use super::{progress::Teller, pull::unpacked};
use crate::{
    error::{Error, Result},
    local::LocalStore,
    streams::{Stream, bytes::StreamReader},
};

/// Loads every image of the archive in `stream` under the names it gives them.
///
/// # Errors
/// What is wrong with the archive; nothing of it stays then.
pub async fn import(
    local: &LocalStore,
    source: &ImageImportStream,
    stream: Stream,
    destination: &ImageStore,
    teller: &Teller,
) -> Result<()> {
    if source.force_compress {
        return Err(Error::unimplemented("import with compression of what is not compressed: not supported yet"));
    }
    if !destination.name.is_empty() {
        let name = &destination.name;
        return Err(Error::unimplemented(format!("import of the archive's index as {name:?}: not supported yet")));
    }
    if let Some(only) = destination.extra_references.iter().find(|reference| !reference.allow_overwrite) {
        let name = &only.name;
        return Err(Error::unimplemented(format!("import of the names that start with {name:?}: not supported yet")));
    }
    teller.event("Importing");
    let platform = unpacked(destination)?.unwrap_or_else(Platform::host);
    let request = LoadRequest { platform, owner: super::OWNER.to_owned() };
    let loaded = load(local, &request, StreamReader::new(stream)).await;
    let loaded = loaded.map_err(|error| Error::new(error.kind(), chain(&error)))?;
    for image in loaded {
        for name in image.names {
            let progress = Progress {
                event: "saved".to_owned(),
                name: name.to_string(),
                desc: Some(image.target.clone().into()),
                ..Progress::default()
            };
            teller.tell(&progress);
        }
    }
    teller.event("Completed import");
    Ok(())
}
