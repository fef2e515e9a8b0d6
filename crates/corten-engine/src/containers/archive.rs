//! `docker cp`: what a path in a container is, its files as an archive, and an archive into a directory.
//!
//! Paths are the container's own: resolved by the kernel below its root, whatever its processes make of them meanwhile.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use corten_docker_api::containers::{FileMode, PathStat};
use corten_layers::archive::ArchiveError;
use corten_layers::codec::Decoder;
use corten_layers::extract::{self, Destination, ExtractError, Links, Owner, Replace, Rules};
use corten_layers::pack::{PackError, Packer};
use corten_sys::at::{self, FileType, Stat};
use corten_sys::handle;
use corten_sys::openat2::InRootfs;
use corten_types::error::chain;
use hyper::body::Incoming;

use super::outgoing::{self, Archive, Outgoing, STALLED_AFTER};
use super::{Container, View, check};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::errors::{EngineError, Result};
use crate::events::Kind;
use crate::images::body;
use crate::spec::{self, user};
use crate::trees;

/// What is sent at once.
const PIECE_BYTES: usize = 128 * 1024;

/// Most bytes read of `/etc/passwd` and `/etc/group`.
const ACCOUNT_FILE_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// How an archive is put into a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// Whether a directory and something else may take each other's place.
    pub replaces_directories: bool,
    /// Whether all files become the container's user's.
    pub to_user: bool,
}

/// What `path` is; of a link, the link.
///
/// # Errors
/// 404 for an unknown container or path.
pub async fn stat(engine: &Arc<Engine>, wanted: &str, path: &str) -> Result<PathStat> {
    let container = find(engine, wanted, path).await?;
    let (wanted, path) = (wanted.to_owned(), path.to_owned());
    let look = move |root: BorrowedFd<'_>| look_at(root, &path).map_err(|error| refusal(error, &wanted, &path));
    trees::with(engine, &container, look).await
}

/// What `path` is, and it with all below it as an archive.
///
/// # Errors
/// 404 for an unknown container or path; what goes wrong later breaks the archive off.
pub async fn get(engine: &Arc<Engine>, wanted: &str, path: &str) -> Result<(PathStat, Archive)> {
    let container = find(engine, wanted, path).await?;
    let (engine, wanted, path) = (Arc::clone(engine), wanted.to_owned(), path.to_owned());
    outgoing::send(async move |mut out: Outgoing| {
        let announcer = (Arc::clone(&engine), Arc::clone(&container));
        let work = move |root: BorrowedFd<'_>| {
            let stat = look_at(root, &path).map_err(|error| refusal(error, &wanted, &path))?;
            let (engine, container) = announcer;
            announce(&engine, &container, "archive-path");
            out.begin(stat).map_err(stopped)?;
            pack(root, &path, out)
        };
        trees::with(&engine, &container, work).await
    })
    .await
}

/// Writes the archive in `body`, compressed or not, into the directory `path`.
///
/// # Errors
/// 404 for an unknown container or path, 400 when it is no directory or cannot be written.
pub async fn put(engine: &Arc<Engine>, wanted: &str, path: &str, options: PutOptions, body: Incoming) -> Result<()> {
    let container = match find(engine, wanted, path).await {
        Ok(container) => container,
        Err(error) => {
            body::discard(body).await;
            return Err(error);
        }
    };
    let (wanted, path) = (wanted.to_owned(), path.to_owned());
    let view = container.view();
    let written = body::with_archive_within(body, STALLED_AFTER, |archive| {
        trees::with(engine, &container, move |root| {
            let archive =
                Decoder::new(archive).map_err(|error| EngineError::invalid("read the archive").caused_by(error))?;
            let directory = destination(root, &view, &path).map_err(|error| refusal(error, &wanted, &path))?;
            let owner = if options.to_user { owner(root, &view)? } else { Owner::Archived };
            let replace = if options.replaces_directories { Replace::Any } else { Replace::SameKind };
            let to = Destination { root, path: directory.as_bytes(), links: Links::Follow };
            let rules = Rules { replace, owner, rename: &|name| name };
            extract::extract(archive, to, rules).map_err(not_extracted)
        })
    });
    written.await?;
    announce(engine, &container, "extract-to-dir");
    Ok(())
}

