//! Images as archives: docker-save's format and OCI layouts, from one layer of files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An image of one layer, before it is written in either format.
#[derive(Debug, Clone)]
pub struct ImageFiles {
    /// The layer, an uncompressed tar.
    pub layer: Vec<u8>,
    /// The image's configuration, as JSON text.
    pub config: Vec<u8>,
}

impl ImageFiles {
    /// An image with `layer` that runs `command`.
    #[must_use]
    pub fn new(layer: Vec<u8>, command: &[&str]) -> ImageFiles {
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": command, "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "the tests"}],
        });
        ImageFiles { layer, config: text(&config) }
    }

    /// The digest of its configuration: docker's image id.
    #[must_use]
    pub fn id(&self) -> String {
        digest(&self.config)
    }
}

/// `image` as `docker save` writes it, under `names`.
#[must_use]
pub fn docker_archive(image: &ImageFiles, names: &[&str]) -> Vec<u8> {
    let layer_directory = hex(&digest(&image.layer)).to_owned();
    let config_name = format!("{}.json", hex(&image.id()));
    let layer_name = format!("{layer_directory}/layer.tar");
    let manifest = json!([{"Config": config_name, "RepoTags": names, "Layers": [layer_name]}]);
    let mut archive = Archive::new();
    archive.directory(&layer_directory);
    archive.file(&layer_name, &image.layer, 0o644);
    archive.file(&config_name, &image.config, 0o644);
    archive.file("manifest.json", &text(&manifest), 0o644);
    archive.finish()
}

/// `image` as an OCI layout (image-spec, image-layout.md) in a tar, under `name`.
#[must_use]
pub fn oci_layout(image: &ImageFiles, name: &str) -> Vec<u8> {
    let descriptor = |media_type: &str, content: &[u8]| json!({"mediaType": media_type, "digest": digest(content), "size": content.len()});
    let manifest = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &image.config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &image.layer)],
    }));
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    let tag = name.rsplit_once(':').map_or(name, |(_, tag)| tag);
    entry["annotations"] = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
    let mut archive = Archive::new();
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644);
    archive.file("index.json", &text(&json!({"schemaVersion": 2, "manifests": [entry]})), 0o644);
    archive.directory("blobs");
    archive.directory("blobs/sha256");
    for blob in [&image.layer, &image.config, &manifest] {
        archive.file(&format!("blobs/sha256/{}", hex(&digest(blob))), blob, 0o644);
    }
    archive.finish()
}

/// The sha256 digest of `content`, `sha256:…`.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    let digits: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// This machine's architecture as images spell it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn hex(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

fn text(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value can always be written")
}

/// A tar under construction: owner root, fixed times, so that the same files give the same bytes.
pub(crate) struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    pub(crate) fn new() -> Archive {
        Archive(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(&mut self, name: &str, content: &[u8], mode: u32) {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, name, content).expect("memory takes any archive");
    }

    pub(crate) fn directory(&mut self, name: &str) {
        self.directory_with_mode(name, 0o755);
    }

    pub(crate) fn directory_with_mode(&mut self, name: &str, mode: u32) {
        let mut header = header(tar::EntryType::Directory, mode);
        self.0.append_data(&mut header, format!("{name}/"), io::empty()).expect("memory takes any archive");
    }

    pub(crate) fn link(&mut self, kind: tar::EntryType, name: &str, target: &str) {
        let mut header = header(kind, 0o777);
        self.0.append_link(&mut header, name, target).expect("memory takes any archive");
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_inner().expect("memory takes any archive")
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_704_067_200);
    header.set_size(0);
    header
}

/// Writes `content` to `path` and returns the path.
pub(crate) fn write(path: PathBuf, content: &[u8]) -> PathBuf {
    fs::write(&path, content).unwrap_or_else(|error| panic!("write {}: {error}", Path::display(&path)));
    path
}
