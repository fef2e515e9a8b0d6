//! This machine's end of a copy: what is there, packing it, and extracting into it.

use super::{End, base, split, through, with_end_of};
use crate::failure::Failure;
use crate::request::os_error;
use corten_layers::extract::{self, Destination, Links, Owner, Replace, Rules};
use corten_layers::pack::Packer;
use corten_types::error::chain;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread::JoinHandle;

/// Links followed at a destination; docker's number.
const LINKS_MAX: usize = 10;

/// The absolute form of a path given by the user, with its end.
///
/// # Errors
/// When there is no working directory.
pub fn absolute(path: &str) -> Result<String, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::new(os_error("getwd", "", &error)))?;
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", here.display()) };
    Ok(with_end_of(super::clean(&joined), path))
}

/// Refuses what no copy can be written to.
///
/// # Errors
/// Docker's words.
pub fn check_output(path: &str) -> Result<(), Failure> {
    let directory = split(&super::clean(path)).0;
    if !directory.is_empty() && directory != "." && !Path::new(&directory).exists() {
        return Err(Failure::new(format!("invalid output path: directory {directory:?} does not exist")));
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() || there.is_file() => Ok(()),
        Ok(there) => {
            let what = if there.file_type().is_block_device() || there.file_type().is_char_device() {
                ": got a device"
            } else {
                ""
            };
            Err(Failure::new(format!("invalid output path: {path:?} must be a directory or a regular file{what}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new(os_error("stat", path, &error))),
    }
}

#[expect(clippy::disallowed_methods, reason = "a path of the user's own, on the user's own machine")]
fn resolve(path: &str) -> io::Result<String> {
    fs::canonicalize(path).map(|path| path.display().to_string())
}

/// What is to be copied: links on the way are followed, the last only when asked.
///
/// # Errors
/// When it is not there.
pub fn source(path: &str, follows: bool) -> Result<End, Failure> {
    let failed = |path: &str| {
        let path = path.to_owned();
        move |error: io::Error| Failure::new(os_error("lstat", &path, &error))
    };
    let (resolved, rename) = if follows {
        super::followed(path, resolve(path).map_err(failed(path))?)
    } else {
        let (directory, name) = path.rsplit_once('/').map_or(("", path), |(directory, name)| (directory, name));
        let directory = resolve(&format!("{directory}/")).map_err(failed(path))?;
        // Of what is in the root this has two slashes, which docker shows, too.
        let resolved = format!("{directory}/{name}");
        let differs = path.ends_with('/') && base(path) != base(&resolved);
        let rename = if differs { base(path).to_owned() } else { String::new() };
        (resolved, rename)
    };
    let stat = fs::symlink_metadata(&resolved).map_err(failed(&resolved))?;
    Ok(End { path: resolved, exists: true, is_directory: stat.is_dir(), rename })
}

/// Where a copy goes; every link is followed, also one that leads to what is not there yet.
///
/// # Errors
/// When the directory it is to be in is not there.
pub fn destination(path: &str) -> Result<End, Failure> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(stat) if stat.is_symlink() => {
                let target = fs::read_link(&path).map_err(|error| Failure::new(os_error("readlink", &path, &error)))?;
                path = through(&path, &target.display().to_string());
            }
            Ok(stat) => return Ok(End { is_directory: stat.is_dir(), exists: true, path, rename: String::new() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = split(&path).0;
                let there = fs::metadata(&parent).map_err(|error| Failure::new(os_error("stat", &parent, &error)))?;
                if !there.is_dir() {
                    return Err(Failure::new("not a directory"));
                }
                return Ok(End { path, ..End::default() });
            }
            Err(error) => return Err(Failure::new(os_error("lstat", &path, &error))),
        }
    }
    Err(Failure::new(format!("too many symlinks in {path}")))
}

/// An archive that a thread of its own makes.
pub struct Packed {
    reader: io::PipeReader,
    packer: Option<JoinHandle<Result<(), String>>>,
}

/// Packs `source`, under the name `rename` where that is given.
///
/// # Errors
/// When the thread cannot be started.
pub fn pack(source: &End, rename: Option<(String, String)>) -> io::Result<Packed> {
    let (reader, writer) = io::pipe()?;
    let (directory, last) = split(&source.path);
    let own = if source.rename.is_empty() { last.clone() } else { source.rename.clone() };
    let name = match rename {
        Some((old, new)) => super::renamed(own.into_bytes(), &old, &new),
        None => own.trim_end_matches('/').as_bytes().to_vec(),
    };
    let work = move || {
        // A root has no name in a directory.
        let last = if last == "/" { "." } else { &last };
        let open = corten_sys::at::open_root(Path::new(&directory));
        let directory = open.map_err(|error| os_error("open", &directory, &error))?;
        let mut packer = Packer::new(io::BufWriter::with_capacity(128 << 10, writer));
        packer.add(directory.as_fd(), OsStr::new(last), &name).map_err(|error| chain(&error))?;
        let mut out = packer.finish().map_err(|error| chain(&error))?;
        out.flush().map_err(|error| error.to_string())
    };
    let packer = std::thread::Builder::new().name("pack".to_owned()).spawn(work)?;
    Ok(Packed { reader, packer: Some(packer) })
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        // The end of the pipe is the archive's only if the thread says so.
        match self.packer.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(0),
            Some(Ok(Err(text))) => Err(io::Error::other(text)),
            Some(Err(_)) => Err(io::Error::other("the archive was not finished")),
        }
    }
}

/// Whose the extracted files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever copies.
    Ours,
    /// As in the container.
    Kept,
}

/// Extracts the archive in `reader`; no link in it, nor in the directory, is followed.
///
/// # Errors
/// What is wrong with the archive, or what the kernel refused.
pub fn extract(reader: impl Read, plan: &super::Plan, ownership: Ownership) -> Result<(), Failure> {
    let root = corten_sys::at::open_root(Path::new(&plan.directory));
    let root = root.map_err(|error| Failure::new(os_error("open", &plan.directory, &error)))?;
    let rename = |name: Vec<u8>| match &plan.rename {
        Some((old, new)) => super::renamed(name, old, new),
        None => name,
    };
    let owner = match ownership {
        Ownership::Ours => Owner::Ours,
        Ownership::Kept => Owner::Archived,
    };
    let to = Destination { root: root.as_fd(), path: b"", links: Links::Refuse };
    let rules = Rules { replace: Replace::SameKind, owner, rename: &rename };
    extract::extract(reader, to, rules).map(drop).map_err(|error| Failure::new(chain(&error)))
}
