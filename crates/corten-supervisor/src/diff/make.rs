//! Making a layer: what a snapshot's mounts show that those below do not, as a blob.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

use corten_layers::diff::{Source, diff};
use corten_proto::containerd::{
    services::diff::v1::DiffRequest,
    types::{Descriptor, Mount},
};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use crate::{
    Supervisor,
    caller::Caller,
    content::{self, Ingest},
    error::{Error, Result},
};

/// Label of a blob: the digest of what it is uncompressed.
const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// What is written when the request does not say.
const DEFAULT_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes the difference of two mounts to the content and answers its descriptor.
///
/// # Errors
/// `Unimplemented` for mounts that are not a snapshot's over its own parent, and for other media types.
pub(super) async fn make(supervisor: &Arc<Supervisor>, caller: Caller, request: DiffRequest) -> Result<Descriptor> {
    let media_type = if request.media_type.is_empty() { DEFAULT_TYPE.to_owned() } else { request.media_type };
    let is_compressed = match media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => true,
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => false,
        other => return Err(Error::unimplemented(format!("unsupported diff media type: {other}"))),
    };
    let source = source(&request.left, &request.right)?;
    let reference = if request.r#ref.is_empty() { random_reference()? } else { request.r#ref };

    let (owner, writer, place) = (supervisor.clone(), caller.namespace.clone(), reference.clone());
    let (blob, size, diff_id, held) = crate::blocking(move || {
        let ingest = Ingest::open(&owner.content, &writer, &place, 0)?;
        let (ingest, diff_id) = write(ingest, &source, is_compressed)
            .map_err(|error| Error::io(format!("write the difference to ingest {place}"), &error))?;
        let (blob, size) = (ingest.digest(), ingest.offset());
        let held = owner.content.hold(&blob);
        let kept = ingest.into_blob(&owner.content, &blob);
        kept.map_err(|error| Error::io(format!("commit ingest {place}"), &error))?;
        Ok((blob, i64::try_from(size)?, diff_id, held))
    })
    .await?;

    let mut labels: HashMap<String, String> = request.labels;
    labels.insert(UNCOMPRESSED.to_owned(), diff_id);
    content::record(supervisor, caller, reference, blob.clone(), size, labels).await?;
    drop(held);
    Ok(Descriptor { media_type, digest: blob, size, ..Descriptor::default() })
}

/// What the layer is made from: the upper directory of an overlay over the left mounts, or, of a
/// snapshot without a parent, its directory against the left one.
fn source(left: &[Mount], right: &[Mount]) -> Result<Source> {
    let strange =
        || Error::unimplemented("the difference of two mounts of which none is the other's parent: not supported yet");
    let [upper] = right else { return Err(strange()) };
    let option = |mount: &Mount, name: &str| {
        mount.options.iter().find_map(|option| option.strip_prefix(name).map(str::to_owned))
    };
    match (upper.r#type.as_str(), option(upper, "upperdir=")) {
        ("overlay", Some(directory)) => {
            let below = option(upper, "lowerdir=").unwrap_or_default();
            let shown = match left {
                [mount] if mount.r#type == "overlay" => option(mount, "lowerdir="),
                [mount] if mount.r#type == "bind" => Some(mount.source.clone()),
                _ => None,
            };
            (shown.as_deref() == Some(&below)).then(|| Source::Upper(directory.into())).ok_or_else(strange)
        }
        ("bind", _) => match left {
            [] => Ok(Source::Trees(None, upper.source.clone().into())),
            [mount] if mount.r#type == "bind" => {
                Ok(Source::Trees(Some(mount.source.clone().into()), upper.source.clone().into()))
            }
            _ => Err(strange()),
        },
        _ => Err(strange()),
    }
}

/// Writes the layer into `ingest`; answers the digest of what it is uncompressed.
fn write(ingest: Ingest, source: &Source, is_compressed: bool) -> io::Result<(Ingest, String)> {
    let mut into = Into { ingest };
    into.ingest.restart()?;
    let made = |result: std::result::Result<(), corten_layers::DiffError>| {
        result.map_err(|error| io::Error::other(corten_types::error::chain(&error)))
    };
    let (into, hash) = if is_compressed {
        let mut hashed = Hashed { hash: Sha256::new(), inner: GzEncoder::new(into, Compression::default()) };
        made(diff(source, &mut hashed))?;
        (hashed.inner.finish()?, hashed.hash)
    } else {
        let mut hashed = Hashed { hash: Sha256::new(), inner: into };
        made(diff(source, &mut hashed))?;
        (hashed.inner, hashed.hash)
    };
    Ok((into.ingest, content::sha256_text(hash)))
}

struct Into {
    ingest: Ingest,
}

impl Write for Into {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ingest.write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Hashed<W> {
    hash: Sha256,
    inner: W,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn random_reference() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("random reference of an ingest: {error}")))?;
    Ok(format!("diff-{:016x}", u64::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, source: &str, options: &[&str]) -> Mount {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Mount { r#type: kind.into(), source: source.into(), options, ..Mount::default() }
    }

    #[test]
    fn a_snapshot_over_its_own_parent_is_its_upper_directory() {
        let right =
            mount("overlay", "overlay", &["index=off", "workdir=/3/work", "upperdir=/3/fs", "lowerdir=/2/fs:/1/fs"]);
        let parent = mount("overlay", "overlay", &["index=off", "lowerdir=/2/fs:/1/fs"]);
        assert!(
            matches!(source(&[parent], std::slice::from_ref(&right)), Ok(Source::Upper(path)) if path.ends_with("3/fs"))
        );
        let other = mount("bind", "/1/fs", &["ro", "rbind"]);
        assert!(source(&[other], &[right]).is_err());
    }

    #[test]
    fn a_snapshot_without_a_parent_is_compared_with_what_is_given() {
        let right = mount("bind", "/3/fs", &["rw", "rbind"]);
        assert!(matches!(source(&[], std::slice::from_ref(&right)), Ok(Source::Trees(None, _))));
        let empty = mount("bind", "/4/fs", &["ro", "rbind"]);
        assert!(matches!(source(&[empty], &[right]), Ok(Source::Trees(Some(_), _))));
    }
}
