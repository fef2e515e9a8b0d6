//! `POST /images/load`.

use std::os::fd::{AsFd, AsRawFd};

use corten_docker_api::images::Progress;
use corten_images::{LoadRequest, Platform, Replaced};
use corten_proto::any;
use corten_proto::containerd::types::transfer::{self, Data, ImageImportStream, ImageStore, UnpackConfiguration};
use corten_sys::descriptors;
use corten_types::Reference;
use hyper::body::Incoming;
use tokio::net::unix::pipe;

use super::body::{self, with_archive};
use crate::containerd::registry::{described, takes_pipes};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};

/// Room of the pipe to our supervisor: enough that neither side waits for the other's turn.
const PIPE: usize = 1 << 20;

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
    let loaded = match takes_pipes(engine.containerd.client()).await? {
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
    let request = LoadRequest { platform, replaced: Replaced::Kept, owner: engine.id.clone() };
    let store = engine.catalog.store();
    let images = with_archive(body, |archive| corten_images::load(store, &request, archive)).await?;
    let mut loaded = Vec::new();
    for image in images {
        let id = image.id.to_string();
        if image.names.is_empty() {
            loaded.push(Loaded { name: None, id: id.clone() });
        }
        loaded.extend(image.names.iter().map(|name| Loaded { name: Some(name.familiar()), id: id.clone() }));
    }
    Ok(loaded)
}

/// Has our supervisor load what comes out of a pipe.
async fn load_there(engine: &Engine, mut body: Incoming, platform: Platform) -> Result<Vec<Loaded>> {
    let failed = |error: std::io::Error| EngineError::internal(format!("make a pipe to the supervisor: {error}"));
    let (read, write) = descriptors::pipe().map_err(failed)?;
    descriptors::widen_pipe(write.as_fd(), PIPE);
    let sender = pipe::Sender::from_owned_fd(write).map_err(failed)?;
    let client = engine.containerd.client();
    let stream = client.open_stream("archive").await?;
    let source = ImageImportStream {
        stream: stream.id.clone(),
        corten_pipe: format!("/proc/{}/fd/{}", std::process::id(), read.as_raw_fd()),
        ..ImageImportStream::default()
    };
    let unpack = UnpackConfiguration { platform: Some(described(platform)), snapshotter: String::new() };
    let destination = ImageStore { unpacks: vec![unpack], ..ImageStore::default() };
    let mut loaded = Vec::new();
    let outcome = {
        let transfer = client.transfer(any::pack(&source), any::pack(&destination), |progress| {
            loaded.extend(saved(progress));
        });
        let mut transfer = std::pin::pin!(transfer);
        let feed = async {
            if feed(&mut body, sender).await {
                stream.send(&Data::default()).await;
            } else {
                // Its end without a word says that the archive is not whole.
                drop(stream);
            }
            std::future::pending::<std::convert::Infallible>().await
        };
        tokio::select! {
            outcome = &mut transfer => outcome,
            never = feed => match never {},
        }
    };
    drop(read);
    // What is left of a refused archive is taken and thrown away.
    body::discard(body).await;
    outcome?;
    Ok(loaded)
}

fn saved(progress: transfer::Progress) -> Option<Loaded> {
    if progress.event != "saved" {
        return None;
    }
    let name = progress.name.parse::<Reference>().ok().map(|name| name.familiar());
    Some(Loaded { name, id: progress.corten_id })
}

/// Writes the body into the pipe; whether it was whole.
async fn feed(body: &mut Incoming, mut pipe: pipe::Sender) -> bool {
    use http_body_util::BodyExt;
    use tokio::io::AsyncWriteExt;
    while let Some(frame) = body.frame().await {
        // The connection broke.
        let Ok(frame) = frame else { return false };
        let Ok(data) = frame.into_data() else { continue };
        if pipe.write_all(&data).await.is_err() {
            return false;
        }
    }
    true
}

fn line(stream: String) -> Progress {
    Progress { stream, ..Progress::default() }
}
