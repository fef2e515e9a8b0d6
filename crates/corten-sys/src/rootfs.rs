//! Making what lies inside a container's tree: directories and mount targets, by descriptor, without allocating.
//!
//! Every step opens with openat2(2) below the root and makes the next name in the directory just opened, so an
//! exchange of a directory for a symlink moves nothing outside (CVE-2024-45310).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::copy_tree::read_link;
use crate::files;
use crate::openat2::{InRootfs, Resolve, open, open_raw};

/// The longest path the kernel takes (PATH_MAX), with its NUL.
const PATH_MAX: usize = 4096;

/// Opens `path` below `root` as a handle (`O_PATH`), whatever it is; a final symlink is followed within the root.
///
/// # Errors
/// Those of [`open`].
pub fn open_handle(root: BorrowedFd<'_>, path: &InRootfs) -> io::Result<OwnedFd> {
    open(root, path, libc::O_PATH, 0, Resolve::IN_ROOT)
}

/// As [`open_handle`], making missing directories with `mode` on the way.
///
/// # Errors
/// Those of openat2(2) and mkdirat(2); `ELOOP` after 40 symlinks that lead nowhere; `ENAMETOOLONG`.
pub fn make_directories(root: BorrowedFd<'_>, path: &InRootfs, mode: u32) -> io::Result<OwnedFd> {
    match open_handle(root, path) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => walk(root, path, &Last::Directory(mode)),
        result => result,
    }
}

/// As [`open_handle`], making missing directories (0755) on the way and, at its end, an empty file.
///
/// # Errors
/// As [`make_directories`].
pub fn make_file(root: BorrowedFd<'_>, path: &InRootfs) -> io::Result<OwnedFd> {
    match open_handle(root, path) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => walk(root, path, &Last::File),
        result => result,
    }
}

enum Last {
    Directory(u32),
    File,
}

