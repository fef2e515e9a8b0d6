//! What an archive of images holds: blobs go to the store as they come, the few files that explain them are kept.
//!
//! Two layouts, of which an archive may have both (docker save since 25): OCI's (`oci-layout`, `index.json`,
//! `blobs/…`) and docker's (`manifest.json`, which names configurations and layers by path).

use std::collections::{HashMap, VecDeque};
use std::io::Read;

use bytes::Bytes;
use corten_containerd_api::{ApiError, Store};
use corten_layers::archive::{Archive, ArchiveError, Entry, Kind};
use corten_layers::codec::Codec;
use corten_layers::name::{Name, NameError};
use corten_types::{Digest, ErrorKind};

use crate::ingest::{Upload, Uploader};
use crate::manifest::MANIFEST_MAX;
use crate::staging::Staging;

/// Most files of an archive: an image has at most 1024 layers with three files each in the oldest layout.
const FILES_MAX: usize = 65_536;
/// Links from one layer's place to another's that are followed: docker writes one.
const LINKS_MAX: usize = 8;
/// Blobs that may be on their way to the disk while the next one is read.
const STORING_MAX: usize = 4;

/// A blob of the archive, in the store now.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub digest: Digest,
    pub size: u64,
    pub codec: Codec,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Archived {
    pub layout: Option<Bytes>,
    pub index: Option<Bytes>,
    pub manifest: Option<Bytes>,
    blobs: HashMap<Name, Blob>,
    links: HashMap<Name, Name>,
}

/// Why an archive of images could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchivedError {
    /// It is no archive, or a broken one.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry's name cannot be used.
    #[error("archive entry {number} {path:?}")]
    Name {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// Why.
        source: NameError,
    },
    /// An entry is something an archive of images cannot hold.
    #[error("archive entry {number} {path:?}: {why}")]
    Refused {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// Why.
        why: String,
    },
    /// A blob could not be stored, or is not what its name says.
    #[error("store {path:?}")]
    Store {
        /// Its name.
        path: String,
        /// Why.
        source: ApiError,
    },
}

impl ArchivedError {
    /// What went wrong, for the edge.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Archive(ArchiveError::Read(source)) => match source.kind() {
                std::io::ErrorKind::ConnectionAborted => ErrorKind::Canceled,
                std::io::ErrorKind::Unsupported => ErrorKind::Unimplemented,
                _ => ErrorKind::InvalidArgument,
            },
            Self::Archive(_) | Self::Name { .. } | Self::Refused { .. } => ErrorKind::InvalidArgument,
            // A digest or size that differs from what the archive states.
            Self::Store { source, .. } if source.kind() == ErrorKind::FailedPrecondition => ErrorKind::InvalidArgument,
            Self::Store { source, .. } => source.kind(),
        }
    }
}

impl Archived {
    /// The blob at `path`, through links of the archive.
    pub(crate) fn blob(&self, path: &str) -> Option<&Blob> {
        let mut name = Name::clean(path.as_bytes()).ok()?;
        for _ in 0..LINKS_MAX {
            if let Some(blob) = self.blobs.get(&name) {
                return Some(blob);
            }
            name = self.links.get(&name)?.clone();
        }
        None
    }
}

/// Reads the archive to its end, putting every blob into the store, and has what looks like a layer unpacked as it comes.
/// Runs in a thread that may block. Nothing is written any more when it returns, but by `staging`.
pub(crate) fn read<S: Store>(
    input: impl Read,
    uploader: &mut Uploader<S>,
    staging: &mut Staging<S>,
) -> Result<Archived, ArchivedError> {
    let mut found = Archived::default();
    let mut storing = Storing { uploader, staging, underway: VecDeque::new() };
    let read = read_entries(input, &mut storing, &mut found);
    let stored = storing.settle(&mut found, 0);
    read.and(stored).map(|()| found)
}

fn read_entries<S: Store>(
    input: impl Read,
    storing: &mut Storing<'_, S>,
    found: &mut Archived,
) -> Result<(), ArchivedError> {
    let mut archive = Archive::new(input);
    while let Some(entry) = archive.next_entry()? {
        if found.blobs.len() + found.links.len() >= FILES_MAX {
            return Err(refused(&entry, format!("the archive has more than {FILES_MAX} files")));
        }
        let name = Name::clean(&entry.path).map_err(|source| named(&entry, source))?;
        match entry.kind {
            Kind::Directory => {}
            Kind::File => file(name, &entry, &mut archive, storing, found)?,
            Kind::Symlink | Kind::HardLink => {
                let target = link_target(&name, &entry).map_err(|source| named(&entry, source))?;
                found.links.insert(name, target);
            }
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                return Err(refused(&entry, "an archive of images holds no devices or pipes".to_owned()));
            }
        }
    }
    Ok(archive.drain()?)
}

fn named(entry: &Entry, source: NameError) -> ArchivedError {
    ArchivedError::Name { number: entry.number, path: entry.name(), source }
}

fn refused(entry: &Entry, why: String) -> ArchivedError {
    ArchivedError::Refused { number: entry.number, path: entry.name(), why }
}

