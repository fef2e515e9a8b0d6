//! Loading and saving images, beside docker, containerd and podman, with the page cache dropped before each.
//!
//! The floor is what the machine takes to read the archive, to write its layers with tar(1) and to have them on the
//! disk (syncfs): a row may be `1.25 × floor` where that is more than its ratio of the fastest of the others.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use corten_sys::at;
use integration_tests::{Ctr, DockerCli, Kind, Ran, Stack, TempRoot, digest, programs};
use serde_json::json;

use crate::compare::Report;

/// Turns of each tool; the best counts, since what else runs on the machine only ever adds.
const ROUNDS: usize = 2;
/// The most a row may be of the floor.
const OF_FLOOR: f64 = 1.25;

/// What is measured: an image's shape and the ratio promised for loading it.
struct Shape {
    name: &'static str,
    layers: usize,
    files: usize,
    bytes: usize,
    load: f64,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "1 layer, 300 MB", layers: 1, files: 11_000, bytes: 300 << 20, load: 0.35 },
    Shape { name: "12 layers, 192 MB", layers: 12, files: 300, bytes: 16 << 20, load: 0.35 },
    Shape { name: "50 000 files, 71 MB", layers: 1, files: 50_000, bytes: 71 << 20, load: 0.55 },
];

/// Measures it.
pub fn measure(report: &mut Report) {
    let root = TempRoot::new();
    let (ours, theirs) = (Stack::start(Kind::Ours), Stack::start(Kind::Original));
    let podman = Podman(root.make("podman"));
    for shape in &SHAPES {
        let archive = archive(&root, shape);
        let tools = Tools { ours: &ours.docker(), docker: &theirs.docker(), ctr: &theirs.ctr(), podman: &podman };
        let load = |round| tools.load(&archive, round, &root);
        let times = best((0..ROUNDS).map(load).collect());
        row(report, &format!("load: {}", shape.name), &times, shape.load);
        if shape.layers == 1 && shape.files < 20_000 {
            let times = best((0..ROUNDS).map(|_| tools.save(&root, &archive)).collect());
            row(report, &format!("save: {}", shape.name), &times, 0.3);
        }
        tools.remove();
        fs::remove_file(&archive).expect("the archive was written here");
    }
}

/// Seconds of one round: ours, docker, containerd, podman, floor.
type Times = [Duration; 5];

fn best(rounds: Vec<Times>) -> Times {
    let mut best = rounds[0];
    for times in &rounds[1..] {
        for (kept, time) in best.iter_mut().zip(times) {
            *kept = (*kept).min(*time);
        }
    }
    best
}

fn row(report: &mut Report, what: &str, times: &Times, ratio: f64) {
    let [ours, docker, ctr, podman, floor] = *times;
    let fastest = docker.min(ctr).min(podman);
    let allowed = (fastest.as_secs_f64() * ratio).max(floor.as_secs_f64() * OF_FLOOR);
    let by_floor = allowed > fastest.as_secs_f64() * ratio;
    report.ratio(what, ours, fastest, allowed / fastest.as_secs_f64());
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    let decided = if by_floor { format!(", decided by {OF_FLOOR} × floor") } else { String::new() };
    println!(
        "    s: ours {}, docker {}, containerd {}, podman {}, floor {}{decided}",
        seconds(ours),
        seconds(docker),
        seconds(ctr),
        seconds(podman),
        seconds(floor)
    );
}

/// Everybody who loads and saves.
struct Tools<'a> {
    ours: &'a DockerCli,
    docker: &'a DockerCli,
    ctr: &'a Ctr,
    podman: &'a Podman,
}

const IMAGE: &str = "docker.io/library/measured:1";

impl Tools<'_> {
    fn load(&self, archive: &Path, round: usize, root: &TempRoot) -> Times {
        if round > 0 {
            self.remove();
        }
        let file = archive.to_str().expect("roots have plain names");
        [
            cold(|| drop(self.ours.run(&["load", "--input", file]).ok())),
            cold(|| drop(self.docker.run(&["load", "--input", file]).ok())),
            cold(|| drop(self.ctr.run(&["images", "import", file]).ok())),
            cold(|| self.podman.run(&["load", "--input", file])),
            floor(archive, root),
        ]
    }

    fn save(&self, root: &TempRoot, archive: &Path) -> Times {
        let path = root.join("saved.tar");
        let file = path.to_str().expect("roots have plain names");
        let write = |work: &dyn Fn()| {
            let _ = fs::remove_file(&path);
            cold(work)
        };
        [
            write(&|| drop(self.ours.run(&["save", "--output", file, "measured:1"]).ok())),
            write(&|| drop(self.docker.run(&["save", "--output", file, "measured:1"]).ok())),
            write(&|| drop(self.ctr.run(&["images", "export", file, IMAGE]).ok())),
            write(&|| self.podman.run(&["save", "--output", file, "measured:1"])),
            write(&|| {
                fs::copy(archive, &path).expect("the root is writable");
                // docker's and our clients sync what they wrote.
                File::open(&path).and_then(|file| file.sync_all()).expect("the file can be synced");
            }),
        ]
    }

    fn remove(&self) {
        let _ = self.ours.run(&["rmi", "measured:1"]).ok();
        let _ = self.docker.run(&["rmi", "measured:1"]).ok();
        let _ = self.ctr.run(&["images", "rm", "--sync", IMAGE]).ok();
        self.podman.run(&["rmi", "--force", "measured:1"]);
    }
}

