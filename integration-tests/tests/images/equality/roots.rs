//! Layers as GNU tar writes them: of files with holes, of a whole system.

use std::{fs, os::unix::fs::FileExt, path::Path, process::Command};

use integration_tests::{Ran, TempRoot};

/// What of the host makes a root, where it is there: some hundred files.
const OF_THE_HOST: [&str; 4] = ["usr/lib/systemd", "usr/share/perl5", "usr/share/bash-completion", "bin"];

/// The same files with holes in each of the ways to write them down, a layer for each; GNU's own way dockerd refuses.
pub(super) fn sparse(root: &TempRoot) -> Vec<Vec<u8>> {
    let directory = root.make("sparse");
    let mut layers = Vec::new();
    for number in 0..3 {
        let home = directory.join(format!("f{number}"));
        fs::create_dir(&home).unwrap();
        let file = |name: &str, length: u64, data: &[u64]| {
            let file = fs::File::create(home.join(name)).unwrap();
            file.set_len(length).unwrap();
            for at in data {
                file.write_all_at(format!("data at {at}").as_bytes(), *at).unwrap();
            }
        };
        file("only-a-hole", 5_000_000, &[]);
        file("empty", 0, &[]);
        file("ends-in-a-hole", 1_000_001, &[0, 70_000]);
        file("begins-with-a-hole", 300_020, &[300_000]);
        file("odd", 123_457, &[4096, 65_536, 123_440]);
        // More pieces than a header has room for.
        file("many-pieces", 4_000_000, &(0..100).map(|piece| piece * 40_000).collect::<Vec<_>>());
        file(&"long".repeat(50), 200_000, &[100_000]);
        let mut tar = Command::new("tar");
        let version = ["0.0", "0.1", "1.0"][number];
        let _ = tar
            .args(["--sparse", "--format=posix", "--sparse-version", version])
            .arg("-C")
            .arg(&directory)
            .args(["-cf", "layer.tar"]);
        let _ = Ran::of(tar.current_dir(root.path()).arg(format!("f{number}"))).ok();
        layers.push(fs::read(root.join("layer.tar")).unwrap());
    }
    layers
}

/// The root of a Debian system, and what it is.
pub(super) fn debian(root: &TempRoot) -> (String, Vec<u8>) {
    if let Some(archive) = std::env::var_os("CORTEN_EQUALITY_ROOT") {
        return (format!("{}", Path::display(archive.as_ref())), fs::read(&archive).unwrap());
    }
    let path = root.join("root.tar");
    if super::is_full() {
        let mut mmdebstrap = Command::new("mmdebstrap");
        let ran = mmdebstrap.args(["--variant=minbase", "--mode=root", "stable"]).arg(&path).output();
        match ran {
            Ok(ran) if ran.status.success() => {
                return ("a root by mmdebstrap".to_owned(), fs::read(path).unwrap());
            }
            other => eprintln!("note: mmdebstrap makes no root here, so the host's own files are taken: {other:?}"),
        }
    }
    let names = OF_THE_HOST.iter().filter(|name| Path::new("/").join(name).exists());
    let mut tar = Command::new("tar");
    tar.args(["--format=posix", "--xattrs", "--xattrs-include=*", "--sort=name", "-C", "/", "-cf"]).arg(&path);
    let ran = Ran::of(tar.args(names));
    // 1: a file of the host changed while it was read.
    assert!(ran.code <= 1, "{ran:?}");
    ("the host's own".to_owned(), fs::read(path).unwrap())
}
