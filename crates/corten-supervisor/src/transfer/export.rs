//! Images as an archive that the client takes.

use bytes::Bytes;
use corten_images::{
    Catalog, Platform, SaveRequest,
    save::{Extent, LeftOut},
};
use corten_proto::containerd::types::transfer::{ImageExportStream, ImageStore, Progress};
use corten_types::error::chain;
use tokio::{io::AsyncWriteExt, net::unix::pipe, sync::mpsc};

use super::{progress::Teller, pull};
use crate::{
    error::{Error, Result},
    local::LocalStore,
    streams::{Stream, bytes::StreamWriter, pipe::open_writer},
};

/// Pieces of the archive that may wait for a slow client: at most as many MiB.
const PIECES_WAITING: usize = 4;

/// Writes the images that `source` names to `stream`: an OCI layout that docker reads, too.
///
/// # Errors
/// `NotFound` for a name nothing has, before anything is written.
pub async fn export(
    local: LocalStore,
    source: &ImageStore,
    destination: &ImageExportStream,
    stream: Stream,
    teller: &Teller,
) -> Result<()> {
    if let Some(prefix) = source.extra_references.iter().find(|reference| reference.is_prefix) {
        return Err(Error::unimplemented(format!("export of the names that start with {:?}", prefix.name)));
    }
    let others = source.extra_references.iter().map(|reference| reference.name.clone());
    let names = Some(source.name.clone()).filter(|name| !name.is_empty()).into_iter().chain(others).collect();
    let left_out = LeftOut {
        docker_manifest: destination.skip_compatibility_manifest,
        foreign_layers: destination.skip_non_distributable,
    };
    let request = SaveRequest { names, extent: extent(destination), left_out, owner: super::OWNER.to_owned() };
    // Only our engine has a pipe, which is gone when it died meanwhile.
    let mut writer = match destination.corten_pipe.as_str() {
        "" => Writer::Stream(Box::new(StreamWriter::new(stream))),
        path => Writer::Pipe(open_writer(path)?),
    };
    let saving = corten_images::save(&Catalog::new(local), &request).await;
    let saving = saving.map_err(|error| Error::new(error.kind(), chain(&error)))?;
    // It wants to know what is in the archive before it comes.
    for id in &saving.ids {
        let corten_id = id.to_string();
        teller.tell_surely(&Progress { event: "saving".to_owned(), corten_id, ..Progress::default() }).await;
    }
    teller.tell_surely(&Progress { event: "Exporting".to_owned(), ..Progress::default() }).await;
    let (sender, mut pieces) = mpsc::channel(PIECES_WAITING);
    let writing = tokio::spawn(saving.write(sender));
    let sent = async {
        while let Some(piece) = pieces.recv().await {
            writer.send(piece?).await?;
        }
        Ok(())
    };
    let sent: std::io::Result<()> = sent.await;
    drop(pieces);
    // Ends by itself when nobody takes its pieces, and settles what it kept.
    let _ = writing.await;
    sent.map_err(|error| Error::io("write the archive", &error))?;
    // The pipe ends before the answer says that it is whole.
    drop(writer);
    teller.event("Completed export");
    Ok(())
}

/// How much a client wants: docker's meaning of platforms is our engine's, which has a pipe.
fn extent(destination: &ImageExportStream) -> Extent {
    let mut platforms: Vec<Platform> = destination.platforms.iter().map(pull::platform).collect();
    match (destination.all_platforms, platforms.len()) {
        (true, _) => Extent::All,
        (false, 0) => Extent::Here,
        (false, 1) if !destination.corten_pipe.is_empty() => Extent::Only(platforms.remove(0)),
        (false, _) => Extent::Of(platforms),
    }
}

/// Where an archive goes.
enum Writer {
    Stream(Box<StreamWriter>),
    Pipe(pipe::Sender),
}

impl Writer {
    async fn send(&mut self, piece: Bytes) -> std::io::Result<()> {
        match self {
            Self::Stream(stream) => stream.send(piece).await,
            Self::Pipe(pipe) => pipe.write_all(&piece).await,
        }
    }
}
