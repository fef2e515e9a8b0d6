//! Images out of an archive that the client sends.

use corten_images::{
    Change, ImportRequest, LoadRequest, Platform, load,
    load::{ByDigest, Naming, PlainLayers, Rule, Rules, Whole},
};
use corten_proto::containerd::types::transfer::{
    CortenImport, ImageImportStream, ImageReference, ImageStore, Progress,
};
use corten_types::{Reference, error::chain};

use super::{
    names,
    progress::Teller,
    pull::{platform, unpacked},
};
use crate::{
    Supervisor,
    error::{Error, Result},
    local::LocalStore,
    streams::{Stream, bytes::StreamReader, pipe::PipeReader},
};

/// Loads every image of the archive in `stream` under the names it gives them.
///
/// # Errors
/// What is wrong with the archive; nothing of it stays then.
pub async fn import(
    supervisor: &Supervisor,
    local: &LocalStore,
    source: &ImageImportStream,
    stream: Stream,
    destination: &ImageStore,
    teller: &Teller,
) -> Result<()> {
    if let Some(wanted) = &source.corten_import {
        return import_root(local, source, wanted, stream, destination, teller).await;
    }
    teller.event("Importing");
    let platform = unpacked(destination)?.into_iter().next().unwrap_or_else(Platform::host);
    // Only our engine has a pipe, and docker's meaning of names.
    let naming = match source.corten_pipe.as_str() {
        "" => Naming::Containerd(rules(destination)),
        _ => Naming::Docker,
    };
    let layers = match source.force_compress {
        true => PlainLayers::Compressed(supervisor.transfers.compressions.clone()),
        false => PlainLayers::AsTheyAre,
    };
    let platforms = destination.platforms.iter().map(self::platform).collect();
    let request = LoadRequest { platforms, naming, layers, ..LoadRequest::new(platform, super::OWNER) };
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
        if image.names.is_empty() && !source.corten_pipe.is_empty() {
            teller.tell_surely(&saved(String::new())).await;
        }
        for name in &image.names {
            teller.tell_surely(&saved(name.clone())).await;
        }
    }
    teller.event("Completed import");
    Ok(())
}

/// The rules of names that a client gives: of its references those that are prefixes count here.
fn rules(destination: &ImageStore) -> Rules {
    let prefixes = destination.extra_references.iter().filter(|reference| reference.is_prefix);
    let rule = |reference: &ImageReference| Rule {
        prefix: reference.name.clone(),
        whole: if reference.allow_overwrite { Whole::Taken } else { Whole::OfPrefix },
        by_digest: match (reference.add_digest, reference.skip_named_digest) {
            (false, _) => ByDigest::Never,
            (true, true) => ByDigest::Nameless,
            (true, false) => ByDigest::Always,
        },
    };
    Rules {
        index: destination.name.clone(),
        rules: prefixes.map(rule).collect(),
        labels: destination.labels.clone().into_iter().collect(),
        labels_of_images: names::extra_labels(destination),
    }
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
