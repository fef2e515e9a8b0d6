//! `GET /images/get` and `GET /images/{name}/get`.

use corten_images::{Platform, SaveRequest};
use futures_util::stream;
use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::answer::Chunks;

/// Pieces of the archive that may wait for a slow client: at most as many MiB.
const PIECES_WAITING: usize = 4;

/// The archive of the images `names`, produced while it is sent.
///
/// # Errors
/// 404 when one is not there, before anything is sent.
pub async fn save(engine: &Engine, names: Vec<String>, platform: Option<Platform>) -> Result<Chunks> {
    if names.is_empty() {
        return Err(EngineError::invalid("no image is named to be saved"));
    }
    engine.containerd.linked().await?;
    let request = SaveRequest { names, platform, owner: engine.id.clone() };
    let saving = corten_images::save(&engine.catalog, &request).await?;
    for id in &saving.ids {
        super::announce(engine, "save", id.as_str(), id.as_str());
    }
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    // A task of its own: a client that leaves must not keep the lease.
    tokio::spawn(saving.write(sender));
    let next = |mut receiver: mpsc::Receiver<_>| async { receiver.recv().await.map(|piece| (piece, receiver)) };
    Ok(Box::pin(stream::unfold(receiver, next)))
}
