//! Writing a layer into a directory (image-spec layer.md, "Applying Changesets").
//!
//! Entries are applied in order. For overlayfs the directory is an upper directory and whiteouts become what the
//! kernel reads as such; for a plain directory they remove what was there before the layer. Nothing is ever written
//! outside: see [`crate::tree`]. What a failed apply leaves in the directory is the caller's to remove with it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use corten_sys::at;
use corten_types::{Digest, ErrorKind};

use crate::archive::{Archive, ArchiveError};
use crate::codec::Codec;
use crate::name::NameError;
use crate::pipe::{self, Compressed};
use crate::tree::Tree;

pub(crate) mod writer;

use writer::Writer;

/// How the directory is used later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As one layer of an overlay: whiteouts become devices 0:0 and opaque attributes.
    Overlay,
    /// As one layer of an overlay whose lower ones are not known yet: as [`Form::Overlay`], but an archive that needs
    /// something of a layer below, the directory of a file or the target of a hard link, is refused as
    /// [`ApplyError::NeedsLower`].
    Staged,
    /// On its own: it already holds what lies below, and whiteouts remove from it.
    Plain,
}

/// The option of a bind mount that asks for [`Form::Staged`].
const STAGED: &str = "x-corten.staged";

/// Where a layer goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// The directory written into.
    pub dir: PathBuf,
    /// Directories of the layers below, topmost first; only for [`Form::Overlay`].
    pub lowers: Vec<PathBuf>,
    /// What whiteouts become.
    pub form: Form,
}

impl Target {
    /// The upper directory `dir` over `lowers`, topmost first.
    pub fn overlay(dir: impl Into<PathBuf>, lowers: Vec<PathBuf>) -> Self {
        Self { dir: dir.into(), lowers, form: Form::Overlay }
    }

    /// The layer directory `dir`, to be put on others later.
    pub fn staged(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), lowers: Vec::new(), form: Form::Staged }
    }

    /// The directory `dir` on its own.
    pub fn plain(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), lowers: Vec::new(), form: Form::Plain }
    }

    /// The target behind mounts as a snapshotter gives them: the upper directory of an overlay, or a bind's source.
    ///
    /// # Errors
    /// What kind of mount a layer cannot be written through.
    pub fn from_mount(kind: &str, source: &str, options: &[String]) -> Result<Self, String> {
        let option = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
        match kind {
            "overlay" => {
                let upper = option("upperdir=").ok_or("an overlay without upperdir is read-only")?;
                let lowers = option("lowerdir=").unwrap_or_default();
                let lowers = lowers.split(':').filter(|lower| !lower.is_empty()).map(PathBuf::from).collect();
                Ok(Self::overlay(upper, lowers))
            }
            "bind" if options.iter().any(|option| option == "ro") => Err("the bind mount is read-only".to_owned()),
            "bind" if options.iter().any(|option| option == STAGED) => Ok(Self::staged(source)),
            "bind" => Ok(Self::plain(source)),
            other => Err(format!("a mount of type {other:?}: not supported yet")),
        }
    }
}

/// What was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Size of the uncompressed archive.
    pub size: u64,
    /// Digest of the stream as given.
    pub compressed: Digest,
    /// Size of the stream as given.
    pub compressed_size: u64,
    /// How the stream was compressed.
    pub codec: Codec,
    /// Number of entries written.
    pub entries: u64,
}

