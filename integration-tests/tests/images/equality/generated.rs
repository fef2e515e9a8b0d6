//! Layers that hold every case a layer can: for comparing, so everything in them is allowed.

use corten_layers::{
    archive::{Entry, Kind},
    writer::{Writer, blank},
};

fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    Entry { path: path.into(), mode, mtime: (1_600_000_000, 0), ..blank(kind, 0) }
}

fn link(path: &str, kind: Kind, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(path, kind, 0o777) }
}

/// An entry of every kind, and `count` more with all that can vary in them.
pub(super) fn first_layer(count: u32) -> Vec<u8> {
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
    // One without a value docker sets since 28 only.
    add(Entry { xattrs: vec![(b"user.text".to_vec(), b"v".to_vec())], ..file("etc/x", 0o600, 1) });
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
    add(file("etc/replaced", 0o644, 3));
    for number in 0..count {
        many(number, &mut add);
    }
    tar.finish().unwrap()
}

/// Entries in one directory of the many.
const GROUP: u32 = 500;

fn directory_of(group: u32) -> Entry {
    let (mode, gid) = if group % 3 == 1 { (0o2775, 77) } else { (0o755, 0) };
    Entry { gid, ..entry(&format!("many/{group}/"), Kind::Directory, mode) }
}

/// One of the many: which kind it is goes by its number.
fn many(number: u32, add: &mut impl FnMut(Entry)) {
    let group = number / GROUP;
    if number.is_multiple_of(GROUP) {
        add(directory_of(group));
    }
    let at = |name: &str| format!("many/{group}/{name}");
    let path = at(&number.to_string());
    let mode = [0o644, 0o755, 0o600, 0o4711, 0o2755, 0o1644, 0, 0o7777][number as usize / 20 % 8];
    let mtime = (1_500_000_000 + i64::from(number), number * 1000 % 1_000_000_000);
    let (uid, gid) = (number % 3, number % 5);
    let owned = |path: &str, kind, size| Entry { uid, gid, mtime, size, ..entry(path, kind, mode) };
    let file =
        |path: &str| owned(path, Kind::File, if number % 1000 == 15 { 300_000 } else { u64::from(number % 700) });
    let attributes =
        |list: &[(&str, &[u8])]| list.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    match number % 20 {
        // To the file before, to one of another directory, to a link.
        1 => add(link(&path, Kind::HardLink, &at(&(number - 1).to_string()))),
        2 => add(link(&path, Kind::HardLink, "many/0/0")),
        3 => add(Entry {
            uid,
            gid,
            mtime,
            ..link(&path, Kind::Symlink, ["0", "/etc/x", "../../gone", ".."][number as usize / 20 % 4])
        }),
        4 => add(link(&path, Kind::HardLink, &at(&(number - 1).to_string()))),
        5 => add(Entry { uid, mtime, ..link(&path, Kind::Symlink, &"long/".repeat(60)) }),
        6 => {
            add(Entry { xattrs: attributes(&[("user.text", b"v"), ("user.binary", &[0, 255, 10, 61])]), ..file(&path) })
        }
        7 => add(Entry { xattrs: attributes(&[("user.long", &[b'l'; 1000]), ("trusted.own", b"t")]), ..file(&path) }),
        8 => add(Entry { xattrs: attributes(&[("security.capability", capability)]), ..file(&path) }),
        9 => {
            let mut directory = owned(&(path + "/"), Kind::Directory, 0);
            directory.xattrs = attributes(&[("user.of", b"directory"), ("trusted.own", b"t")]);
            add(directory);
        }
        10 => add(file(&at(&format!("{number}-{}", "n".repeat(90 + number as usize / 20 % 140))))),
        11 => add(file(&at(&format!("{number} \u{e4}\u{1f600}\t'\"\\\u{7f}")))),
        12 => add(owned(&path, Kind::Fifo, 0)),
        13 => add(Entry { rdev: (number % 511 + 1, number % 1000), ..owned(&path, Kind::CharDevice, 0) }),
        14 => add(Entry { rdev: (number % 4095, number), ..owned(&path, Kind::BlockDevice, 0) }),
        16 => {
            add(Entry { mtime: ([-1, -5_000_000_000, 4_294_967_296, 0][number as usize / 20 % 4], 0), ..file(&path) })
        }
        17 => add(Entry { uid: u32::MAX - 1, gid: 2_097_152, ..file(&path) }),
        // Below a directory of its own, which no entry names.
        18 => add(file(&at(&format!("{number}/unnamed/{}", "d/".repeat(number as usize / 20 % 12) + "f")))),
        _ => add(file(&path)),
    }
}

/// Takes away, replaces and hides some of what [`first_layer`] brought.
pub(super) fn second_layer(count: u32) -> Vec<u8> {
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
    for number in (0..count).step_by(20) {
        let (group, kind) = (number / GROUP, number % GROUP / 20);
        if kind == 0 {
            // Named, as those who write layers do: dockerd would make it anew, containerd and ours as it is below.
            tar.append(&directory_of(group), &mut std::io::empty()).unwrap();
        }
        let path = match kind {
            0 => format!("many/{group}/.wh.{number}"),
            1 => format!("many/{group}/.wh.{}", number + 7),
            2 => format!("many/{group}/{number}"),
            3 => format!("many/{group}/{}", number + 9),
            _ => continue,
        };
        tar.append(&entry(&path, Kind::File, 0o600), &mut std::io::empty()).unwrap();
    }
    tar.finish().unwrap()
}