async fn find(engine: &Engine, wanted: &str, path: &str) -> Result<Arc<Container>> {
    let container = engine.containers.find(wanted)?;
    if path.is_empty() {
        return Err(EngineError::invalid("bad parameter: path cannot be empty"));
    }
    if path.contains('\0') {
        return Err(EngineError::invalid("bad parameter: path holds a NUL byte"));
    }
    engine.containerd.linked().await?;
    Ok(container)
}

fn announce(engine: &Engine, container: &Container, action: &str) {
    engine.events.publish(Kind::Container, action, &container.id, container.view().record.event_attributes());
}

/// What kept a path from being used.
enum PathError {
    /// Docker refuses it in these words.
    Refused(&'static str),
    /// The kernel does.
    Io(io::Error),
}

impl From<io::Error> for PathError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn refusal(error: PathError, wanted: &str, path: &str) -> EngineError {
    match error {
        PathError::Refused(text) => EngineError::invalid(text),
        PathError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            EngineError::not_found(format!("Could not find the file {path} in container {wanted}"))
        }
        PathError::Io(error) => {
            EngineError::internal(format!("use the path {path} of container {wanted}")).caused_by(error)
        }
    }
}

/// Absolute and clean, but for a slash or dot at its end, which ask for a directory.
fn absolute(path: &str) -> String {
    let clean = spec::clean(path);
    match path.rsplit('/').next() {
        Some("." | "..") if clean == "/" => "/.".to_owned(),
        Some(".") => format!("{clean}/."),
        Some("") if clean != "/" => format!("{clean}/"),
        _ => clean,
    }
}

fn look_at(root: BorrowedFd<'_>, path: &str) -> std::result::Result<PathStat, PathError> {
    let path = absolute(path);
    let found = handle::open_in_root(root, &InRootfs::new(&path)?)?;
    let stat = at::fstat(found.as_fd())?;
    let is_link = stat.file_type == FileType::Symlink;
    let (seconds, nanoseconds) = stat.mtime;
    let mtime = seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanoseconds));
    Ok(PathStat {
        name: trees::last_component(&path).to_owned(),
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: FileMode::from_posix(posix_mode(&stat)),
        mtime: Moment::from_nanos(mtime).to_string(),
        link_target: if is_link { trees::follow(root, &path)? } else { String::new() },
    })
}

fn posix_mode(stat: &Stat) -> u32 {
    let kind = match stat.file_type {
        FileType::Regular => 0o100_000,
        FileType::Directory => 0o040_000,
        FileType::Symlink => 0o120_000,
        FileType::CharDevice => 0o020_000,
        FileType::BlockDevice => 0o060_000,
        FileType::Fifo => 0o010_000,
        FileType::Socket => 0o140_000,
    };
    kind | stat.mode
}

/// Sends what `path` is, under the name of its last component.
fn pack(root: BorrowedFd<'_>, path: &str, out: Outgoing) -> Result<()> {
    let path = absolute(path);
    let name = match trees::last_component(&path) {
        "/" => "",
        name => name,
    };
    let mut packer = Packer::new(io::BufWriter::with_capacity(PIECE_BYTES, out));
    let added = || {
        let found = handle::open_in_root(root, &InRootfs::new(&path)?)?;
        if at::fstat(found.as_fd())?.file_type == FileType::Directory {
            return Ok::<_, io::Error>((found, ".".into()));
        }
        // What is no directory is reached by its name in its directory.
        let (parent, last) = path.rsplit_once('/').unwrap_or(("", &path));
        Ok((handle::open_in_root(root, &InRootfs::new(format!("{parent}/"))?)?, last.into()))
    };
    let (directory, last): (_, std::ffi::OsString) =
        added().map_err(|error| EngineError::internal(format!("open {path}")).caused_by(error))?;
    let packed = packer.add(directory.as_fd(), &last, name.as_bytes());
    let finished = packed.and_then(|()| packer.finish()).and_then(|mut out| out.flush().map_err(PackError::Write));
    finished.map_err(|error| EngineError::internal(format!("archive {path}")).caused_by(error))
}

