//! The three files in a container's directory, and when they are written.
//!
//! They are mounted over the image's and are the container's own: it may write them. Each start
//! writes them anew, since the host's servers may have changed, but leaves one that the container has
//! changed meanwhile. They are written in place, never replaced: a running container has the inode.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the last start wrote, to tell whether the container has changed it since.
const WRITTEN: &str = "files.json";

/// Most bytes of a file that is compared; ours are far below.
const MAX_COMPARED_BYTES: u64 = 1024 * 1024;

/// Names of the files in a container's directory, and where they are mounted.
pub const TARGETS: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts")];

/// What stands in the three files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contents {
    /// Of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Of `/etc/hostname`.
    pub hostname: String,
    /// Of `/etc/hosts`.
    pub hosts: String,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write {}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Contents {
    fn texts(&self) -> [&str; 3] {
        [&self.resolv_conf, &self.hostname, &self.hosts]
    }

    /// Writes the files into `directory`, readable for every user in the container.
    ///
    /// # Errors
    /// The first file that could not be written, named.
    pub fn write(&self, directory: &Path) -> Result<(), FileError> {
        let written = last_written(directory);
        for (((name, _), text), last) in TARGETS.iter().zip(self.texts()).zip(written.texts()) {
            let path = directory.join(name);
            if !is_changed(&path, last) {
                write(&path, text).map_err(|source| FileError { path, source })?;
            }
        }
        let path = directory.join(WRITTEN);
        let json = serde_json::to_vec(self).map_err(io::Error::other);
        json.and_then(|json| fs::write(&path, json)).map_err(|source| FileError { path, source })
    }
}

/// Unreadable is as good as never written: then the files are written anew.
fn last_written(directory: &Path) -> Contents {
    fs::read(directory.join(WRITTEN)).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

/// Whether the container has made the file another than the last start wrote.
fn is_changed(path: &Path, last: &str) -> bool {
    match fs::metadata(path) {
        Err(_) => false,
        Ok(metadata) if metadata.len() > MAX_COMPARED_BYTES => true,
        // Never recorded: the start that wrote it did not get further.
        Ok(_) => !last.is_empty() && fs::read(path).is_ok_and(|now| now != last.as_bytes()),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn contents(hosts: &str) -> Contents {
        Contents { hosts: hosts.into(), hostname: "web\n".into(), resolv_conf: "nameserver 1.2.3.4\n".into() }
    }

    #[test]
    fn a_second_start_writes_the_inode_that_may_be_mounted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        contents("a\n").write(directory.path()).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        contents("b\n").write(directory.path()).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.ino(), metadata.mode() & 0o777), (inode, 0o644));
        assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
    }

    #[test]
    fn what_the_container_wrote_is_left_to_it() {
        let directory = tempfile::tempdir().unwrap();
        contents("a\n").write(directory.path()).unwrap();
        fs::write(directory.path().join("hosts"), "mine\n").unwrap();
        for _ in 0..2 {
            contents("b\n").write(directory.path()).unwrap();
            assert_eq!(fs::read_to_string(directory.path().join("hosts")).unwrap(), "mine\n");
        }
    }
}
