//! `POST /images/load`.

use corten_docker_api::images::Progress;
use corten_images::{LoadRequest, Platform};
use corten_proto::containerd::types::transfer::{self, ImageImportStream, ImageStore, UnpackConfiguration};
use corten_types::Reference;
use hyper::body::Incoming;

use super::body::{self, with_archive};
use super::handover;
use crate::containerd::abilities::Ability;
use crate::containerd::registry::described;
use crate::engine::Engine;
use crate::errors::Result;

/// An image that was loaded.
struct Loaded {
    /// None, when the archive gave it none.
    name: Option<String>,
    id: String,
}

/// Loads every image of the archive in `body`, and says which: one line each, as docker words it.
///
/// # Errors
/// What is wrong with the archive; nothing of it stays then.
pub async fn load(engine: &Engine, body: Incoming, platform: Option<Platform>) -> Result<Vec<Progress>> {
    engine.containerd.linked().await?;
    let platform = platform.unwrap_or_else(Platform::host);
    let loaded = match engine.containerd.has(Ability::Pipes) {
        true => load_there(engine, body, platform).await?,
        false => load_here(engine, body, platform).await?,
    };
    let mut lines = Vec::new();
    for Loaded { name, id } in loaded {
        match name {
            None => {
                lines.push(line(format!("Loaded image ID: {id}\n")));
                super::announce(engine, "load", &id, &id);
            }
            Some(name) => {
                lines.push(line(format!("Loaded image: {name}\n")));
                super::announce(engine, "load", &id, &name);
            }
        }
    }
    Ok(lines)
}

/// Loads in this process, into any containerd.
async fn load_here(engine: &Engine, body: Incoming, platform: Platform) -> Result<Vec<Loaded>> {
    let request = LoadRequest::new(platform, &engine.id);
    let store = engine.catalog.store();
    let images = with_archive(body, |archive| corten_images::load(store, &request, archive)).await?;
    let mut loaded = Vec::new();
    for image in images {
        let id = image.id.to_string();
        if image.names.is_empty() {
            loaded.push(Loaded { name: None, id: id.clone() });
        }
        loaded.extend(image.names.iter().map(|name| Loaded { name: familiar(name), id: id.clone() }));
    }
    Ok(loaded)
}

/// Has our supervisor load what comes out of a pipe.
async fn load_there(engine: &Engine, mut body: Incoming, platform: Platform) -> Result<Vec<Loaded>> {
    let unpack = UnpackConfiguration { platform: Some(described(platform)), snapshotter: String::new() };
    let destination = ImageStore { unpacks: vec![unpack], ..ImageStore::default() };
    let mut loaded = Vec::new();
    let outcome = handover::import(
        engine.containerd.client(),
        ImageImportStream::default(),
        &destination,
        |pipe| handover::feed_body(&mut body, pipe),
        |progress| loaded.extend(saved(progress)),
    );
    let outcome = outcome.await;
    // What is left of a refused archive is taken and thrown away.
    body::discard(body).await;
    outcome?;
    Ok(loaded)
}

fn saved(progress: transfer::Progress) -> Option<Loaded> {
    if progress.event != "saved" {
        return None;
    }
    Some(Loaded { name: familiar(&progress.name), id: progress.corten_id })
}

fn familiar(record: &str) -> Option<String> {
    record.parse::<Reference>().ok().map(|name| name.familiar())
}

fn line(stream: String) -> Progress {
    Progress { stream, ..Progress::default() }
}
