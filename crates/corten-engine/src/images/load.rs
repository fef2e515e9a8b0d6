//! `POST /images/load`.

use corten_docker_api::images::Progress;
use corten_images::{LoadRequest, Platform};
use hyper::body::Incoming;

use super::body::with_archive;
use crate::engine::Engine;
use crate::errors::Result;

/// Loads every image of the archive in `body`, and says which: one line each, as docker words it.
///
/// # Errors
/// What is wrong with the archive; nothing of it stays then.
pub async fn load(engine: &Engine, body: Incoming, platform: Option<Platform>) -> Result<Vec<Progress>> {
    engine.containerd.linked().await?;
    let request = LoadRequest { platform: platform.unwrap_or_else(Platform::host), owner: engine.id.clone() };
    let store = engine.catalog.store();
    let loaded = with_archive(body, |archive| corten_images::load(store, &request, archive)).await?;
    let mut lines = Vec::new();
    for image in loaded {
        let names: Vec<String> = image.names.iter().map(|name| name.familiar()).collect();
        if names.is_empty() {
            lines.push(line(format!("Loaded image ID: {}\n", image.id)));
            super::announce(engine, "load", image.id.as_str(), image.id.as_str());
        }
        for name in names {
            lines.push(line(format!("Loaded image: {name}\n")));
            super::announce(engine, "load", image.id.as_str(), &name);
        }
    }
    Ok(lines)
}

fn line(stream: String) -> Progress {
    Progress { stream, ..Progress::default() }
}
