//! What can be seen of a tree.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStrExt, fs::FileTypeExt, fs::MetadataExt},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use corten_sys::{at, xattr};

/// Everything that can be seen of every file below `root`, by its path.
///
/// A directory that no archive named has the time when it was made, in each tree its own: after `began`.
pub(super) fn listing(root: &Path, began: SystemTime) -> BTreeMap<String, String> {
    let now = began.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut all = BTreeMap::new();
    let mut inodes: BTreeMap<u64, String> = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let stat = fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        let what = if kind.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            names.sort();
            names.reverse();
            todo.extend(names);
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("symlink {:?}", fs::read_link(&path).unwrap())
        } else if kind.is_file() {
            format!("file {}", crate::digest(&fs::read(&path).unwrap()))
        } else {
            format!("special {} {} {:x}", kind.is_char_device(), kind.is_block_device(), stat.rdev())
        };
        let parent = at::open_root(path.parent().unwrap()).unwrap();
        let (dir, last) = (std::os::fd::AsFd::as_fd(&parent), path.file_name().unwrap());
        let mut xattrs = Vec::new();
        for key in xattr::list(dir, last).unwrap_or_default() {
            // overlayfs' own memory of copies and kinds of layers, none of what the archive says.
            if key.as_bytes().starts_with(b"trusted.overlay.") && key != "trusted.overlay.opaque" {
                continue;
            }
            xattrs.push(format!("{key:?}={:?}", xattr::get(dir, last, &key).unwrap()));
        }
        xattrs.sort();
        let is_whiteout = kind.is_char_device() && stat.rdev() == 0;
        let shared = if kind.is_dir() || is_whiteout {
            String::new()
        } else {
            inodes.entry(stat.ino()).or_insert(name.clone()).clone()
        };
        let time = if kind.is_dir() && (now..now + 3600).contains(&stat.mtime()) {
            "now".to_owned()
        } else {
            format!("{}.{:09}", stat.mtime(), stat.mtime_nsec())
        };
        let size = if kind.is_dir() { 0 } else { stat.size() };
        // When a whiteout was made, and by whom it could be read, says nothing.
        let facts = if is_whiteout {
            String::new()
        } else {
            format!("{:o} {}:{} {size} {time}", stat.mode(), stat.uid(), stat.gid())
        };
        all.insert(name, format!("{what} {facts} {xattrs:?} {shared}"));
    }
    all
}