/// Why a layer was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The directory or one below it cannot be opened.
    #[error("open layer directory {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive itself is bad.
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
    /// The target of a hard link cannot be used.
    #[error("archive entry {number} {path:?}: hard link to {target:?}: {why}")]
    HardLink {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// What it links to.
        target: String,
        /// Why.
        why: String,
    },
    /// An entry would make something a layer must not hold.
    #[error("archive entry {number} {path:?}: {why}")]
    Refused {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// A layer that is unpacked on its own cannot be.
    #[error("archive entry {number} {path:?} needs what lies in a layer below")]
    NeedsLower {
        /// Number of the entry.
        number: u64,
        /// Its name.
        path: String,
    },
    /// The archive is over a bound.
    #[error("archive has {what}")]
    Bound {
        /// Which bound.
        what: String,
    },
    /// The kernel refused.
    #[error("{operation} {path:?}")]
    Write {
        /// What was being done.
        operation: &'static str,
        /// To which entry.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl ApplyError {
    /// The archive's fault or the machine's.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Archive(ArchiveError::Read(source)) => match source.kind() {
                // What decompressors answer to damaged input.
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                    ErrorKind::InvalidArgument
                }
                io::ErrorKind::Unsupported => ErrorKind::Unimplemented,
                _ => ErrorKind::Unknown,
            },
            Self::Archive(_)
            | Self::Name { .. }
            | Self::HardLink { .. }
            | Self::Refused { .. }
            | Self::Bound { .. } => ErrorKind::InvalidArgument,
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
                io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidFilename
                | io::ErrorKind::FileTooLarge => ErrorKind::InvalidArgument,
                _ => ErrorKind::Unknown,
            },
            Self::NeedsLower { .. } => ErrorKind::FailedPrecondition,
            Self::Open { .. } => ErrorKind::Unknown,
        }
    }
}

/// Writes the layer in `reader`, an archive compressed or not, into `target`.
///
/// The stream is read to its end, so that the digests cover all of it. Memory stays under 16 MiB whatever the
/// layer's size, but for what it takes to remember directories.
///
/// # Errors
/// [`ApplyError`]; the directory then holds a part of the layer.
pub fn apply(reader: impl Read + Send, target: &Target) -> Result<Applied, ApplyError> {
    apply_stream(reader, Compressed::Hashed, target)
}

/// As [`apply`], for a stream whose digest somebody else makes: `digest` tells it once the stream was read to its end.
///
/// # Errors
/// As [`apply`], and what `digest` answers.
pub fn apply_known(
    reader: impl Read + Send,
    digest: &(dyn Fn() -> io::Result<Digest> + Sync),
    target: &Target,
) -> Result<Applied, ApplyError> {
    apply_stream(reader, Compressed::Known(digest), target)
}

fn apply_stream(reader: impl Read + Send, compressed: Compressed<'_>, target: &Target) -> Result<Applied, ApplyError> {
    let tree = Tree::open(&target.dir, &target.lowers).map_err(|(path, source)| ApplyError::Open { path, source })?;
    // In an empty directory there is nothing to remove, so no name has to be remembered for it.
    let is_empty = at::read_dir(tree.root()).is_ok_and(|names| names.is_empty());
    let form = if is_empty && target.form == Form::Plain { Form::Overlay } else { target.form };
    let (entries, streamed) = pipe::run(reader, compressed, |stream| {
        let mut writer = Writer::new(tree, form);
        let mut archive = Archive::new(stream);
        while let Some(entry) = archive.next_entry()? {
            writer.write(&entry, &mut archive)?;
        }
        archive.drain()?;
        writer.finish()
    })?;
    let streamed = streamed
        .ok_or_else(|| ApplyError::Archive(ArchiveError::Read(io::Error::from(io::ErrorKind::UnexpectedEof))))?;
    Ok(Applied {
        diff_id: streamed.diff_id,
        size: streamed.size,
        compressed: streamed.compressed,
        compressed_size: streamed.compressed_size,
        codec: streamed.codec,
        entries,
    })
}

/// Writes a layer into `dir` on its own: [`apply`] for tests and for callers without layers below.
///
/// # Errors
/// As [`apply`].
pub fn apply_plain(reader: impl Read + Send, dir: &Path) -> Result<Applied, ApplyError> {
    apply(reader, &Target::plain(dir))
}

#[cfg(test)]
mod tests;