/// The directory that an archive goes to, every link followed.
fn destination(root: BorrowedFd<'_>, view: &View, path: &str) -> std::result::Result<String, PathError> {
    let path = trees::follow(root, path)?;
    let found = handle::open_in_root(root, &InRootfs::new(&path)?)?;
    if at::fstat(found.as_fd())?.file_type != FileType::Directory {
        return Err(PathError::Refused("extraction point is not a directory"));
    }
    let mounts = check::mounts(&view.record.host_config).unwrap_or_default();
    let is_below = |target: &str| path == target || path.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'));
    // The deepest mount counts, and they are sorted so.
    match mounts.iter().rfind(|mount| is_below(&mount.target)) {
        Some(mount) if mount.read_only => Err(PathError::Refused("mounted volume is marked read-only")),
        None if view.record.host_config.readonly_rootfs => {
            Err(PathError::Refused("container rootfs is marked read-only"))
        }
        _ => Ok(path),
    }
}

/// The container's user, as its own files have it.
fn owner(root: BorrowedFd<'_>, view: &View) -> Result<Owner> {
    if view.record.config.user.is_empty() {
        return Ok(Owner::Archived);
    }
    let read = |path: &str| {
        let content = trees::read_file(root, path, ACCOUNT_FILE_LIMIT_BYTES);
        let while_reading = |error| EngineError::internal(format!("read the container's {path}")).caused_by(error);
        content.map(Option::unwrap_or_default).map_err(while_reading)
    };
    let user = user::resolve(&view.record.config.user, &[], &read("/etc/passwd")?, &read("/etc/group")?)?;
    Ok(Owner::Fixed(user.uid, user.gid))
}

fn not_extracted(error: ExtractError) -> EngineError {
    match error {
        // Docker answers 500 to these, too.
        ExtractError::OverDirectory { .. } | ExtractError::OverFile { .. } => EngineError::internal(chain(&error)),
        // A hard link to what is not there.
        ExtractError::Write { ref source, .. } if source.kind() == io::ErrorKind::NotFound => {
            EngineError::not_found("extract the archive").caused_by(error)
        }
        ExtractError::Archive(ArchiveError::Read(_)) | ExtractError::Write { .. } => {
            EngineError::internal("extract the archive").caused_by(error)
        }
        _ => EngineError::invalid("extract the archive").caused_by(error),
    }
}

fn stopped(error: io::Error) -> EngineError {
    EngineError::internal("send the archive").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_link_to_what_is_not_there_is_not_found_as_docker_says() {
        let refused = |kind: io::ErrorKind| {
            let error = ExtractError::Write { operation: "link", path: "/b".to_owned(), source: kind.into() };
            not_extracted(error).kind().http_status()
        };
        assert_eq!((refused(io::ErrorKind::NotFound), refused(io::ErrorKind::PermissionDenied)), (404, 500));
    }

    #[test]
    fn a_slash_or_a_dot_at_the_end_stays() {
        for (path, expected) in [
            ("a", "/a"),
            ("/a/../b", "/b"),
            ("/a/", "/a/"),
            ("/a/.", "/a/."),
            ("/", "/"),
            ("/.", "/."),
            ("../..", "/."),
            ("a//b/./", "/a/b/"),
        ] {
            assert_eq!(absolute(path), expected, "{path}");
        }
    }
}
