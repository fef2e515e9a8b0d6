//! The least it can take: the same bytes read, decompressed, written and synced with the fastest tools there are.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    path::Path,
    process::{Command, Stdio},
};

use corten_sys::at;
use integration_tests::{DockerRegistry, TempRoot};
use serde_json::Value;

use super::cost::{Cost, cold};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Reads the archive, writes each layer with tar(1), and has all of it on the disk.
pub fn load(archive: &Path, root: &TempRoot) -> Cost {
    unpacked(root, || {
        let mut all = tar::Archive::new(File::open(archive).expect("it was written here"));
        for (number, entry) in all.entries().expect("it is an archive").enumerate() {
            let entry = entry.expect("it is an archive");
            if entry.path().is_ok_and(|path| path.ends_with("layer.tar")) {
                untar(entry, &root.make(format!("floor/{number}")));
            }
        }
    })
}

/// Copies the archive, and has the copy on the disk, as docker's and our clients have it.
pub fn save(archive: &Path, target: &Path) -> Cost {
    cold(&[], || {
        let _ = fs::copy(archive, target).expect("the root is writable");
        File::open(target).and_then(|file| file.sync_all()).expect("the file can be synced");
    })
}

/// Fetches each layer, decompresses it while it comes, writes it with tar(1), and has all of it on the disk.
pub fn pull(registry: &DockerRegistry, repository: &str, root: &TempRoot) -> Cost {
    unpacked(root, || {
        for (number, layer) in layers(registry, repository).iter().enumerate() {
            let body = get(registry, &format!("/v2/{repository}/blobs/{layer}"), "*/*");
            untar(flate2::read::GzDecoder::new(body), &root.make(format!("floor/{number}")));
        }
    })
}

/// Sends every layer that `from` has of `repository` to `to`, as it is stored.
pub fn push(from: &DockerRegistry, repository: &str, to: &DockerRegistry) -> Cost {
    let layers = layers(from, repository);
    cold(&[], || {
        for layer in &layers {
            let hex = layer.trim_start_matches("sha256:");
            let blob = from.data().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
            let blob = File::open(blob).expect("the registry stores it there");
            let (headers, _) = exchange(to, "POST /v2/floor/blobs/uploads/", "content-length: 0\r\n", None);
            let location = header(&headers, "location").expect("an upload has a place");
            let path = location.split_once(to.host()).map_or(location.as_str(), |(_, path)| path).to_owned();
            let size = blob.metadata().expect("it is open").len();
            let line = format!("PUT {path}&digest={layer}");
            let _ = exchange(to, &line, &format!("content-length: {size}\r\n"), Some(blob));
        }
    })
}

/// The layers of `repository:1`.
fn layers(registry: &DockerRegistry, repository: &str) -> Vec<String> {
    let body = get(registry, &format!("/v2/{repository}/manifests/1"), MANIFEST);
    let manifest: Value = serde_json::from_reader(body).expect("a manifest is JSON");
    let layers = manifest["layers"].as_array().expect("it lists layers").iter();
    layers.map(|layer| layer["digest"].as_str().expect("a digest is text").to_owned()).collect()
}

fn get(registry: &DockerRegistry, path: &str, accept: &str) -> impl Read + use<> {
    let (headers, body) = exchange(registry, &format!("GET {path}"), &format!("accept: {accept}\r\n"), None);
    let length = header(&headers, "content-length").and_then(|text| text.parse().ok());
    body.take(length.expect("the registry says how long it is"))
}

/// One request on a connection of its own; what is answered must be a success.
fn exchange(
    registry: &DockerRegistry,
    line: &str,
    headers: &str,
    body: Option<File>,
) -> (Vec<String>, impl Read + use<>) {
    let mut stream = TcpStream::connect(registry.host()).expect("the registry listens");
    let host = registry.host();
    write!(stream, "{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n").expect("it reads");
    if let Some(mut body) = body {
        let _ = std::io::copy(&mut body, &mut stream).expect("it reads");
    }
    let mut answer = BufReader::with_capacity(256 << 10, stream);
    let mut lines = Vec::new();
    loop {
        let mut text = String::new();
        let _ = answer.read_line(&mut text).expect("it answers");
        match text.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let status = lines.first().and_then(|first| first.split(' ').nth(1)).unwrap_or_default();
    assert!(status.starts_with('2'), "{line}: {lines:?}");
    (lines, answer)
}

fn header(lines: &[String], name: &str) -> Option<String> {
    let found = lines.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
    found.map(|(_, value)| value.to_owned())
}

/// Times `work`, which writes below the root's `floor`, with the time it takes to have that on the disk.
fn unpacked(root: &TempRoot, work: impl FnOnce()) -> Cost {
    let target = root.make("floor");
    let cost = cold(&[], || {
        work();
        let directory = at::open_root(&target).expect("it was made here");
        at::syncfs(directory.as_fd()).expect("it can be synced");
    });
    fs::remove_dir_all(&target).expect("it was made here");
    cost
}

fn untar(mut layer: impl Read, target: &Path) {
    let mut tar = Command::new("tar").arg("-xC").arg(target).stdin(Stdio::piped()).spawn().expect("tar is there");
    let mut pipe = tar.stdin.take().expect("it was piped");
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = layer.read(&mut buffer).expect("it is whole");
        if read == 0 {
            break;
        }
        pipe.write_all(&buffer[..read]).expect("tar reads");
    }
    drop(pipe);
    assert!(tar.wait().expect("tar ends").success());
}
