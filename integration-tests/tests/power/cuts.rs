//! One cut after the other, each right after an answer and while more is being written: every file of every image that
//! was ever acknowledged is read and hashed after each, and so is every blob. A listing alone is what an engine passes
//! whose files have no bytes.

use std::{collections::BTreeMap, env, fs::File, io::Read, path::Path, thread};

use integration_tests::{DockerCli, ImageFiles, TempRoot, busybox, digest, docker_archive, registry::TestRegistry};

use crate::Machine;

/// Cuts, unless the environment says how many.
const CUTS: usize = 5;
const CUTS_VARIABLE: &str = "CORTEN_POWER_CUTS";

/// What files of an image hold: the digest of each by its path.
type Files = BTreeMap<String, String>;

/// A layer of files that only `number` has.
fn layer(number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        (0..length).map(|_| next()).collect()
    };
    let mut files: Vec<(String, Vec<u8>)> =
        (0..60).map(|file| (format!("data/{file}"), noise(1 + file * 300))).collect();
    files.push(("data/large".to_owned(), noise(1 << 20)));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, data)| (&name[..], &data[..])).collect();
    busybox::layer_with(&files)
}

/// The ordinary files in an archive.
fn files(archive: impl Read) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(archive).entries().expect("it is an archive") {
        let mut entry = entry.expect("the archive is whole");
        if entry.header().entry_type().is_file() {
            let mut data = Vec::new();
            let _ = entry.read_to_end(&mut data).expect("the archive is whole");
            let path = entry.path().expect("it has a name").display().to_string();
            files.insert(path.trim_start_matches("./").to_owned(), digest(&data));
        }
    }
    files
}

/// Makes image `number` in one of the ways there are; the answer has come when this returns.
fn acknowledged(docker: &DockerCli, root: &TempRoot, server: &TestRegistry, number: usize) -> (String, Files) {
    let layer = layer(number);
    let mut expected = files(&layer[..]);
    let image = ImageFiles::new(layer.clone(), &["true"]);
    let name = format!("cut:{number}");
    let file = root.join("archive.tar");
    let path = file.display().to_string();
    match number % 4 {
        0 => {
            std::fs::write(&file, docker_archive(&image, &[&name])).expect("the root is writable");
            let _ = docker.run(&["load", "--input", &path]).ok();
        }
        1 => {
            let _ = server.put_image("cut", &number.to_string(), &image);
            let name = format!("{}/cut:{number}", server.host());
            let _ = docker.run(&["pull", &name]).ok();
            return (name, expected);
        }
        2 => {
            std::fs::write(&file, &layer).expect("the root is writable");
            let _ = docker.run(&["import", &path, &name]).ok();
        }
        _ => {
            std::fs::write(&file, number.to_string()).expect("the root is writable");
            let _ = docker.run(&["create", "--name", "made", "--network", "none", "busybox", "true"]).ok();
            let _ = docker.run(&["cp", &path, "made:/committed"]).ok();
            let _ = docker.run(&["commit", "made", &name]).ok();
            let _ = docker.run(&["rm", "made"]).ok();
            expected = files(busybox::layer());
            expected.insert("committed".to_owned(), digest(number.to_string().as_bytes()));
        }
    }
    (name, expected)
}

/// Reads every file of `image` as a container sees it, and every blob as it is saved.
#[track_caller]
fn assert_whole(docker: &DockerCli, root: &TempRoot, image: &str, expected: &Files) {
    let file = root.join("exported.tar");
    let path = file.display().to_string();
    let read = |file: &Path| File::open(file).expect("it was written");
    let _ = docker.run(&["create", "--name", "read", "--network", "none", image, "true"]).ok();
    let _ = docker.run(&["export", "--output", &path, "read"]).ok();
    let _ = docker.run(&["rm", "read"]).ok();
    let found = files(read(&file));
    for (path, digest) in expected {
        assert_eq!(found.get(path), Some(digest), "{path} of {image}");
    }
    let _ = docker.run(&["save", "--output", &path, image]).ok();
    for (path, digest) in files(read(&file)) {
        if let Some(hex) = path.strip_prefix("blobs/sha256/") {
            assert_eq!(digest, format!("sha256:{hex}"), "{path} of {image}");
        }
    }
}

#[test]
fn every_file_of_every_acknowledged_image_survives_every_cut() {
    let cuts = env::var(CUTS_VARIABLE).map_or(CUTS, |text| text.parse().expect("the number of cuts is a number"));
    let (mut machine, docker) = Machine::with_busybox();
    let server = TestRegistry::start();
    let mut all = Vec::new();
    for number in 0..cuts {
        all.push(acknowledged(&docker, &machine.root, &server, number));
        // One that nobody was told of is under way.
        let unfinished = format!("unfinished:{number}");
        let archive = machine.root.join("unfinished.tar");
        let image = ImageFiles::new(layer(1000 + number), &["true"]);
        std::fs::write(&archive, docker_archive(&image, &[&unfinished])).expect("the root is writable");
        let other = DockerCli::newest(&machine.cortend.socket());
        let loading = thread::spawn(move || drop(other.run(&["load", "--input", &archive.display().to_string()])));
        machine.lose_power();
        loading.join().expect("it does not panic");
        for (image, expected) in &all {
            assert_whole(&docker, &machine.root, image, expected);
        }
        // It may be there, but then it is whole.
        if docker.run(&["image", "inspect", &unfinished]).code == 0 {
            assert_whole(&docker, &machine.root, &unfinished, &files(&image.layer[..]));
        }
    }
    println!("{cuts} cuts, {} images, every file of all of them read after each", all.len());
}
