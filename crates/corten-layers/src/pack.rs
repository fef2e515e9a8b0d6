//! A part of a tree as an archive: what copying out of a container, or exporting it, sends.
//!
//! The tree may change while it is read. What vanishes meanwhile is left out, a file that shrinks is filled up with
//! zeroes as tar(1) does, and whatever takes a name's place, nothing but ordinary files and directories is opened.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use corten_sys::at::{self, FileType, Stat};
use corten_sys::handle;

use crate::archive::{Entry, Kind};
use crate::diff::entry_of;
use crate::writer::Writer;

/// Deepest tree that is read; a descriptor is held per level.
const DEPTH_MAX: usize = 1000;
/// Most files with several names that are remembered: some 100 MiB. Beyond, each name is archived as a file of its own.
const LINKS_MAX: usize = 1 << 20;

/// Why a tree was not archived.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file could not be read.
    #[error("read {path:?}")]
    Read {
        /// Its name in the archive.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("write the archive")]
    Write(#[source] io::Error),
}

/// An archive being made.
pub struct Packer<W> {
    out: Writer<W>,
    /// Where a file with several names was first written.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Packer<W> {
    /// An archive written to `out`.
    pub fn new(out: W) -> Self {
        Self { out: Writer::new(out), links: HashMap::new() }
    }

    /// Adds what `last` in `dir` is, and all below it when it is a directory, under the name `name`: `x` gives `x/` and
    /// `x/file`, `.` gives `./` and `./file`, the empty name `/` and `/file`.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn add(&mut self, dir: BorrowedFd<'_>, last: &OsStr, name: &[u8]) -> Result<(), PackError> {
        let stat = at::stat(dir, last).map_err(failed(name))?;
        self.add_known(dir, last, name, &stat, 0)
    }

    /// Writes the end of the archive.
    ///
    /// # Errors
    /// [`PackError::Write`].
    pub fn finish(self) -> Result<W, PackError> {
        self.out.finish().map_err(PackError::Write)
    }

    fn add_known(
        &mut self,
        dir: BorrowedFd<'_>,
        last: &OsStr,
        name: &[u8],
        stat: &Stat,
        depth: usize,
    ) -> Result<(), PackError> {
        match stat.file_type {
            FileType::Socket => Ok(()),
            FileType::Directory => self.add_directory(dir, last, name, depth),
            FileType::Regular => self.add_file(dir, last, name),
            _ => {
                let entry = entry_of(dir, last, name.to_vec(), stat).map_err(failed(name))?;
                self.append(entry, stat, &mut io::empty())
            }
        }
    }

    fn add_directory(&mut self, dir: BorrowedFd<'_>, last: &OsStr, name: &[u8], depth: usize) -> Result<(), PackError> {
        if depth > DEPTH_MAX {
            let why = format!("directories are nested more than {DEPTH_MAX} deep");
            return Err(failed(name)(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        // The name itself, even where it is `.` or leads over a mount; never what a link in its place leads to.
        let inside = at::open_dir(dir, last).map_err(failed(name))?;
        let inside = inside.as_fd();
        let here = OsStr::new(".");
        let stat = at::fstat(inside).map_err(failed(name))?;
        let entry = entry_of(inside, here, [name, b"/"].concat(), &stat).map_err(failed(name))?;
        self.append(entry, &stat, &mut io::empty())?;
        let mut names = at::read_dir(inside).map_err(failed(name))?;
        names.sort_unstable();
        for last in names {
            let child = [name, b"/", last.as_bytes()].concat();
            let added = match at::stat(inside, &last) {
                Ok(stat) => self.add_known(inside, &last, &child, &stat, depth + 1),
                Err(source) => Err(failed(&child)(source)),
            };
            match added {
                Err(PackError::Read { source, .. }) if has_changed(&source) => {}
                added => added?,
            }
        }
        Ok(())
    }

    fn add_file(&mut self, dir: BorrowedFd<'_>, last: &OsStr, name: &[u8]) -> Result<(), PackError> {
        let Some((file, stat)) = handle::open_regular(dir, last).map_err(failed(name))? else {
            return Err(failed(name)(io::Error::from(io::ErrorKind::NotFound)));
        };
        let entry = entry_of(dir, last, name.to_vec(), &stat).map_err(failed(name))?;
        self.append(entry, &stat, &mut FilledUp(file))
    }

    fn append(&mut self, mut entry: Entry, stat: &Stat, data: &mut dyn Read) -> Result<(), PackError> {
        if stat.links > 1 && entry.kind != Kind::Directory {
            let key = (stat.device, stat.inode);
            if let Some(first) = self.links.get(&key) {
                (entry.kind, entry.link, entry.size) = (Kind::HardLink, first.clone(), 0);
                entry.xattrs.clear();
            } else if self.links.len() < LINKS_MAX {
                self.links.insert(key, entry.path.clone());
            }
        }
        self.out.append(&entry, data).map_err(PackError::Write)
    }
}

/// A file that ends in zeroes without end.
struct FilledUp<R>(R);

impl<R: Read> Read for FilledUp<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}

/// True of what is answered for a name that vanished or changed its kind since it was listed.
fn has_changed(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn failed(name: &[u8]) -> impl Fn(io::Error) -> PackError {
    move |source| PackError::Read { path: String::from_utf8_lossy(name).into_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::archive::Archive;

    fn packed(dir: &std::path::Path, last: &str, name: &str) -> Vec<(String, Kind, String)> {
        let dir = at::open_root(dir).unwrap();
        let mut packer = Packer::new(Vec::new());
        packer.add(dir.as_fd(), OsStr::new(last), name.as_bytes()).unwrap();
        let bytes = packer.finish().unwrap();
        let mut archive = Archive::new(&bytes[..]);
        let mut entries = Vec::new();
        while let Some(entry) = archive.next_entry().unwrap() {
            entries.push((entry.name(), entry.kind, String::from_utf8(entry.link.clone()).unwrap()));
        }
        entries
    }

    #[test]
    fn a_directory_goes_under_the_name_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        fs::write(dir.path().join("in/file"), "one").unwrap();
        fs::hard_link(dir.path().join("in/file"), dir.path().join("in/second")).unwrap();
        symlink("/etc", dir.path().join("in/link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("in/socket")).unwrap();
        for (name, start) in [("as", "as/"), (".", "./"), ("", "/")] {
            let expected = [
                (start.to_owned(), Kind::Directory, String::new()),
                (format!("{start}file"), Kind::File, String::new()),
                (format!("{start}link"), Kind::Symlink, "/etc".to_owned()),
                (format!("{start}second"), Kind::HardLink, format!("{start}file")),
            ];
            assert_eq!(packed(dir.path(), "in", name), expected);
        }
        assert_eq!(packed(&dir.path().join("in"), "file", "file").len(), 1);
    }

    #[test]
    fn a_file_that_became_shorter_is_filled_up() {
        let mut text = [9; 6];
        FilledUp(&b"abc"[..]).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"abc\0\0\0");
    }
}
