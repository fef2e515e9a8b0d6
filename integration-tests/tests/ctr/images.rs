//! Debian's ctr with images: out of and into a registry and archives, checked, mounted and unpacked by ctr itself
//! (`Prepare`, `Diff.Apply`, `Commit`), on containerd and on our supervisor.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use integration_tests::registry::TestRegistry;
use integration_tests::{Ctr, ImageFiles, busybox, digest, mounts};

use crate::{Host, IMAGE};

/// The digest that `ctr image ls` shows.
fn listed(ctr: &Ctr, name: &str) -> String {
    let listed = ctr.run(&["images", "ls"]).ok().stdout;
    let line = listed.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{listed}"));
    line.split_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn images_come_and_go_by_registry_and_archive_with_the_same_digests() {
    let registry = TestRegistry::start();
    let image = ImageFiles::new(busybox::layer_with(&[("more", b"of it")]), &["sh"]);
    let pulled = registry.put_image("a/b", "1", &image);
    let name = format!("{}/a/b:1", registry.host());
    for host in Host::both() {
        let ctr = &host.original;
        let told = ctr.run(&["images", "pull", "--plain-http", &name]).ok();
        assert!(told.stdout.contains("unpacking linux/"), "{told:?}");
        assert_eq!(listed(ctr, &name), pulled.manifest.digest());

        // What was unpacked by ctr is found by its chain, and is what the layer holds.
        let snapshots = ctr.run(&["snapshots", "ls"]).ok().stdout;
        let chain = digest(&image.layer);
        assert!(snapshots.lines().any(|line| line.starts_with(&chain) && line.contains("Committed")), "{snapshots}");

        let file = host.root.join("exported.tar").display().to_string();
        let _ = ctr.run(&["images", "export", &file, &name]).ok();
        let _ = ctr.run(&["images", "rm", "--sync", &name]).ok();
        assert!(!ctr.run(&["snapshots", "ls"]).ok().stdout.contains(&chain));
        let _ = ctr.run(&["images", "import", &file]).ok();
        assert_eq!(listed(ctr, &name), pulled.manifest.digest());

        let other = format!("{}/c/d:2", registry.host());
        let _ = ctr.run(&["images", "tag", &name, &other]).ok();
        let _ = ctr.run(&["images", "push", "--plain-http", &other]).ok();
        assert_eq!(registry.manifest("c/d", "2").unwrap().data, pulled.manifest.data);

        // Ours reads what ctr unpacked, and what it exports ctr reads.
        let file = host.root.join("ours.tar").display().to_string();
        let exported = host.ours.run(&["images", "export", &file, &name]);
        if exported.code == 0 {
            let _ = ctr.run(&["images", "rm", "--sync", &name, &other]).ok();
            let _ = ctr.run(&["images", "import", &file]).ok();
            assert_eq!(listed(ctr, &name), pulled.manifest.digest());
        }
        let missing = ctr.run(&["images", "pull", "--plain-http", &format!("{}/no:1", registry.host())]);
        assert!(missing.code == 1 && missing.stderr.contains("not found"), "{missing:?}");
    }
}

#[test]
fn a_check_tells_what_is_there_of_an_image() {
    for host in Host::both() {
        let check = |arguments: &[&str]| host.original.run(&[&["images", "check"], arguments].concat()).ok().stdout;
        let whole = check(&[]);
        let line = whole.lines().find(|line| line.starts_with(IMAGE)).unwrap_or_else(|| panic!("{whole}"));
        assert!(line.contains("complete (2/2)") && line.trim_end().ends_with("true"), "{line}");
        assert_eq!(check(&["-q"]).trim(), IMAGE);
        let content = host.original.run(&["content", "ls"]).ok().stdout;
        let layer = content.lines().find(|line| line.contains("containerd.io/uncompressed=")).unwrap();
        let _ = host.original.run(&["content", "rm", layer.split_whitespace().next().unwrap()]).ok();
        let part = check(&[]);
        assert!(part.contains("incomplete (1/2)"), "{part}");
    }
}

#[test]
fn an_image_is_mounted_read_or_written_and_leaves_nothing() {
    for host in Host::both() {
        let target = host.root.make("mounted");
        let at = target.display().to_string();
        let is_mounted = || mounts().iter().any(|mount| mount.target == target);
        for flags in [&[][..], &["--rw"]] {
            let mount = host.original.run(&[&["images", "mount"], flags, &[IMAGE, &at]].concat());
            let _ = mount.ok();
            assert!(is_mounted());
            let program = fs::metadata(target.join("bin/busybox")).unwrap();
            assert_eq!((program.mode() & 0o7777, program.uid()), (0o755, 0));
            assert_eq!(digest(&fs::read(target.join("etc/passwd")).unwrap()), digest(&passwd()));
            assert_eq!(fs::write(target.join("new"), "x").is_ok(), !flags.is_empty());
            let _ = host.original.run(&["images", "unmount", "--rm", &at]).ok();
            assert!(!is_mounted());
        }
        let snapshots = host.original.run(&["snapshots", "ls"]).ok().stdout;
        assert!(!snapshots.contains("Active") && !snapshots.contains("View"), "{snapshots}");
        assert!(!Path::new(&at).join("new").exists());
    }
}

/// `etc/passwd` of the image.
fn passwd() -> Vec<u8> {
    let mut layer = tar::Archive::new(busybox::layer());
    let mut entries = layer.entries().unwrap();
    let mut entry = entries.find_map(|entry| entry.ok().filter(|entry| entry.path_bytes().ends_with(b"etc/passwd")));
    let mut data = Vec::new();
    std::io::Read::read_to_end(entry.as_mut().unwrap(), &mut data).unwrap();
    data
}
