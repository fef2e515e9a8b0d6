//! The file `--pid-file`: digits without a newline, replaced whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes `pid` to `path`: a temporary `.NAME` beside it, then a rename, as runc does.
///
/// # Errors
/// Those of open(2), write(2), rename(2); the temporary file is removed.
pub fn write(path: &Path, pid: i32) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    let temporary = path.with_file_name(temporary);
    let result = write_and_rename(&temporary, path, pid);
    if result.is_err() {
        let _ = fs::remove_file(&temporary); // the first error is the one that matters
    }
    result
}

fn write_and_rename(temporary: &Path, path: &Path, pid: i32) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(temporary)?;
    file.write_all(pid.to_string().as_bytes())?;
    fs::rename(temporary, path)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// Those of read(2); `InvalidData` when it is no number.
pub fn read(path: &Path) -> io::Result<i32> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_holds_digits_only() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("init.pid");
        write(&path, 42).expect("writes");
        assert_eq!(fs::read(&path).expect("reads"), b"42");
        assert_eq!(read(&path).expect("reads"), 42);
        write(&path, 43).expect("replaces");
        assert_eq!(read(&path).expect("reads"), 43);
        assert_eq!(fs::read_dir(directory.path()).expect("reads").count(), 1);
    }
}
