//! `docker export`: a container's root filesystem as an archive, without what is mounted in it.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use corten_docker_api::containers::PathStat;
use corten_layers::pack::{PackError, Packer};
use corten_sys::{at, handle};

use super::outgoing::{self, Archive, Outgoing};
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::trees;

/// What is sent at once.
const PIECE_BYTES: usize = 128 * 1024;

/// Begins an export.
///
/// # Errors
/// 404; 409 when the container is being removed. What goes wrong later breaks the archive off.
pub async fn export(engine: &Arc<Engine>, wanted: &str) -> Result<Archive> {
    let container = engine.containers.find(wanted)?;
    engine.containerd.linked().await?;
    let engine = Arc::clone(engine);
    let sending = outgoing::send(async move |mut out: Outgoing| {
        let work = move |root: BorrowedFd<'_>| {
            out.begin(PathStat::default()).map_err(stopped)?;
            pack(root, out)
        };
        trees::with_bare(&engine, &container, work).await?;
        engine.events.publish(Kind::Container, "export", &container.id, container.view().record.event_attributes());
        Ok(())
    });
    sending.await.map(|(_, archive)| archive)
}

fn pack(root: BorrowedFd<'_>, out: Outgoing) -> Result<()> {
    let listed = handle::open_dir(root).and_then(|directory| Ok((at::read_dir(directory.as_fd())?, directory)));
    let (mut names, directory) =
        listed.map_err(|error| EngineError::internal("list the root filesystem").caused_by(error))?;
    names.sort_unstable();
    let mut packer = Packer::new(io::BufWriter::with_capacity(PIECE_BYTES, out));
    let packed = names.iter().try_for_each(|name| packer.add(directory.as_fd(), OsStr::new(name), name.as_bytes()));
    let finished = packed.and_then(|()| packer.finish()).and_then(|mut out| out.flush().map_err(PackError::Write));
    finished.map_err(|error| EngineError::internal("export the root filesystem").caused_by(error))
}

fn stopped(error: io::Error) -> EngineError {
    EngineError::internal("send the archive").caused_by(error)
}
