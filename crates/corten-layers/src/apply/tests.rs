//! Layers applied: what is made, and what is refused.

use super::*;
use crate::archive::{Entry, Kind};
use crate::tree;
use crate::writer::{Writer as Tar, blank};
use corten_sys::xattr;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::{FileTypeExt, symlink};

fn entry(path: &str, kind: Kind) -> Entry {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    Entry { path: path.into(), mode, mtime: (1_000_000_000, 0), ..blank(kind, 0) }
}

fn file(path: &str) -> Entry {
    Entry { size: 4, ..entry(path, Kind::File) }
}

fn link(path: &str, kind: Kind, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(path, kind) }
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Tar::new(Vec::new());
    for entry in entries {
        tar.append(entry, &mut &b"data"[..]).unwrap();
    }
    tar.finish().unwrap()
}

/// A host with something to attack beside the directory applied to.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("corten-layers-").tempdir().unwrap();
        for name in ["upper", "lower", "outside"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("outside/secret"), "host").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn overlay(&self, entries: &[Entry]) -> Result<Applied, ApplyError> {
        apply(&archive(entries)[..], &Target::overlay(self.path("upper"), vec![self.path("lower")]))
    }

    fn plain(&self, entries: &[Entry]) -> Result<Applied, ApplyError> {
        apply_plain(&archive(entries)[..], &self.path("upper"))
    }

    fn assert_outside_untouched(&self) {
        assert_eq!(fs::read_dir(self.path("outside")).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(self.path("outside/secret")).unwrap(), "host");
    }
}

#[test]
fn escapes_are_refused_or_stay_inside() {
    let device = Entry { rdev: (0, 0), ..entry("gone", Kind::CharDevice) };
    let outside = "../outside";
    for (entries, message) in [
        (vec![file("../outside/x")], "entry 1 \"../outside/x\": leaves the root filesystem"),
        (vec![file("a/../../outside/x")], "leaves the root filesystem"),
        (vec![link("l", Kind::HardLink, "../outside/secret")], "hard link to \"../outside/secret\": leaves"),
        (vec![link("l", Kind::HardLink, "missing")], "hard link to \"missing\": no such file"),
        (vec![entry("d/", Kind::Directory), link("l", Kind::HardLink, "d")], "a directory has one name only"),
        (vec![entry("../../outside/.wh.secret", Kind::File)], "leaves the root filesystem"),
        (vec![entry("a/.wh...", Kind::File)], "the whiteout names no file"),
        (vec![entry(".wh.", Kind::File)], "the whiteout names no file"),
        (vec![device], "would hide a file of a lower layer"),
        (vec![entry("./", Kind::Fifo)], "can only be a directory"),
        (vec![link(".", Kind::Symlink, outside)], "can only be a directory"),
        (vec![file("f"), file("f/x")], "Not a directory"),
        (vec![link("a", Kind::Symlink, "b"), link("b", Kind::Symlink, "a"), file("a/x")], "symbolic links"),
    ] {
        for form in [Form::Overlay, Form::Plain] {
            let host = Host::new();
            let result = if form == Form::Overlay { host.overlay(&entries) } else { host.plain(&entries) };
            let error = corten_types::error::chain(&result.unwrap_err());
            assert!(error.contains(message), "{error} instead of {message}");
            host.assert_outside_untouched();
        }
    }
}

#[test]
fn links_out_of_the_tree_lead_nowhere_else() {
    let host = Host::new();
    let absolute = host.path("outside").display().to_string();
    host.overlay(&[
        link("up", Kind::Symlink, "../outside"),
        file("up/one"),
        link("abs", Kind::Symlink, &absolute),
        file("abs/two"),
        entry("abs/.wh.secret", Kind::File),
        link("hard", Kind::HardLink, "/up/one"),
    ])
    .unwrap();
    host.assert_outside_untouched();
    assert_eq!(fs::read_to_string(host.path("upper/outside/one")).unwrap(), "data");
    assert_eq!(fs::read_to_string(host.path("upper/hard")).unwrap(), "data");
}

#[test]
fn a_symlink_swapped_in_for_a_directory_is_not_followed_out() {
    let host = Host::new();
    let absolute = host.path("outside").display().to_string();
    host.overlay(&[entry("d/", Kind::Directory), file("d/a"), link("d", Kind::Symlink, &absolute), file("d/secret")])
        .unwrap();
    host.assert_outside_untouched();
}

