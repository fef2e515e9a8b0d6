//! The images that are measured, as archives.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use integration_tests::{TempRoot, digest};
use serde_json::json;

/// An image's shape, and what is promised of it.
pub struct Shape {
    /// Its word on the command line.
    pub key: &'static str,
    pub name: &'static str,
    pub layers: usize,
    pub files: usize,
    /// Of each layer.
    pub bytes: usize,
    /// The most a load may take of the fastest other's.
    pub load: f64,
    /// The same for a pull.
    pub pull: f64,
}

pub const SHAPES: [Shape; 3] = [
    Shape { key: "large", name: "1 layer, 300 MB", layers: 1, files: 11_000, bytes: 300 << 20, load: 0.35, pull: 0.35 },
    Shape { key: "layers", name: "12 layers, 192 MB", layers: 12, files: 300, bytes: 16 << 20, load: 0.35, pull: 0.35 },
    Shape {
        key: "files",
        name: "50 000 files, 71 MB",
        layers: 1,
        files: 50_000,
        bytes: 71 << 20,
        load: 0.55,
        pull: 0.45,
    },
];

/// An archive as docker saved it before 25, which all of them load, as `measured:1`.
pub fn archive(root: &TempRoot, shape: &Shape) -> PathBuf {
    let layers: Vec<Vec<u8>> = (0..shape.layers).map(|number| layer(shape, number)).collect();
    write_archive(&root.join("measured.tar"), "measured:1", &layers)
}

/// Writes `layers` as an image called `name`.
pub fn write_archive(path: &Path, name: &str, layers: &[Vec<u8>]) -> PathBuf {
    let mut out = tar::Builder::new(File::create(path).expect("the root is writable"));
    let (mut diff_ids, mut places) = (Vec::new(), Vec::new());
    for layer in layers {
        let diff_id = digest(layer);
        let place = format!("{}/layer.tar", diff_id.trim_start_matches("sha256:"));
        append(&mut out, &place, layer);
        diff_ids.push(diff_id);
        places.push(place);
    }
    append(&mut out, "config.json", config(&diff_ids).as_bytes());
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": places}]);
    append(&mut out, "manifest.json", manifest.to_string().as_bytes());
    out.finish().expect("the root is writable");
    path.to_owned()
}

/// The configuration of an image of layers with these digests.
pub fn config(diff_ids: &[String]) -> String {
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string()
}

fn append(out: &mut tar::Builder<impl Write>, name: &str, data: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    out.append_data(&mut header, name, data).expect("the root is writable");
}

/// A layer of files of about equal size in directories of a hundred, which compresses to a third.
pub fn layer(shape: &Shape, number: usize) -> Vec<u8> {
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
