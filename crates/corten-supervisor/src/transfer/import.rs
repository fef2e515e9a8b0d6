//! Images out of an archive that the client sends.

use corten_images::{Change, ImportRequest, LoadRequest, Platform, Replaced, load};
use corten_proto::containerd::types::transfer::{CortenImport, ImageImportStream, ImageStore, Progress};
use corten_types::{Reference, error::chain};

use super::{
    progress::Teller,
    pull::{platform, unpacked},
};
use crate::{
    error::{Error, Result},
    local::LocalStore,
    streams::{Stream, bytes::StreamReader, pipe::PipeReader},
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
    if let Some(wanted) = &source.corten_import {
        return import_root(local, source, wanted, stream, destination, teller).await;
    }
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
    // Only our engine has a pipe, and docker's meaning of names.
    let replaced = if source.corten_pipe.is_empty() { Replaced::Forgotten } else { Replaced::Kept };
    let request = LoadRequest { platform, replaced, owner: super::OWNER.to_owned() };
    let loaded = match source.corten_pipe.as_str() {
        "" => load(local, &request, StreamReader::new(stream)).await,
        path => load(local, &request, PipeReader::open(path, stream)?).await,
    };
    for image in loaded.map_err(|error| Error::new(error.kind(), chain(&error)))? {
        let saved = |name: String| Progress {
            event: "saved".to_owned(),
            name,
            desc: Some(image.target.clone().into()),
            corten_id: image.id.to_string(),
            ..Progress::default()
        };
        if image.names.is_empty() {
            teller.tell_surely(&saved(String::new())).await;
        }
        for name in &image.names {
            teller.tell_surely(&saved(name.to_string())).await;
        }
    }
    teller.event("Completed import");
    Ok(())
}

/// Makes an image of the root file system in `stream`, which our engine asks for.
async fn import_root(
    local: &LocalStore,
    source: &ImageImportStream,
    wanted: &CortenImport,
    stream: Stream,
    destination: &ImageStore,
    teller: &Teller,
) -> Result<()> {
    let name = match destination.name.as_str() {
        "" => None,
        name => Some(name.parse::<Reference>().map_err(|error| Error::invalid(format!("name {name:?}: {error}")))?),
    };
    let changes = wanted.changes.iter().map(|change| change.parse::<Change>());
    let request = ImportRequest {
        name,
        message: wanted.message.clone(),
        changes: changes.collect::<Result<_, _>>().map_err(|error| Error::invalid(error.to_string()))?,
        platform: wanted.platform.as_ref().map_or_else(Platform::host, platform),
        owner: super::OWNER.to_owned(),
    };
    teller.event("Importing");
    let imported = match source.corten_pipe.as_str() {
        "" => corten_images::import(local, &request, StreamReader::new(stream)).await,
        path => corten_images::import(local, &request, PipeReader::open(path, stream)?).await,
    };
    let id = imported.map_err(|error| Error::new(error.kind(), chain(&error)))?;
    let saved = Progress { event: "saved".to_owned(), corten_id: id.to_string(), ..Progress::default() };
    teller.tell_surely(&saved).await;
    teller.event("Completed import");
    Ok(())
}