/// A path as bytes without a NUL, on the stack.
struct Text {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl Text {
    /// Puts the parts behind each other, with a slash between two.
    fn join(parts: [&[u8]; 3]) -> io::Result<Self> {
        let mut text = Self { bytes: [0; PATH_MAX], length: 0 };
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let slash: &[u8] = if text.length == 0 { b"" } else { b"/" };
            for piece in [slash, part] {
                let end = text.length + piece.len();
                if end >= PATH_MAX {
                    return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
                }
                text.bytes[text.length..end].copy_from_slice(piece);
                text.length = end;
            }
        }
        Ok(text)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// How often a path may go through a symlink that leads nowhere yet, as the kernel counts those that lead somewhere.
const LINKS_MAX: u32 = 40;

/// Makes what is missing. A symlink that leads nowhere is followed within the root, and what it names is made: images
/// have such for /etc/resolv.conf.
fn walk(root: BorrowedFd<'_>, path: &InRootfs, last: &Last) -> io::Result<OwnedFd> {
    let mut text = Text::join([path.as_c_str().to_bytes(), b"", b""])?;
    for _ in 0..LINKS_MAX {
        match walk_to_link(root, text.as_bytes(), last)? {
            Walked::There(found) => return Ok(found),
            Walked::Through(link) => text = link,
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Where a walk came.
#[expect(clippy::large_enum_variant, reason = "nothing is allocated here, and it is looked at at once")]
enum Walked {
    /// To the end.
    There(OwnedFd),
    /// To a symlink that leads nowhere; the path with what the link says in its place.
    Through(Text),
}

/// Looks for the deepest directory that is there, and makes what is missing below it: most paths lack their last name
/// only.
fn walk_to_link(root: BorrowedFd<'_>, text: &[u8], last: &Last) -> io::Result<Walked> {
    let mut buffer = [0u8; PATH_MAX];
    buffer[..text.len()].copy_from_slice(text);
    let end = without_slashes(text, text.len());
    let (mut parent, mut start) = deepest(root, text, &mut buffer, end)?;
    while start < end {
        let length = text[start..end].iter().position(|byte| *byte == b'/').unwrap_or(end - start);
        let stop = start + length;
        if length > 0 {
            let is_last = stop == end;
            // The text is cut after this name for the calls that see it, then mended.
            buffer[stop] = 0;
            let prefix = c_str(&buffer[..=stop])?;
            let name = c_str(&buffer[start..=stop])?;
            let make = if is_last { last } else { &Last::Directory(0o755) };
            let Some(next) = step(root, parent.as_fd(), prefix, name, make)? else {
                let mut link = [0u8; PATH_MAX];
                let link = read_link(parent.as_fd(), name, &mut link)?.to_bytes();
                let above = if link.starts_with(b"/") { b"".as_slice() } else { &text[..start] };
                return Ok(Walked::Through(Text::join([above, link, &text[stop..end]])?));
            };
            buffer[stop] = if is_last { 0 } else { b'/' };
            parent = next;
        }
        start = stop + 1;
    }
    Ok(Walked::There(parent))
}

/// The deepest directory above the last name, and where in the text the names below it begin.
fn deepest(root: BorrowedFd<'_>, text: &[u8], buffer: &mut [u8; PATH_MAX], end: usize) -> io::Result<(OwnedFd, usize)> {
    let mut stop = end;
    loop {
        let name = text[..stop].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        stop = without_slashes(text, name);
        if stop == 0 {
            let root = open_raw(root, c"/", libc::O_PATH | libc::O_DIRECTORY, 0, Resolve::IN_ROOT.0)?;
            return Ok((root, name));
        }
        let kept = buffer[stop];
        buffer[stop] = 0;
        let found = open_raw(root, c_str(&buffer[..=stop])?, libc::O_PATH, 0, Resolve::IN_ROOT.0);
        buffer[stop] = kept;
        match found {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            result => return result.map(|directory| (directory, name)),
        }
    }
}

/// The length of the first `length` bytes without the slashes at their end.
fn without_slashes(text: &[u8], length: usize) -> usize {
    text[..length].iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1)
}

/// Makes `name` in `parent` and opens it, unless it is a symlink that leads nowhere; `prefix` is the path as a whole.
fn step(
    root: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    prefix: &CStr,
    name: &CStr,
    make: &Last,
) -> io::Result<Option<OwnedFd>> {
    if name == c".." {
        return open_raw(root, prefix, libc::O_PATH, 0, Resolve::IN_ROOT.0).map(Some);
    }
    // A handle cannot be written through, so it names the directory that the new name goes into.
    match make {
        Last::Directory(mode) => match files::make_directory(parent, name, *mode) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        },
        Last::File => {
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
            match files::open(parent, name, flags, 0o644) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
    }
    // Without O_NOFOLLOW, which would have the symlink itself opened.
    match open_raw(parent, name, libc::O_PATH, 0, Resolve::BENEATH.0 | libc::RESOLVE_NO_SYMLINKS) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        result => result.map(Some),
    }
}

fn c_str(bytes: &[u8]) -> io::Result<&CStr> {
    CStr::from_bytes_with_nul(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    fn make(directory: &std::path::Path, path: &str) -> io::Result<OwnedFd> {
        let root = File::open(directory).expect("opens");
        make_directories(root.as_fd(), &InRootfs::new(path).expect("no NUL"), 0o755)
    }

    #[test]
    fn missing_directories_are_made() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for path in ["/a/b/c", "/a//b/./d/", "x", "/new/../a/b/e"] {
            make(directory.path(), path).expect(path);
        }
        assert!(directory.path().join("a/b/c").is_dir() && directory.path().join("a/b/d").is_dir());
        assert!(directory.path().join("x").is_dir());
    }

    #[test]
    fn a_symlink_on_the_way_leads_within_the_root_only() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let outside = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("run")).expect("mkdir");
        symlink("/run", directory.path().join("inside")).expect("symlink");
        symlink(outside.path(), directory.path().join("escape")).expect("symlink");
        make(directory.path(), "/inside/made").expect("follows within the root");
        assert!(directory.path().join("run/made").is_dir());
        make(directory.path(), "/escape/made").expect("made within the root");
        let inside = outside.path().strip_prefix("/").expect("absolute");
        assert!(directory.path().join(inside).join("made").is_dir());
        assert_eq!(fs::read_dir(outside.path()).expect("reads").count(), 0);
    }

    #[test]
    fn a_symlink_that_leads_nowhere_is_followed_within_the_root() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let inside = |path: &str| directory.path().join(path);
        for (link, says) in [("one", "two"), ("two", "/deep/er"), ("up", "../../x"), ("loop", "pool"), ("pool", "loop")]
        {
            symlink(says, inside(link)).expect("symlink");
        }
        make(directory.path(), "/one/a").expect("through two links");
        make(directory.path(), "/up").expect("not above the root");
        assert!(inside("deep/er/a").is_dir() && inside("x").is_dir());
        let error = make(directory.path(), "/loop/a").expect_err("a circle");
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        symlink("run/stub", inside("conf")).expect("symlink");
        let root = File::open(directory.path()).expect("opens");
        make_file(root.as_fd(), &InRootfs::new("/conf").expect("no NUL")).expect("makes");
        assert!(inside("run/stub").is_file());
    }

    #[test]
    fn a_file_is_made_at_the_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = File::open(directory.path()).expect("opens");
        make_file(root.as_fd(), &InRootfs::new("/etc/hosts").expect("no NUL")).expect("makes");
        assert!(directory.path().join("etc/hosts").is_file());
    }
}
