//! What a layer becomes on disk: file by file what Debian's dockerd makes of it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStrExt, fs::FileTypeExt, fs::MetadataExt},
    path::Path,
};

use corten_containerd_api::{Labels, Snapshotter};
use corten_layers::{
    archive::{Entry, Kind},
    writer::{Writer, blank},
};
use corten_sys::{at, xattr};
use integration_tests::{Containerd, DockerCli, Dockerd, TempRoot};

use crate::{Host, config, docker_archive, runtime};

fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    Entry { path: path.into(), mode, mtime: (1_600_000_000, 0), ..blank(kind, 0) }
}

fn link(path: &str, kind: Kind, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(path, kind, 0o777) }
}

/// An entry of every kind, and `files` small files with varying owners, modes and times.
fn first_layer(files: u32) -> Vec<u8> {
    let deep = "deep/".repeat(30) + "est";
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let mut tar = Writer::new(Vec::new());
    let mut add = |entry: Entry| {
        let size = entry.size;
        tar.append(&entry, &mut std::io::Read::take(std::io::repeat(b'x'), size)).unwrap();
    };
    let file = |path: &str, mode, size| Entry { size, ..entry(path, Kind::File, mode) };
    add(Entry { uid: 3, gid: 4, ..entry("./", Kind::Directory, 0o750) });
    for name in ["etc/", "bin/", "tmp/", "dev/", "gone/", "opaque/", "many/"] {
        add(entry(name, Kind::Directory, if name == "tmp/" { 0o1777 } else { 0o755 }));
    }
    add(Entry { gid: 50, ..entry("shared/", Kind::Directory, 0o2775) });
    add(file("shared/inside", 0o644, 10));
    add(file("bin/setuid", 0o4755, 4096));
    add(Entry { uid: 7, gid: 8, ..file("bin/setgid", 0o2711, 100_000) });
    add(Entry { xattrs: vec![(b"security.capability".to_vec(), capability)], ..file("bin/capable", 0o755, 5) });
    add(Entry {
        xattrs: vec![(b"user.text".to_vec(), b"v".to_vec()), (b"user.empty".to_vec(), vec![])],
        ..file("etc/x", 0o600, 1)
    });
    add(Entry { uid: 5_000_000, gid: 4_000_000_000, ..file("etc/far", 0o644, 0) });
    add(Entry { mtime: (-100, 0), ..file("etc/before-1970", 0o644, 1) });
    add(Entry { mtime: (1_600_000_000, 123_456_789), ..file("etc/fraction", 0o644, 1) });
    add(Entry { mtime: (5_000_000_000, 0), ..file("etc/after-2038", 0o644, 1) });
    add(link("etc/alias", Kind::HardLink, "etc/x"));
    add(link("etc/third", Kind::HardLink, "./etc/x"));
    add(Entry { uid: 9, ..link("etc/symlink", Kind::Symlink, "../bin/setuid") });
    add(link("etc/second-symlink", Kind::HardLink, "etc/symlink"));
    add(link("etc/long", Kind::Symlink, &"l".repeat(1000)));
    add(Entry { rdev: (1, 3), ..entry("dev/null", Kind::CharDevice, 0o666) });
    add(Entry { rdev: (7, 300), gid: 6, ..entry("dev/loop", Kind::BlockDevice, 0o660) });
    add(entry("dev/pipe", Kind::Fifo, 0o622));
    add(file("gone/file", 0o644, 1));
    add(file("opaque/old", 0o644, 1));
    for (depth, _) in deep.match_indices('/') {
        add(entry(&deep[..=depth], Kind::Directory, 0o755));
    }
    add(file(&(deep + &"n".repeat(120)), 0o644, 3));
    add(file("etc/n\u{e4}me with \n and \u{1f600}", 0o644, 3));
    for number in 0..files {
        let mode = [0o644, 0o755, 0o600, 0o4711][number as usize % 4];
        let mtime = (1_500_000_000 + i64::from(number), number * 1000 % 1_000_000_000);
        let (uid, gid) = (number % 3, number % 5);
        add(Entry { uid, gid, mtime, ..file(&format!("many/{number}"), mode, u64::from(number % 700)) });
    }
    add(file("etc/replaced", 0o644, 3));
    tar.finish().unwrap()
}

fn second_layer() -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for (entry, size) in [
        (entry("etc/", Kind::Directory, 0o711), 0),
        (entry("etc/.wh.far", Kind::File, 0), 0),
        (entry("etc/replaced", Kind::File, 0o640), 4),
        (entry(".wh.gone", Kind::File, 0), 0),
        (entry("opaque/", Kind::Directory, 0o700), 0),
        (entry("opaque/.wh..wh..opq", Kind::File, 0), 0),
        (entry("opaque/new", Kind::File, 0o644), 2),
        (link("bin", Kind::Symlink, "usr/bin"), 0),
    ] {
        tar.append(&Entry { size, ..entry }, &mut std::io::Read::take(std::io::repeat(b'y'), size)).unwrap();
    }
    tar.finish().unwrap()
}

/// Everything that can be seen of every file below `root`, by its path.
fn listing(root: &Path) -> BTreeMap<String, String> {
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
        // When a whiteout was made, and by whom it could be read, says nothing.
        let facts = if is_whiteout {
            String::new()
        } else {
            format!("{:o} {}:{} {}.{:09}", stat.mode(), stat.uid(), stat.gid(), stat.mtime(), stat.mtime_nsec())
        };
        all.insert(name, format!("{what} {facts} {xattrs:?} {shared}"));
    }
    all
}

#[test]
fn an_image_is_on_disk_what_dockerd_makes_of_it() {
    runtime().block_on(async {
        let files = std::env::var("CORTEN_EQUALITY_FILES").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
        let (first, second) = (first_layer(files), second_layer());
        let archive = docker_archive(&config(&[&first, &second]), &[&first, &second], &["equal:1"]);
        let root = TempRoot::new();
        let path = root.join("archive.tar");
        fs::write(&path, &archive).unwrap();
        let containerd = Containerd::start(&root);
        let dockerd = Dockerd::start(&root, &containerd.address());
        let docker = DockerCli::newest(&dockerd.socket());
        let _ = docker.run(&["load", "--input", path.to_str().unwrap()]).ok();
        let format = "{{.GraphDriver.Data.UpperDir}} {{.GraphDriver.Data.LowerDir}}";
        let directories = docker.run(&["image", "inspect", "--format", format, "equal:1"]).ok().out().to_owned();

        let host = Host::supervisor();
        host.load(archive).await.unwrap();
        let image = host.catalog().resolve("equal:1").await.unwrap();
        let root_label = Labels::from([("containerd.io/gc.root".to_owned(), "seen".to_owned())]);
        let mounts = host.client.view("seen", image.details.top(), &root_label).await.unwrap();
        let lowers = mounts[0].options.iter().find_map(|option| option.strip_prefix("lowerdir=")).unwrap();
        let lowers: Vec<&str> = lowers.split(':').collect();

        for (ours, theirs) in lowers.iter().zip(directories.split(' ')) {
            let (ours, theirs) = (listing(Path::new(ours)), listing(Path::new(theirs)));
            for (name, seen) in &theirs {
                // dockerd passes over an entry of the root and shows one of its own making.
                if name.is_empty() {
                    continue;
                }
                assert_eq!(ours.get(name), Some(seen), "{name:?}");
            }
            assert_eq!(
                ours.len(),
                theirs.len(),
                "{:?}",
                ours.keys().filter(|name| !theirs.contains_key(*name)).collect::<Vec<_>>()
            );
        }
        assert_eq!(lowers.len(), directories.split(' ').count());
    });
}