/// Podman without a service, on roots of its own.
struct Podman(PathBuf);

impl Podman {
    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new(programs::original("podman"));
        command.arg("--root").arg(self.0.join("root")).arg("--runroot").arg(self.0.join("run"));
        let _ = Ran::of(command.args(["--storage-driver", "overlay"]).args(arguments)).ok();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // It leaves its own storage mounted.
        let _ = Command::new("umount").arg(self.0.join("root/overlay")).stderr(Stdio::null()).status();
    }
}

/// Times `work` with nothing in the page cache and nothing left to write.
fn cold(work: impl FnOnce()) -> Duration {
    Command::new("sync").status().expect("sync is there");
    fs::write("/proc/sys/vm/drop_caches", "3").expect("only root measures");
    let started = Instant::now();
    work();
    started.elapsed()
}

/// Reads the archive, writes each layer with tar(1), and has all of it on the disk.
fn floor(archive: &Path, root: &TempRoot) -> Duration {
    let target = root.make("floor");
    let took = cold(|| {
        let mut all = tar::Archive::new(File::open(archive).expect("it was written here"));
        for (number, entry) in all.entries().expect("it is an archive").enumerate() {
            let mut entry = entry.expect("it is an archive");
            if !entry.path().is_ok_and(|path| path.ends_with("layer.tar")) {
                continue;
            }
            let layer = root.make(format!("floor/{number}"));
            let mut tar =
                Command::new("tar").arg("-xC").arg(&layer).stdin(Stdio::piped()).spawn().expect("tar is there");
            let mut pipe = tar.stdin.take().expect("it was piped");
            let mut buffer = vec![0; 256 << 10];
            loop {
                let read = entry.read(&mut buffer).expect("it is an archive");
                if read == 0 {
                    break;
                }
                pipe.write_all(&buffer[..read]).expect("tar reads");
            }
            drop(pipe);
            assert!(tar.wait().expect("tar ends").success());
        }
        let directory = at::open_root(&target).expect("it was made here");
        at::syncfs(std::os::fd::AsFd::as_fd(&directory)).expect("it can be synced");
    });
    fs::remove_dir_all(&target).expect("it was made here");
    took
}

/// An archive as docker saved it before 25, which all of them load.
fn archive(root: &TempRoot, shape: &Shape) -> PathBuf {
    let path = root.join("measured.tar");
    let mut out = tar::Builder::new(File::create(&path).expect("the root is writable"));
    let (mut diff_ids, mut places) = (Vec::new(), Vec::new());
    for number in 0..shape.layers {
        let layer = layer(shape, number);
        let diff_id = digest(&layer);
        let place = format!("{}/layer.tar", diff_id.trim_start_matches("sha256:"));
        append(&mut out, &place, &layer);
        diff_ids.push(diff_id);
        places.push(place);
    }
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    append(&mut out, "config.json", config.to_string().as_bytes());
    let manifest = json!([{"Config": "config.json", "RepoTags": ["measured:1"], "Layers": places}]);
    append(&mut out, "manifest.json", manifest.to_string().as_bytes());
    out.finish().expect("the root is writable");
    path
}

fn append(out: &mut tar::Builder<impl Write>, name: &str, data: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    out.append_data(&mut header, name, data).expect("the root is writable");
}

/// A layer of files of about equal size in directories of a hundred, which compresses to a third.
fn layer(shape: &Shape, number: usize) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::with_capacity(shape.bytes + shape.files * 1024));
    let size = shape.bytes / shape.files;
    let mut state = 88_172_645_463_325_252_u64 + number as u64;
    let mut data = vec![0_u8; size];
    for file in 0..shape.files {
        if file % 100 == 0 {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            let name = format!("layer{number}/directory{}/", file / 100);
            layer.append_data(&mut header, name, std::io::empty()).expect("memory takes it");
        }
        for piece in data.chunks_mut(24) {
            // xorshift; two thirds of each piece stay zero.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let length = piece.len().min(8);
            piece[..length].copy_from_slice(&state.to_le_bytes()[..length]);
        }
        let name = format!("layer{number}/directory{}/file-with-a-name-{file}", file / 100);
        append(&mut layer, &name, &data);
    }
    layer.into_inner().expect("memory takes it")
}
