//! Applying a layer: a blob is decompressed into the directory behind a snapshot's mounts.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use corten_layers::Target;
use corten_proto::containerd::{
    services::diff::v1::ApplyRequest,
    types::{Descriptor, Mount},
};
use corten_types::Digest;

use crate::{
    Supervisor,
    caller::Caller,
    content::{self, Follower},
    error::{Error, Result},
    snapshots::Applying,
};

/// Media type of what a layer is once it is decompressed.
const UNCOMPRESSED: &str = "application/vnd.oci.image.layer.v1.tar";

/// Writes the layer `request.diff` into the mounts and answers what it is uncompressed; `read` grows by what was read of
/// its blob. Blocks.
pub(crate) fn apply(
    supervisor: &Supervisor,
    caller: &Caller,
    request: &ApplyRequest,
    read: Arc<AtomicU64>,
) -> Result<Descriptor> {
    if let Some(kind) = request.payloads.keys().next() {
        return Err(Error::unimplemented(format!("diff payload for {kind}: not supported yet")));
    }
    let layer = request.diff.as_ref().ok_or_else(|| Error::invalid("diff must be set"))?;
    let _applying = Applying::begin(supervisor);
    let target = target(&request.mounts)?;
    let blob = content::open(supervisor, &caller.namespace, &layer.digest)?;
    // Which layer it was, clients say themselves, as containerd's do.
    let applied = corten_layers::apply(Counted { inner: blob, read }, &target)
        .map_err(|error| Error::new(error.kind(), corten_types::error::chain(&error)))?;
    if applied.compressed.as_str() != layer.digest {
        let found = applied.compressed;
        return Err(Error::precondition(format!("blob {} on disk has digest {found}: it is damaged", layer.digest)));
    }
    Ok(Descriptor {
        media_type: UNCOMPRESSED.to_owned(),
        digest: applied.diff_id.to_string(),
        size: i64::try_from(applied.size)?,
        ..Descriptor::default()
    })
}

/// Writes the layer that `follower` brings into `mounts` while it comes; what it is uncompressed. Blocks until all of
/// it came.
pub(crate) fn apply_arriving(
    supervisor: &Supervisor,
    follower: Follower,
    mounts: &[Mount],
    read: Arc<AtomicU64>,
) -> Result<Digest> {
    let _applying = Applying::begin(supervisor);
    let target = target(mounts)?;
    let arrival = follower.arrival();
    let digest = || {
        let digest = arrival.digest().ok_or_else(|| io::Error::other("its digest is not known"))?;
        digest.parse().map_err(io::Error::other)
    };
    let applied = corten_layers::apply_known(Counted { inner: follower, read }, &digest, &target)
        .map_err(|error| Error::new(error.kind(), corten_types::error::chain(&error)))?;
    Ok(applied.diff_id)
}

/// A reader that says how far it is.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn target(mounts: &[Mount]) -> Result<Target> {
    match mounts {
        [mount] => Target::from_mount(&mount.r#type, &mount.source, &mount.options)
            .map_err(|error| Error::invalid(format!("apply a layer through the given mount: {error}"))),
        _ => Err(Error::unimplemented(format!("apply a layer through {} mounts: not supported yet", mounts.len()))),
    }
}
