//! What a directory tree takes on disk.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use corten_sys::at::{self, FileType};

/// Disk use of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of the blocks in use, every file counted once however many names it has.
    pub size: u64,
    /// Files and directories.
    pub inodes: u64,
}

/// Deepest tree measured; one descriptor is held per level.
const DEPTH_MAX: usize = 1000;

impl Usage {
    /// Measures everything in the directory `dir`, itself included. Files that vanish meanwhile are left out.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn of(dir: BorrowedFd<'_>) -> io::Result<Self> {
        let mut usage = Self::default();
        let stat = at::fstat(dir)?;
        usage.add(stat.blocks);
        walk(dir, &mut usage, &mut HashSet::new(), 0)?;
        Ok(usage)
    }

    fn add(&mut self, blocks: u64) {
        self.inodes += 1;
        self.size += blocks * 512;
    }
}

fn walk(dir: BorrowedFd<'_>, usage: &mut Usage, seen: &mut HashSet<(u64, u64)>, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "directories are nested more than 1000 deep"));
    }
    for name in at::read_dir(dir)? {
        let stat = match at::stat(dir, &name) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if stat.links > 1 && stat.file_type != FileType::Directory && !seen.insert((stat.device, stat.inode)) {
            continue;
        }
        usage.add(stat.blocks);
        if stat.file_type == FileType::Directory {
            match at::open_dir(dir, &name) {
                Ok(inside) => walk(inside.as_fd(), usage, seen, depth + 1)?,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
