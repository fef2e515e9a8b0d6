//! Replacing a file whole: readers see the old or the new content, never half of it (rename(2)).
//!
//! The temporary file lies beside its target as `.NAME.XXXX.tmp`, so that a sweep at start can know and
//! remove what a kill left behind ([`is_temporary`]).

use std::{
    ffi::{CString, OsStr},
    fs::{self, File},
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{files, syscall::HERE};

/// What a replaced file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process; a power cut may bring back the old content.
    Process,
    /// A power cut: the file and its directory are synced before this returns.
    PowerCut,
}

/// A file that is written and not yet in its place. What lies beside the place afterwards, itself or what it replaced, is
/// removed when this is dropped.
#[derive(Debug)]
pub struct Staged {
    temporary: PathBuf,
    path: PathBuf,
}

impl Staged {
    /// Writes `content` beside `path`, readable by its owner only, by the process `writer`, which is this one.
    ///
    /// # Errors
    /// Those of open(2) and write(2); nothing is left then.
    pub fn write(writer: u32, path: &Path, content: &[u8]) -> io::Result<Self> {
        let staged = Self { temporary: temporary_name(path, writer)?, path: path.to_owned() };
        write_new(&staged.temporary, content, 0o600)?;
        Ok(staged)
    }

    /// Puts it in its place, with one call where something is there. A power cut may leave nothing of either: this is for
    /// files that no later boot looks at. The two are exchanged, because ext4 begins to write a file out that is renamed
    /// over another.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn commit(&self) -> io::Result<()> {
        let names = [&self.temporary, &self.path].map(|path| CString::new(path.as_os_str().as_bytes()));
        let [temporary, path] = names;
        match files::exchange(&temporary?, &path?) {
            // Where nothing is to be replaced, and on a filesystem that cannot exchange.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENOSYS)) => {
                fs::rename(&self.temporary, &self.path)
            }
            exchanged => exchanged,
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary); // renamed away, or a sweep knows it
    }
}

/// Replaces the file at `path` with `content`, readable by its owner only.
///
/// # Errors
/// Those of open(2), write(2), fsync(2), rename(2); the temporary file is removed.
pub fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    replace_with_mode(path, content, durability, 0o600)
}

/// As [`replace`], with the permission bits `mode` (less the umask).
///
/// # Errors
/// As [`replace`].
pub fn replace_with_mode(path: &Path, content: &[u8], durability: Durability, mode: u32) -> io::Result<()> {
    replace_from(std::process::id(), path, content, durability, mode)
}

/// As [`replace`] by the process `writer`, which is this one and knows its id: asking for it is a system call.
///
/// # Errors
/// As [`replace`].
pub fn replace_as(writer: u32, path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    replace_from(writer, path, content, durability, 0o600)
}

fn replace_from(writer: u32, path: &Path, content: &[u8], durability: Durability, mode: u32) -> io::Result<()> {
    let temporary = temporary_name(path, writer)?;
    let result = write_and_rename(path, &temporary, content, durability, mode);
    if result.is_err() {
        let _ = fs::remove_file(&temporary); // the first error is the one that matters
    }
    result
}

/// Syncs the directory `path` itself: names made or removed in it survive a power cut afterwards.
///
/// # Errors
/// Those of open(2) and fsync(2).
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether `name` is a temporary file of [`replace`] that a kill left behind.
pub fn is_temporary(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(b".tmp")
}

fn write_and_rename(
    path: &Path,
    temporary: &Path,
    content: &[u8],
    durability: Durability,
    mode: u32,
) -> io::Result<()> {
    let file = write_new(temporary, content, mode)?;
    if durability == Durability::PowerCut {
        file.sync_all()?;
    }
    fs::rename(temporary, path)?;
    if durability == Durability::PowerCut {
        sync_directory(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<File> {
    let flags = files::O_WRONLY | files::O_CREAT | files::O_EXCL;
    // One call: musl's open(3), behind the standard library, makes two.
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut file = File::from(files::open(HERE, &name, flags, mode)?);
    file.write_all(content)?;
    Ok(file)
}

fn temporary_name(path: &Path, writer: u32) -> io::Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
    let unique = format!(".{writer:x}-{:x}.tmp", COUNTER.fetch_add(1, Ordering::Relaxed));
    let mut temporary = OsStr::new(".").to_owned();
    temporary.push(name);
    temporary.push(unique);
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("state.json");
        for (content, durability) in [("one", Durability::Process), ("two", Durability::PowerCut)] {
            replace(&path, content.as_bytes(), durability).expect("replaced");
            assert_eq!(fs::read_to_string(&path).expect("readable"), content);
        }
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1);
    }

    #[test]
    fn what_is_staged_takes_its_place_at_once_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("state.json");
        for content in ["one", "two"] {
            let staged = Staged::write(std::process::id(), &path, content.as_bytes()).expect("written");
            staged.commit().expect("in its place");
            assert_eq!(fs::read_to_string(&path).expect("readable"), content);
        }
        drop(Staged::write(std::process::id(), &path, b"three").expect("written"));
        assert_eq!(fs::read_to_string(&path).expect("readable"), "two");
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1);
    }

    #[test]
    fn a_failure_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("taken");
        fs::create_dir(&path).expect("mkdir");
        assert!(replace(&path, b"x", Durability::Process).is_err());
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 1);
    }
}
