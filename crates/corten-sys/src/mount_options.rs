//! Mounts as snapshotters describe them: a type, a source, and options as mount(8) writes them.
//!
//! mount(2) is used, not fsconfig(2): the latter takes 255 bytes of a value, and an overlay of twenty
//! layers has more in `lowerdir`.

use std::{
    ffi::CString,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::cvt_int;

/// One mount to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Type of the filesystem; `bind` for a bind mount.
    pub fstype: String,
    /// What to mount.
    pub source: String,
    /// Options: flags by name, the rest for the filesystem.
    pub options: Vec<String>,
}

/// Options taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Parsed {
    flags: libc::c_ulong,
    data: Vec<String>,
}

/// An option nobody can honour here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(pub String);

/// The page that mount(2) takes options in, less some for the kernel's own.
const MAX_DATA_BYTES: usize = 4096 - 512;

impl Mount {
    /// The option that this cannot do, if there is one: loop devices, id maps and fuse helpers.
    pub fn unsupported(&self) -> Option<Unsupported> {
        if self.fstype.starts_with("fuse.") || self.fstype.starts_with("fuse3.") {
            return Some(Unsupported(self.fstype.clone()));
        }
        let refused = |option: &&String| {
            option.as_str() == "loop"
                || ["uidmap=", "gidmap=", "X-containerd."].iter().any(|prefix| option.starts_with(prefix))
        };
        self.options.iter().find(refused).map(|option| Unsupported(option.clone()))
    }

    /// Mounts this at `target`.
    ///
    /// # Errors
    /// `E2BIG` when the options do not fit a page even with their common directory taken out; else as
    /// mount(2).
    pub fn mount(&self, target: &Path) -> io::Result<()> {
        let parsed = parse(&self.options);
        let length: usize = parsed.data.iter().map(|option| option.len() + 1).sum();
        if self.fstype == "overlay" && length > MAX_DATA_BYTES {
            return self.mount_from_common_directory(target, parsed);
        }
        self.mount_parsed(target, &parsed)
    }