/// Where a link leads, as a name of the archive: a symbolic link is relative to its directory.
fn link_target(name: &Name, entry: &Entry) -> Result<Name, NameError> {
    if entry.kind == Kind::HardLink || entry.link.starts_with(b"/") {
        return Name::clean(&entry.link);
    }
    let parent = name.split().map_or_else(Name::root, |(parent, _)| parent);
    Name::clean(&[parent.as_bytes(), b"/", &entry.link].concat())
}

fn file<S: Store>(
    name: Name,
    entry: &Entry,
    archive: &mut Archive<impl Read>,
    storing: &mut Storing<'_, S>,
    found: &mut Archived,
) -> Result<(), ArchivedError> {
    if entry.segments.is_some() {
        return Err(refused(entry, "a sparse file".to_owned()));
    }
    match name.as_bytes() {
        b"oci-layout" => found.layout = Some(archive.read_all(MANIFEST_MAX)?.into()),
        b"index.json" => found.index = Some(archive.read_all(MANIFEST_MAX)?.into()),
        b"manifest.json" => found.manifest = Some(archive.read_all(MANIFEST_MAX)?.into()),
        // What docker before 1.10 reads; nothing refers to it.
        b"repositories" => {}
        path if path.ends_with(b"/VERSION") || path.ends_with(b"/json") => {}
        _ => {
            storing.settle(found, STORING_MAX - 1)?;
            storing.store(name, entry, archive)?;
        }
    }
    Ok(())
}

/// Blobs on their way into the store.
struct Storing<'a, S: Store> {
    uploader: &'a mut Uploader<S>,
    staging: &'a mut Staging<S>,
    underway: VecDeque<Underway>,
}

/// A blob that was read and is being made durable.
struct Underway {
    name: Name,
    codec: Codec,
    reference: String,
    stored: tokio::task::JoinHandle<Result<(Digest, u64), ApiError>>,
}

impl<S: Store> Storing<'_, S> {
    /// Reads a blob; it is stored when it was [settled](Storing::settle).
    fn store(&mut self, name: Name, entry: &Entry, archive: &mut Archive<impl Read>) -> Result<(), ArchivedError> {
        let failed = |source| ArchivedError::Store { path: name.display(), source };
        let expected = stated_digest(&name).map_err(|why| refused(entry, why))?;
        let mut upload = self.uploader.begin(expected, Some(entry.size)).map_err(failed)?;
        match self.read(&mut upload, archive) {
            Ok(codec) => {
                let reference = upload.reference().to_owned();
                self.underway.push_back(Underway { name, codec, reference, stored: upload.finish_aside() });
                Ok(())
            }
            Err(error) => {
                upload.abort();
                Err(match error {
                    ReadError::Archive(error) => error.into(),
                    ReadError::Store(error) => failed(error),
                })
            }
        }
    }

    fn read(&mut self, upload: &mut Upload<S>, archive: &mut Archive<impl Read>) -> Result<Codec, ReadError> {
        let mut codec = None;
        loop {
            let mut piece = upload.piece();
            piece.fill_with(|space| archive.read_data(space)).map_err(ReadError::Archive)?;
            if codec.is_none() {
                // Compression that is not supported is refused by what unpacks it, by name.
                codec = Some(Codec::detect(&piece).unwrap_or(Codec::Plain));
                if is_layer(&piece)
                    && let Some(arriving) = upload.follow()
                {
                    self.staging.follow(upload.reference(), arriving);
                }
            }
            if piece.is_empty() {
                return Ok(codec.unwrap_or(Codec::Plain));
            }
            upload.append(piece).map_err(ReadError::Store)?;
        }
    }

    /// Waits until at most `left` blobs are on their way; of several that fail the first one tells.
    fn settle(&mut self, found: &mut Archived, left: usize) -> Result<(), ArchivedError> {
        let mut settled = Ok(());
        while self.underway.len() > left {
            let Some(Underway { name, codec, reference, stored }) = self.underway.pop_front() else { break };
            let stored = self
                .uploader
                .runtime()
                .block_on(stored)
                .unwrap_or_else(|_| Err(ApiError::new(ErrorKind::Internal, "the task that stored it panicked")));
            match stored {
                Ok((digest, size)) => {
                    self.staging.is_of(&reference, &digest);
                    found.blobs.insert(name, Blob { digest, size, codec });
                }
                Err(source) if settled.is_ok() => {
                    settled = Err(ArchivedError::Store { path: name.display(), source });
                }
                Err(_) => {}
            }
        }
        settled
    }
}

enum ReadError {
    Archive(ArchiveError),
    Store(ApiError),
}

/// Whether a blob starts as a layer does: compressed, or an archive (POSIX ustar and GNU both say so).
fn is_layer(head: &[u8]) -> bool {
    Codec::detect(head).is_ok_and(|codec| codec != Codec::Plain) || head.get(257..262) == Some(b"ustar")
}

/// The digest that a name under `blobs/` states.
fn stated_digest(name: &Name) -> Result<Option<Digest>, String> {
    let parts: Vec<_> = name.components().map(|part| part.to_string_lossy()).collect();
    match &parts[..] {
        [blobs, algorithm, hex] if blobs == "blobs" => {
            format!("{algorithm}:{hex}").parse().map(Some).map_err(|error| format!("{error}"))
        }
        _ => Ok(None),
    }
}
