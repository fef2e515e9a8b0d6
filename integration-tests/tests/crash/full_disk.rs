//! The disk is full in the middle of a pull or a load: the error says so and names what did not fit, what was written
//! goes, the daemons live, and with more room the same succeeds.

use std::{path::PathBuf, process::Command};

use integration_tests::registry::TestRegistry;
use integration_tests::{
    Answer, DEADLINE, EngineApi, ImageFiles, Kind, Ran, Stack, TempRoot, busybox, docker_archive, try_for,
};
use serde_json::Value;

use crate::images::noise;
use crate::operation::expect;
use crate::reality::run_image;

/// What the daemons have for all of their files: far more than busybox takes.
const ROOM_BYTES: usize = 48 << 20;
/// What a failure may leave behind: pages of the database and of directories.
const SLACK_BYTES: u64 = 1 << 20;

/// Daemons on a small file system of their own.
struct Small {
    stack: Stack,
    data: PathBuf,
    used: u64,
}

impl Small {
    fn new() -> Small {
        let root = TempRoot::new();
        let data = root.make("cortend/data");
        let options = format!("size={ROOM_BYTES}");
        let _ = Ran::of(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&data)).ok();
        let stack = Stack::start_in(root, Kind::Ours);
        stack.load_busybox();
        run_image(&stack.api(), "busybox").expect("busybox runs");
        let mut small = Small { stack, data, used: 0 };
        small.used = small.used();
        small
    }

    fn used(&self) -> u64 {
        let ran = Ran::of(Command::new("df").args(["--block-size=1", "--output=used"]).arg(&self.data)).ok();
        ran.stdout.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("df prints a number")
    }

    /// `work` fails for want of room, names what `named` says, and leaves the room as it was; with more room it succeeds.
    fn run(self, name: &str, named: &str, work: impl Fn(&EngineApi) -> Answer) {
        let api = self.stack.api();
        let refused = work(&api).text();
        assert!(
            refused.to_lowercase().contains("no space left on device") && refused.contains(named),
            "{named}: {refused}"
        );
        let mut used = 0;
        let is_returned = try_for(DEADLINE, || {
            used = self.used();
            used <= self.used + SLACK_BYTES
        });
        assert!(is_returned, "{} bytes were used, {used} are after: {refused}", self.used);
        assert_eq!(expect("inspect", api.get("/images/json")).json().as_array().map(Vec::len), Some(1));
        run_image(&api, "busybox").expect("busybox still runs");
        let _ = Ran::of(Command::new("mount").args(["-o", "remount,size=512m"]).arg(&self.data)).ok();
        let answer = work(&api);
        assert!(answer.is_ok() && !answer.text().contains("errorDetail"), "{}", answer.text());
        run_image(&api, name).expect("the image is whole");
    }
}

/// An image of about so many bytes, compressed or not.
fn image(bytes: usize) -> ImageFiles {
    ImageFiles::new(busybox::layer_with(&[("noise", &noise(bytes))]), &["true"])
}

fn pull(bytes: usize, named: impl Fn(&str) -> String) {
    let registry = TestRegistry::start();
    let layer = registry.put_image("large", "1", &image(bytes)).layers.remove(0);
    let name = format!("{}/large:1", registry.host());
    let path = format!("/images/create?fromImage={}/large&tag=1", registry.host());
    Small::new().run(&name, &named(&layer), |api| api.post(&path, &Value::Null).expect("the daemons answer"));
}

fn load(bytes: usize, named: &str) {
    let archive = docker_archive(&image(bytes), &["large:latest"]);
    let load = |api: &EngineApi| api.send("POST", "/images/load", "application/x-tar", &archive);
    Small::new().run("large", named, |api| load(api).expect("the daemons answer"));
}

#[test]
fn a_pull_whose_blob_does_not_fit_returns_the_space() {
    pull(ROOM_BYTES + (8 << 20), str::to_owned);
}

#[test]
fn a_pull_whose_files_do_not_fit_returns_the_space() {
    pull(ROOM_BYTES / 3 * 2, str::to_owned);
}

#[test]
fn a_load_whose_blob_does_not_fit_returns_the_space() {
    load(ROOM_BYTES + (8 << 20), "layer");
}

#[test]
fn a_load_whose_files_do_not_fit_returns_the_space() {
    load(ROOM_BYTES / 3 * 2, "noise");
}
