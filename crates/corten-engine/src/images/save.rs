//! `GET /images/get` and `GET /images/{name}/get`.

use std::io;

use bytes::{Bytes, BytesMut};
use corten_containerd_api::{ApiError, Client};
use corten_images::{Platform, SaveRequest};
use corten_proto::any;
use corten_proto::containerd::types::transfer::{ImageExportStream, ImageReference, ImageStore, Progress};
use futures_util::stream;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::handover::{self, Pipe};
use crate::containerd::abilities::Ability;
use crate::containerd::registry::described;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::http::answer::Chunks;

/// Pieces of the archive that may wait for a slow client: at most as many MiB.
const PIECES_WAITING: usize = 4;
/// Most bytes that are taken out of the pipe at once.
const PIECE: usize = 256 << 10;

type Pieces = mpsc::Sender<io::Result<Bytes>>;

/// The archive of the images `names`, produced while it is sent.
///
/// # Errors
/// 404 when one is not there, before anything is sent.
pub async fn save(engine: &Engine, names: Vec<String>, platform: Option<Platform>) -> Result<Chunks> {
    if names.is_empty() {
        return Err(EngineError::invalid("no image is named to be saved"));
    }
    engine.containerd.linked().await?;
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let ids = match engine.containerd.has(Ability::Saves) {
        true => save_there(engine, names, platform, sender).await?,
        false => save_here(engine, names, platform, sender).await?,
    };
    for id in &ids {
        super::announce(engine, "save", id, id);
    }
    let next = |mut receiver: mpsc::Receiver<_>| async { receiver.recv().await.map(|piece| (piece, receiver)) };
    Ok(Box::pin(stream::unfold(receiver, next)))
}

/// Begins to save in this process, from any containerd; the ids of what is saved.
async fn save_here(
    engine: &Engine,
    names: Vec<String>,
    platform: Option<Platform>,
    sender: Pieces,
) -> Result<Vec<String>> {
    let request = SaveRequest::new(names, platform, &engine.id);
    let saving = corten_images::save(&engine.catalog, &request).await?;
    let ids = saving.ids.iter().map(ToString::to_string).collect();
    // A task of its own: a client that leaves must not keep the lease.
    tokio::spawn(saving.write(sender));
    Ok(ids)
}

/// Has our supervisor begin to save into a pipe; the ids of what is saved.
async fn save_there(
    engine: &Engine,
    names: Vec<String>,
    platform: Option<Platform>,
    sender: Pieces,
) -> Result<Vec<String>> {
    let client = engine.containerd.client().clone();
    let pipe = Pipe::new(&client).await?;
    let named = |name| ImageReference { name, ..ImageReference::default() };
    let source = ImageStore { extra_references: names.into_iter().map(named).collect(), ..ImageStore::default() };
    let platforms = platform.map(described).into_iter().collect();
    let (begun, begins) = oneshot::channel();
    // A task of its own: the archive goes on after this returns, as long as it is taken.
    tokio::spawn(async move { carry(&client, &source, platforms, pipe, begun, sender).await });
    let gone = |_| EngineError::internal("save the image: the transfer ended without an answer");
    begins.await.map_err(gone)?
}

type Begun = oneshot::Sender<Result<Vec<String>>>;

/// Carries an archive from the supervisor's pipe to `sender` until it ends, fails or is not taken any more.
async fn carry(
    client: &Client,
    source: &ImageStore,
    platforms: Vec<corten_proto::containerd::types::Platform>,
    pipe: Pipe,
    begun: Begun,
    sender: Pieces,
) {
    let Pipe { read, write, stream } = pipe;
    let receiver = match pipe::Receiver::from_owned_fd(read) {
        Ok(receiver) => receiver,
        // Who waits for the beginning is still there: nothing was awaited.
        Err(error) => return drop(begun.send(Err(handover::failed(error)))),
    };
    let destination = ImageExportStream {
        stream: stream.id.clone(),
        platforms,
        corten_pipe: handover::path(&write),
        ..ImageExportStream::default()
    };
    let mut beginning = Beginning { begun: Some(begun), write: Some(write), ids: Vec::new() };
    let transferred = {
        let told = |progress| beginning.take(progress);
        let mut transfer = std::pin::pin!(client.transfer(any::pack(source), any::pack(&destination), told));
        let mut pump = std::pin::pin!(pump(receiver, &sender));
        tokio::select! {
            transferred = &mut transfer => match transferred {
                // All of it is in the pipe, which nobody writes to any more.
                Ok(()) => {
                    pump.await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            pumped = &mut pump => match pumped {
                Pumped::ToTheEnd => transfer.await,
                // The pipe breaks, and the transfer with it.
                Pumped::NotTaken => Ok(()),
            },
        }
    };
    if let Err(error) = transferred {
        beginning.fail(error, &sender).await;
    }
}

/// What is waited for before the first byte is sent.
struct Beginning {
    begun: Option<Begun>,
    /// Ours is closed once the supervisor has its own, so that the pipe ends with the archive.
    write: Option<std::os::fd::OwnedFd>,
    ids: Vec<String>,
}

impl Beginning {
    fn take(&mut self, progress: Progress) {
        match progress.event.as_str() {
            "saving" => self.ids.push(progress.corten_id),
            "Exporting" => {
                self.write = None;
                if let Some(begun) = self.begun.take() {
                    // Who asked may have left.
                    let _ = begun.send(Ok(std::mem::take(&mut self.ids)));
                }
            }
            _ => {}
        }
    }

    /// The refusal where nothing was sent, or else the archive breaks off.
    async fn fail(self, error: ApiError, sender: &Pieces) {
        // Who asked may have left.
        match self.begun {
            Some(begun) => drop(begun.send(Err(error.into()))),
            None => drop(sender.send(Err(io::Error::other(error))).await),
        }
    }
}

enum Pumped {
    ToTheEnd,
    NotTaken,
}

async fn pump(mut pipe: pipe::Receiver, sender: &Pieces) -> Pumped {
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = tokio::select! {
            read = pipe.read_buf(&mut piece) => read,
            () = sender.closed() => return Pumped::NotTaken,
        };
        // A pipe that cannot be read has an end; the transfer says what it is worth.
        if read.unwrap_or(0) == 0 {
            return Pumped::ToTheEnd;
        }
        if sender.send(Ok(piece.freeze())).await.is_err() {
            return Pumped::NotTaken;
        }
    }
}
