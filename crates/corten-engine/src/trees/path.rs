//! Paths inside a container's file system, as its own processes would follow them.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use corten_sys::at::{self, FileType};
use corten_sys::openat2::{self, InRootfs, Resolve};

/// Links followed in one path; Go's number, above the kernel's own.
const LINKS_MAX: usize = 255;

/// `O_RDONLY | O_NONBLOCK`: a pipe must not hold the engine up.
const READ_WITHOUT_WAITING: i32 = 0o4000;

/// `O_PATH | O_DIRECTORY`.
const DIRECTORY: i32 = 0o10_200_000;

/// Where `path` leads when every link in it is followed, also the last. What is missing stays as it is written.
///
/// # Errors
/// `InvalidInput` after 255 links.
pub fn follow(root: BorrowedFd<'_>, path: &str) -> io::Result<String> {
    let mut resolved: Vec<Vec<u8>> = Vec::new();
    let mut todo: VecDeque<Vec<u8>> = parts(path.as_bytes());
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        if part == b".." {
            resolved.pop();
            continue;
        }
        match link_at(root, &resolved, &part)? {
            None => resolved.push(part),
            Some(target) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many links"));
                }
                if target.starts_with(b"/") {
                    resolved.clear();
                }
                for part in parts(&target).into_iter().rev() {
                    todo.push_front(part);
                }
            }
        }
    }
    Ok(format!("/{}", String::from_utf8_lossy(&resolved.join(&b'/'))))
}

/// What the link `last` says; `None` when it is none, or is not there.
fn link_at(root: BorrowedFd<'_>, directory: &[Vec<u8>], last: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let path = InRootfs::new(OsStr::from_bytes(&[b"/", &directory.join(&b'/')[..]].concat()))?;
    let Ok(directory) = openat2::open(root, &path, DIRECTORY, 0, Resolve::IN_ROOT_NO_SYMLINKS) else { return Ok(None) };
    let last = OsStr::from_bytes(last);
    match at::stat(directory.as_fd(), last) {
        Ok(stat) if stat.file_type == FileType::Symlink => {
            // A link that vanished meanwhile is none.
            Ok(at::readlink(directory.as_fd(), last).ok().map(|target| target.as_bytes().to_vec()))
        }
        _ => Ok(None),
    }
}

fn parts(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec).collect()
}

/// The last component as Go's `filepath.Base` has it: of `/` the slash, of `a/` the `a`, of `a/.` the dot.
pub fn last_component(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

/// The text of a file, at most `limit_bytes` of it; `None` when there is none.
///
/// # Errors
/// Those of openat2(2) and read(2).
pub fn read_file(root: BorrowedFd<'_>, path: &str, limit_bytes: u64) -> io::Result<Option<String>> {
    let opened = openat2::open(root, &InRootfs::new(path)?, READ_WITHOUT_WAITING, 0, Resolve::IN_ROOT);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => File::from(opened?),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut content = Vec::new();
    file.take(limit_bytes).read_to_end(&mut content)?;
    Ok(Some(String::from_utf8_lossy(&content).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_their_end_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for (link, target) in [
            ("abs", "/a/b"),
            ("a/rel", "../a/b/missing/x"),
            ("two", "abs/../rel"),
            ("out", "../../../etc"),
            ("me", "me"),
        ] {
            symlink(target, dir.path().join(link)).unwrap();
        }
        let root = at::open_root(dir.path()).unwrap();
        let follow = |path: &str| follow(root.as_fd(), path);
        for (path, expected) in [
            ("/", "/"),
            ("/abs", "/a/b"),
            ("a/rel", "/a/b/missing/x"),
            ("/two", "/a/b/missing/x"),
            ("/out/passwd", "/etc/passwd"),
            ("/none/../abs/.", "/a/b"),
        ] {
            assert_eq!(follow(path).unwrap(), expected, "{path}");
        }
        assert!(follow("/me").is_err());
    }

    #[test]
    fn the_last_component_is_go_s() {
        for (path, expected) in
            [("/", "/"), ("", "."), ("/a/b", "b"), ("/a/b/", "b"), ("/a/.", "."), ("a", "a"), ("//", "/")]
        {
            assert_eq!(last_component(path), expected, "{path}");
        }
    }
}
