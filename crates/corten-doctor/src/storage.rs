//! Where images and containers will lie: the file system, its room, its fitness for overlayfs.

use std::path::{Path, PathBuf};

use corten_sys::filesystem;

use crate::{Finding, Severity, host::Host};

/// Below this not even a small image can be loaded.
const SCARCE_BYTES: u64 = 256 << 20;
/// Below this a usual image may not fit.
const LOW_BYTES: u64 = 2 << 30;
/// A usual image has some ten thousand files.
const LOW_FILES: u64 = 50_000;
/// File systems that overlayfs does not take as an upper layer (kernel, filesystems/overlayfs.rst).
const UNFIT: [&str; 7] = ["overlay", "nfs", "nfs4", "cifs", "vfat", "fuse.sshfs", "9p"];

pub(crate) fn check(host: &Host, data_root: &Path) -> Vec<Finding> {
    let directory = nearest(data_root);
    let mut findings = vec![fitness(host, &directory), types(&directory)];
    match filesystem::usage(&directory) {
        Ok(usage) => findings.push(room(&directory, &usage)),
        Err(error) => findings.push(Finding::bad(
            "storage-room",
            Severity::Warning,
            "disk space",
            format!("{} cannot be asked: {error}", directory.display()),
            "choose another --data-root",
        )),
    }
    findings
}

/// `path`, or the nearest directory above it that exists.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn fitness(host: &Host, directory: &Path) -> Finding {
    const TITLE: &str = "file system of the data root";
    let fstype = fstype(host, directory);
    if UNFIT.contains(&fstype) {
        let detail = format!("{} is on {fstype}, which overlayfs cannot write to", directory.display());
        let remedy = "choose a --data-root on ext4, xfs, btrfs or tmpfs";
        return Finding::bad("storage-filesystem", Severity::Error, TITLE, detail, remedy);
    }
    if fstype == "tmpfs" || fstype == "ramfs" {
        let detail = format!("{} is on {fstype}: images are gone after a reboot", directory.display());
        let remedy = "choose a --data-root on a disk, unless that is meant";
        return Finding::bad("storage-filesystem", Severity::Note, TITLE, detail, remedy);
    }
    Finding::ok("storage-filesystem", TITLE, format!("{} is on {fstype}", directory.display()))
}

/// The type of the file system that `directory` lies on: of the last mount among the deepest above it.
fn fstype<'a>(host: &'a Host, directory: &Path) -> &'a str {
    let above = host.mounts().filter(|(target, ..)| directory.starts_with(target));
    above.max_by_key(|(target, ..)| target.len()).map_or("an unknown file system", |(_, fstype, ..)| fstype)
}

fn types(directory: &Path) -> Finding {
    const TITLE: &str = "d_type";
    match filesystem::lists_types(directory) {
        Ok(true) => Finding::ok("storage-d-type", TITLE, "listed with names"),
        Ok(false) => Finding::bad(
            "storage-d-type",
            Severity::Error,
            TITLE,
            format!("{} lists names without types: overlayfs would show deleted files", directory.display()),
            "choose a --data-root on ext4, or on xfs made with mkfs.xfs -n ftype=1",
        ),
        Err(error) => Finding::bad(
            "storage-d-type",
            Severity::Note,
            TITLE,
            format!("{} cannot be listed: {error}", directory.display()),
            "run this as root",
        ),
    }
}

fn room(directory: &Path, usage: &filesystem::Usage) -> Finding {
    const TITLE: &str = "disk space";
    let detail =
        format!("{} MiB free of {} below {}", usage.free_bytes >> 20, usage.total_bytes >> 20, directory.display());
    let severity = match usage.free_bytes {
        ..SCARCE_BYTES => Severity::Error,
        SCARCE_BYTES..LOW_BYTES => Severity::Warning,
        _ => Severity::Ok,
    };
    if severity > Severity::Ok {
        return Finding::bad("storage-room", severity, TITLE, detail, "free some space, or choose another --data-root");
    }
    if usage.total_files > 0 && usage.free_files < LOW_FILES {
        let detail = format!("room for {} more files only below {}", usage.free_files, directory.display());
        let remedy = "remove small files, or make the file system with more inodes (mkfs.ext4 -N)";
        return Finding::bad("storage-room", Severity::Warning, TITLE, detail, remedy);
    }
    Finding::ok("storage-room", TITLE, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let mountinfo = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /var/lib rw - overlay overlay rw\n3 1 0:6 / /var/library rw - tmpfs t rw";
        Host { mountinfo: mountinfo.to_owned(), ..Host::default() }
    }

    #[test]
    fn the_deepest_mount_above_counts() {
        for (directory, expected) in
            [("/srv", Severity::Ok), ("/var/lib/corten", Severity::Error), ("/var/library", Severity::Note)]
        {
            assert_eq!(fitness(&host(), Path::new(directory)).severity, expected, "{directory}");
        }
    }

    #[test]
    fn room_is_judged_by_bytes_and_files() {
        let usage = |free_bytes, free_files| filesystem::Usage {
            total_bytes: 1 << 40,
            free_bytes,
            total_files: 1 << 30,
            free_files,
        };
        for (free_bytes, free_files, expected) in [
            (1 << 40, 1 << 30, Severity::Ok),
            (1 << 30, 1 << 30, Severity::Warning),
            (1 << 20, 1 << 30, Severity::Error),
            (1 << 40, 10, Severity::Warning),
        ] {
            assert_eq!(
                room(Path::new("/"), &usage(free_bytes, free_files)).severity,
                expected,
                "{free_bytes} {free_files}"
            );
        }
    }

    #[test]
    fn the_nearest_directory_is_looked_at() {
        assert_eq!(nearest(Path::new("/proc/no/such/thing")), Path::new("/proc"));
    }
}