#[test]
fn whiteouts_hide_what_lies_below_and_spare_the_layers_own() {
    let host = Host::new();
    fs::create_dir_all(host.path("lower/d")).unwrap();
    fs::write(host.path("lower/gone"), "").unwrap();
    host.overlay(&[
        entry(".wh.gone", Kind::File),
        file("kept"),
        entry(".wh.kept", Kind::File),
        entry(".wh.d", Kind::File),
        file("d/new"),
        entry("o/", Kind::Directory),
        entry("o/.wh..wh..opq", Kind::File),
        entry(".wh..wh.plnk", Kind::File),
    ])
    .unwrap();
    let upper = at::open_root(&host.path("upper")).unwrap();
    assert!(at::stat(upper.as_fd(), OsStr::new("gone")).unwrap().is_whiteout());
    assert_eq!(fs::read_to_string(host.path("upper/kept")).unwrap(), "data");
    assert!(tree::is_opaque(upper.as_fd(), OsStr::new("d")).unwrap());
    assert!(tree::is_opaque(upper.as_fd(), OsStr::new("o")).unwrap());
    assert!(!host.path("upper/.wh..wh.plnk").exists());
}

#[test]
fn a_layer_on_its_own_keeps_what_it_hides_and_says_when_it_needs_what_lies_below() {
    let staged = |host: &Host, entries: &[Entry]| apply(&archive(entries)[..], &Target::staged(host.path("upper")));
    let host = Host::new();
    let directory = entry("o/", Kind::Directory);
    staged(&host, &[entry(".wh.gone", Kind::File), directory, entry("o/.wh..wh..opq", Kind::File), file("o/new")])
        .unwrap();
    let upper = at::open_root(&host.path("upper")).unwrap();
    assert!(at::stat(upper.as_fd(), OsStr::new("gone")).unwrap().is_whiteout());
    assert!(tree::is_opaque(upper.as_fd(), OsStr::new("o")).unwrap());
    for entries in [&[file("var/spool/job")][..], &[link("alias", Kind::HardLink, "bin/tool")]] {
        let error = staged(&Host::new(), entries).unwrap_err();
        assert!(matches!(error, ApplyError::NeedsLower { number: 1, .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    }
}

#[test]
fn whiteouts_in_a_plain_directory_remove() {
    let host = Host::new();
    fs::create_dir_all(host.path("upper/o/old")).unwrap();
    fs::write(host.path("upper/gone"), "").unwrap();
    host.plain(&[entry(".wh.gone", Kind::File), file("o/new"), entry("o/.wh..wh..opq", Kind::File)]).unwrap();
    assert!(!host.path("upper/gone").exists());
    assert!(!host.path("upper/o/old").exists());
    assert!(host.path("upper/o/new").exists());
}

#[test]
fn a_hard_link_to_a_lower_file_copies_it_up() {
    let host = Host::new();
    fs::create_dir(host.path("lower/bin")).unwrap();
    fs::write(host.path("lower/bin/tool"), "lower").unwrap();
    host.overlay(&[link("bin/alias", Kind::HardLink, "bin/tool")]).unwrap();
    let ids = |name: &str| fs::metadata(host.path(name)).unwrap().ino();
    assert_eq!(ids("upper/bin/alias"), ids("upper/bin/tool"));
    assert_eq!(fs::read_to_string(host.path("upper/bin/alias")).unwrap(), "lower");

    let hidden = host.overlay(&[entry("bin/.wh.tool", Kind::File), link("bin/other", Kind::HardLink, "bin/missing")]);
    assert!(hidden.is_err());
}

#[test]
fn metadata_is_kept() {
    let host = Host::new();
    host.overlay(&[
        Entry { mode: 0o4750, uid: 12, gid: 34, mtime: (77, 5), ..file("setuid") },
        Entry {
            xattrs: vec![
                (b"user.k".to_vec(), b"v".to_vec()),
                (b"user.none".to_vec(), Vec::new()),
                (b"trusted.overlay.opaque".to_vec(), b"y".to_vec()),
            ],
            ..file("attr")
        },
        Entry { mode: 0o1777, mtime: (99, 0), ..entry("tmp/", Kind::Directory) },
        file("tmp/inside"),
        Entry { mode: 0o2755, gid: 50, ..entry("shared/", Kind::Directory) },
        file("shared/file"),
        file("shared/unnamed/file"),
        Entry { mtime: (55, 0), uid: 7, ..link("sym", Kind::Symlink, "nowhere") },
        Entry { rdev: (1, 3), mode: 0o666, ..entry("null", Kind::CharDevice) },
        entry("pipe", Kind::Fifo),
        Entry { mtime: (-5, 0), ..file("old") },
    ])
    .unwrap();
    let stat = |name: &str| fs::symlink_metadata(host.path("upper").join(name)).unwrap();
    let setuid = stat("setuid");
    assert_eq!((setuid.mode() & 0o7777, setuid.uid(), setuid.gid()), (0o4750, 12, 34));
    assert_eq!((setuid.mtime(), setuid.mtime_nsec()), (77, 5));
    assert_eq!((stat("tmp").mode() & 0o7777, stat("tmp").mtime()), (0o1777, 99));
    assert_eq!(stat("shared/file").gid(), 0);
    let unnamed = stat("shared/unnamed");
    assert_eq!((unnamed.mode() & 0o7777, unnamed.gid()), (0o2755, 0));
    assert_eq!((stat("sym").mtime(), stat("sym").uid()), (55, 7));
    assert_eq!((stat("null").rdev(), stat("null").mode() & 0o777), (0x103, 0o666));
    assert!(stat("pipe").file_type().is_fifo());
    assert_eq!(stat("old").mtime(), 0);
    let upper = at::open_root(&host.path("upper")).unwrap();
    let name = OsStr::new("attr");
    assert_eq!(xattr::list(upper.as_fd(), name).unwrap(), ["user.k", "user.none"]);
}

#[test]
fn a_later_entry_of_the_same_name_wins() {
    let host = Host::new();
    host.overlay(&[
        entry("a/", Kind::Directory),
        file("a/x"),
        file("a"),
        file("b"),
        entry("b/", Kind::Directory),
        file("b/y"),
        file("c"),
        link("c", Kind::HardLink, "c"),
    ])
    .unwrap();
    assert!(host.path("upper/a").is_file());
    assert!(host.path("upper/b/y").is_file());
    assert!(host.path("upper/c").is_file());
}

#[test]
fn missing_parents_take_after_the_lower_ones() {
    let host = Host::new();
    fs::create_dir_all(host.path("lower/var/spool")).unwrap();
    fs::set_permissions(host.path("lower/var/spool"), std::os::unix::fs::PermissionsExt::from_mode(0o1770)).unwrap();
    symlink("/usr/lib", host.path("lower/lib")).unwrap();
    host.overlay(&[file("var/spool/job"), link("lib64", Kind::Symlink, "usr/lib64"), file("lib64/ld")]).unwrap();
    assert_eq!(fs::metadata(host.path("upper/var/spool")).unwrap().mode() & 0o7777, 0o1770);
    assert!(host.path("upper/usr/lib64/ld").is_file());
}

#[test]
fn truncated_and_damaged_archives_are_told_apart_from_short_ones() {
    let host = Host::new();
    let whole = archive(&[file("one"), file("two")]);
    let target = Target::plain(host.path("upper"));
    for (bytes, message) in [
        (&whole[..whole.len() - 1024 - 512 + 2], "truncated in entry 2 \"two\""),
        (&whole[..700], "truncated in entry 1 \"one\""),
        (&whole[..1024 + 100], "truncated in entry 2"),
        (&b"this is no archive, whatever it calls itself".repeat(30)[..], "entry 1: invalid tar header"),
    ] {
        let error = apply(bytes, &target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let text = corten_types::error::chain(&error);
        assert!(text.contains(message), "{text} instead of {message}");
    }
    // docker accepts an archive without its end marker.
    assert_eq!(apply(&whole[..whole.len() - 1024], &target).unwrap().entries, 2);
    assert_eq!(apply(&b""[..], &target).unwrap().entries, 0);
}

#[test]
fn digests_cover_the_whole_stream() {
    let host = Host::new();
    let whole = archive(&[file("one")]);
    let compressed = zstd::encode_all(&whole[..], 1).unwrap();
    let target = Target::plain(host.path("upper"));
    let plain = apply(&whole[..], &target).unwrap();
    let packed = apply(&compressed[..], &target).unwrap();
    assert_eq!(plain.diff_id, packed.diff_id);
    assert_eq!((plain.size, packed.compressed_size), (whole.len() as u64, compressed.len() as u64));
    assert_eq!((plain.compressed == plain.diff_id, packed.compressed == packed.diff_id), (true, false));
}
