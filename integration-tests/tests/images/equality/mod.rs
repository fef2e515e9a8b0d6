//! What a layer becomes on disk: file by file what Debian's dockerd makes of it.
//!
//! `CORTEN_EQUALITY=full` compares a generated tree of 100 000 entries and a Debian root that mmdebstrap makes from the
//! package mirror (`CORTEN_EQUALITY_ROOT` names an archive to take in its place); otherwise the tree is smaller, and the
//! root is made of the host's own files.

mod generated;
mod listing;
mod roots;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use integration_tests::registry::{TestRegistry, gzip};
use integration_tests::{DockerCli, Kind, Stack};

use crate::{config, docker_archive};
use listing::listing;

/// Entries of the generated tree in `make test`, and when everything is asked for.
const ENTRIES: [u32; 2] = [1_500, 100_000];

fn is_full() -> bool {
    env::var("CORTEN_EQUALITY").is_ok_and(|text| text == "full")
}

/// dockerd, and cortend beside it.
struct Pair {
    theirs: Stack,
    ours: Stack,
    began: SystemTime,
}

impl Pair {
    fn start() -> Self {
        Self { theirs: Stack::start(Kind::Original), ours: Stack::start(Kind::Ours), began: SystemTime::now() }
    }

    /// Loads an archive of `layers` into both.
    fn load(&self, name: &str, layers: &[&[u8]]) {
        let path = self.ours.root().join("archive.tar");
        fs::write(&path, docker_archive(&config(layers), layers, &[name])).unwrap();
        for docker in [self.theirs.docker(), self.ours.docker()] {
            let _ = docker.run(&["load", "--input", path.to_str().unwrap()]).ok();
        }
        fs::remove_file(path).unwrap();
    }

    /// Asserts that the directories of an image's layers are alike; answers how many files that were.
    #[track_caller]
    fn assert_alike(&self, name: &str, original: &str) -> usize {
        let theirs = docker_layers(&self.theirs.docker(), original);
        let ours = our_layers(&self.ours, name);
        assert_eq!(ours.len(), theirs.len());
        ours.iter().zip(&theirs).map(|(ours, theirs)| self.assert_same_tree(ours, theirs)).sum()
    }

    #[track_caller]
    fn assert_same_tree(&self, ours: &Path, theirs: &Path) -> usize {
        let (ours, theirs) = (listing(ours, self.began), listing(theirs, self.began));
        for (name, seen) in &theirs {
            // dockerd passes over an entry of the root and shows one of its own making.
            if name.is_empty() {
                continue;
            }
            assert_eq!(ours.get(name), Some(seen), "{name:?}");
        }
        let more: Vec<_> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
        assert!(more.is_empty(), "dockerd has no {more:?}");
        ours.len()
    }
}

/// The directories of an image's layers, uppermost first.
fn docker_layers(docker: &DockerCli, name: &str) -> Vec<PathBuf> {
    let format = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}";
    let directories = docker.run(&["image", "inspect", "--format", format, name]).ok();
    directories.out().split(':').filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
}

/// Those below a container of it, which is not run.
fn our_layers(stack: &Stack, name: &str) -> Vec<PathBuf> {
    let id = stack.docker().run(&["create", "--network", "none", name, "true"]).ok();
    let mounts = stack.ctr().run(&["snapshots", "mounts", "/nowhere", id.out()]).ok();
    let _ = stack.docker().run(&["rm", id.out()]).ok();
    let lowers = mounts.out().split("lowerdir=").nth(1).unwrap().split([',', '\n']).next().unwrap();
    lowers.split(':').map(PathBuf::from).collect()
}

#[test]
fn an_image_is_on_disk_what_dockerd_makes_of_it() {
    let pair = Pair::start();
    let count = ENTRIES[usize::from(is_full())];
    let layers = [generated::first_layer(count), generated::second_layer(count)];
    let plain: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    pair.load("generated:1", &plain);
    let files = pair.assert_alike("generated:1", "generated:1");
    println!("{files} files of a generated tree are alike when they are loaded");

    // Elsewhere: the same layers are not unpacked twice, and removing them all takes minutes on a disk that discards.
    let pair = Pair { ours: Stack::start(Kind::Ours), ..pair };
    let registry = TestRegistry::start();
    let compressed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let layered = registry.put_layers("generated", config(&plain).to_string().as_bytes(), &compressed);
    registry.put_manifest("generated", Some("2"), &layered.manifest);
    let name = format!("{}/generated:2", registry.host());
    let _ = pair.ours.docker().run(&["pull", &name]).ok();
    println!("{} are so when they are pulled", pair.assert_alike(&name, "generated:1"));

    let sparse = roots::sparse(pair.ours.root());
    pair.load("sparse:1", &sparse.iter().map(Vec::as_slice).collect::<Vec<_>>());
    println!("{} files with holes are alike", pair.assert_alike("sparse:1", "sparse:1"));
    let (what, root) = roots::debian(pair.ours.root());
    pair.load("root:1", &[&root]);
    println!("{} files of {what} are alike", pair.assert_alike("root:1", "root:1"));
}
