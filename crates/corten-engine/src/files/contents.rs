//! The three files in a container's directory, and when they are written.
//!
//! They are mounted over the image's and are the container's own: it may write them. Each start writes them anew, since
//! addresses and the host's servers may have changed; only a `resolv.conf` that the container has changed is left to it, as
//! docker does. While it runs, one that it has changed is left, but for the lines of `hosts` that come and go with its
//! networks. They are written in place, never replaced: a running container has the inode.

use std::fs::{self, File};
use std::io::{self, Read};
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

/// When the files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before the container starts.
    Starting,
    /// While it runs, and its networks change.
    Running,
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
    pub fn write(&self, directory: &Path, when: When) -> Result<(), FileError> {
        let written = last_written(directory);
        for (((name, _), text), last) in TARGETS.iter().zip(self.texts()).zip(written.texts()) {
            let path = directory.join(name);
            let done = match (is_changed(&path, last), when, *name) {
                (false, _, _) | (true, When::Starting, "hosts" | "hostname") => write(&path, text),
                (true, When::Running, "hosts") => exchange_lines(&path, last, text),
                (true, _, _) => Ok(()),
            };
            done.map_err(|source| FileError { path, source })?;
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
    match read_comparable(path) {
        Err(_) => false,
        Ok(None) => true,
        // Never recorded: the start that wrote it did not get further.
        Ok(Some(now)) => !last.is_empty() && now != last.as_bytes(),
    }
}

/// `None` for more than is compared, whatever the container does to the file meanwhile.
fn read_comparable(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut now = Vec::new();
    File::open(path)?.take(MAX_COMPARED_BYTES + 1).read_to_end(&mut now)?;
    Ok((now.len() as u64 <= MAX_COMPARED_BYTES).then_some(now))
}

/// Has the lines that `now` has and `last` had not in the file, and not those of `last` that are gone.
fn exchange_lines(path: &Path, last: &str, now: &str) -> io::Result<()> {
    let Some(there) = read_comparable(path)? else { return Ok(()) };
    let there = String::from_utf8_lossy(&there);
    let is_gone = |line: &&str| last.lines().any(|other| other == *line) && !now.lines().any(|other| other == *line);
    let kept = there.lines().filter(|line| !is_gone(line));
    let new = now.lines().filter(|line| !last.lines().any(|other| other == *line));
    write(path, &kept.chain(new).flat_map(|line| [line, "\n"]).collect::<String>())
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
    fn what_is_larger_than_is_compared_is_the_containers_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        for (length, is_its_own) in [(MAX_COMPARED_BYTES, false), (MAX_COMPARED_BYTES + 1, true)] {
            let text = "a".repeat(length as usize);
            fs::write(&path, &text).unwrap();
            assert_eq!(is_changed(&path, &text), is_its_own);
            exchange_lines(&path, "a", "b").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap() == text, is_its_own);
        }
    }

    #[test]
    fn a_second_start_writes_the_inode_that_may_be_mounted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        contents("a\n").write(directory.path(), When::Starting).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        contents("b\n").write(directory.path(), When::Starting).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.ino(), metadata.mode() & 0o777), (inode, 0o644));
        assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
    }

    #[test]
    fn a_resolv_conf_that_the_container_wrote_is_left_to_it() {
        let directory = tempfile::tempdir().unwrap();
        contents("a\n").write(directory.path(), When::Starting).unwrap();
        for name in ["resolv.conf", "hosts", "hostname"] {
            fs::write(directory.path().join(name), "mine\n").unwrap();
        }
        let read = || {
            ["resolv.conf", "hosts", "hostname"].map(|name| fs::read_to_string(directory.path().join(name)).unwrap())
        };
        for _ in 0..2 {
            contents("a\n").write(directory.path(), When::Running).unwrap();
            assert_eq!(read(), ["mine\n"; 3]);
        }
        for _ in 0..2 {
            contents("b\n").write(directory.path(), When::Starting).unwrap();
            assert_eq!(read(), ["mine\n", "b\n", "web\n"]);
        }
    }

    #[test]
    fn lines_of_hosts_come_and_go_beside_those_of_the_container() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        contents("127.0.0.1\tlocalhost\n10.0.0.2\tweb\n").write(directory.path(), When::Starting).unwrap();
        fs::write(&path, "127.0.0.1\tlocalhost\n10.0.0.2\tweb\n192.0.2.1\tmine").unwrap();
        contents("127.0.0.1\tlocalhost\n10.0.0.2\tweb\n10.1.0.2\tweb\n")
            .write(directory.path(), When::Running)
            .unwrap();
        let text = "127.0.0.1\tlocalhost\n10.0.0.2\tweb\n192.0.2.1\tmine\n10.1.0.2\tweb\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        contents("127.0.0.1\tlocalhost\n10.1.0.2\tweb\n").write(directory.path(), When::Running).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text.replace("10.0.0.2\tweb\n", ""));
    }
}