    fn mount_parsed(&self, target: &Path, parsed: &Parsed) -> io::Result<()> {
        let data = parsed.data.join(",");
        if data.len() >= 4096 {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        call(&self.source, target, &self.fstype, parsed.flags, &data)?;
        let bind = libc::MS_BIND | libc::MS_REC;
        // The kernel ignores every other flag of a bind mount; a second call sets them.
        if parsed.flags & libc::MS_BIND != 0 && parsed.flags & !bind != 0 {
            call("", target, "", parsed.flags & !libc::MS_REC | libc::MS_REMOUNT, "")?;
        }
        Ok(())
    }

    /// Many layers share a long directory: goes there and names them relative to it, in a thread that
    /// has a working directory of its own.
    fn mount_from_common_directory(&self, target: &Path, mut parsed: Parsed) -> io::Result<()> {
        let Some(lower) = parsed.data.iter_mut().find(|option| option.starts_with("lowerdir=")) else {
            return self.mount_parsed(target, &parsed);
        };
        let layers: Vec<&str> = lower["lowerdir=".len()..].split(':').collect();
        let common = common_directory(&layers);
        let relative: Vec<&str> = layers.iter().map(|layer| layer[common.len()..].trim_start_matches('/')).collect();
        *lower = format!("lowerdir={}", relative.join(":"));
        let common = PathBuf::from(if common.is_empty() { "/" } else { &common });
        std::thread::scope(|scope| {
            let mounting = scope.spawn(|| {
                // SAFETY: unshare takes an integer; CLONE_FS concerns this thread alone.
                cvt_int(unsafe { libc::unshare(libc::CLONE_FS) })?;
                std::env::set_current_dir(&common)?;
                self.mount_parsed(target, &parsed)
            });
            mounting.join().unwrap_or_else(|_| Err(io::Error::other("the mounting thread panicked")))
        })
    }
}

/// Unmounts everything stacked at `target`, at once even while it is busy. Nothing there is fine.
///
/// # Errors
/// Those of umount2(2) but `EINVAL` and `ENOENT`.
pub fn unmount_all(target: &Path) -> io::Result<()> {
    let path = CString::new(target.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    loop {
        // SAFETY: path is NUL-terminated and outlives the call.
        match cvt_int(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) }) {
            Ok(_) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn parse(options: &[String]) -> Parsed {
    let mut parsed = Parsed::default();
    for option in options {
        match flag(option) {
            Some((bits, true)) => parsed.flags |= bits,
            Some((bits, false)) => parsed.flags &= !bits,
            None => parsed.data.push(option.clone()),
        }
    }
    parsed
}

/// The bits an option sets or clears.
fn flag(option: &str) -> Option<(libc::c_ulong, bool)> {
    Some(match option {
        "defaults" => (0, true),
        "async" => (libc::MS_SYNCHRONOUS, false),
        "sync" => (libc::MS_SYNCHRONOUS, true),
        "atime" => (libc::MS_NOATIME, false),
        "noatime" => (libc::MS_NOATIME, true),
        "bind" => (libc::MS_BIND, true),
        "rbind" => (libc::MS_BIND | libc::MS_REC, true),
        "dev" => (libc::MS_NODEV, false),
        "nodev" => (libc::MS_NODEV, true),
        "diratime" => (libc::MS_NODIRATIME, false),
        "nodiratime" => (libc::MS_NODIRATIME, true),
        "dirsync" => (libc::MS_DIRSYNC, true),
        "exec" => (libc::MS_NOEXEC, false),
        "noexec" => (libc::MS_NOEXEC, true),
        "mand" => (libc::MS_MANDLOCK, true),
        "nomand" => (libc::MS_MANDLOCK, false),
        "relatime" => (libc::MS_RELATIME, true),
        "norelatime" => (libc::MS_RELATIME, false),
        "remount" => (libc::MS_REMOUNT, true),
        "ro" => (libc::MS_RDONLY, true),
        "rw" => (libc::MS_RDONLY, false),
        "strictatime" => (libc::MS_STRICTATIME, true),
        "nostrictatime" => (libc::MS_STRICTATIME, false),
        "suid" => (libc::MS_NOSUID, false),
        "nosuid" => (libc::MS_NOSUID, true),
        _ => return None,
    })
}

/// The directory all of `paths` lie in.
fn common_directory(paths: &[&str]) -> String {
    let Some((first, rest)) = paths.split_first() else { return String::new() };
    let mut length = first.rfind('/').unwrap_or(0);
    for path in rest {
        let shared = first[..length].bytes().zip(path.bytes()).take_while(|(left, right)| left == right).count();
        // The shared part must end where a name ends, in both.
        length = if shared == length && path.as_bytes().get(shared) == Some(&b'/') {
            length
        } else {
            first[..shared].rfind('/').unwrap_or(0)
        };
    }
    first[..length].to_owned()
}

fn call(source: &str, target: &Path, fstype: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
    let (source, target) = (text(source.as_bytes())?, text(target.as_os_str().as_bytes())?);
    let (fstype, data) = (text(fstype.as_bytes())?, text(data.as_bytes())?);
    // SAFETY: all four are NUL-terminated and outlive the call, which only reads them.
    cvt_int(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags, data.as_ptr().cast()) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(options: &[&str]) -> Vec<String> {
        options.iter().map(|option| (*option).to_owned()).collect()
    }

    #[test]
    fn flags_and_data_are_told_apart() {
        let parsed = parse(&strings(&["rbind", "ro", "rw", "nosuid", "lowerdir=/a:/b", "index=off"]));
        assert_eq!(parsed.flags, libc::MS_BIND | libc::MS_REC | libc::MS_NOSUID);
        assert_eq!(parsed.data, ["lowerdir=/a:/b", "index=off"]);
    }

    #[test]
    fn the_common_directory_ends_at_a_name() {
        let cases: [(&[&str], &str); 5] = [
            (&["/a/snapshots/1/fs", "/a/snapshots/12/fs"], "/a/snapshots"),
            (&["/a/b/c"], "/a/b"),
            (&["/a/bc/d", "/a/b/d"], "/a"),
            (&["/x", "/y"], ""),
            (&[], ""),
        ];
        for (paths, expected) in cases {
            assert_eq!(common_directory(paths), expected, "{paths:?}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let mount = |fstype: &str, options: &[&str]| Mount {
            fstype: fstype.to_owned(),
            source: "x".to_owned(),
            options: strings(options),
        };
        assert_eq!(mount("ext4", &["ro", "loop"]).unsupported(), Some(Unsupported("loop".to_owned())));
        assert_eq!(mount("fuse.x", &[]).unsupported(), Some(Unsupported("fuse.x".to_owned())));
        assert_eq!(mount("overlay", &["lowerdir=/a"]).unsupported(), None);
    }
}
