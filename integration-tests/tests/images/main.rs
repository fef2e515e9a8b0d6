//! Images as algorithms: the same archives into Debian's containerd and into our supervisor.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod catalog;
mod docker_registry;
mod equality;
mod hostile;
mod import;
mod load;
mod malformed;
mod pull;
mod push;
mod push_platforms;
mod save;

use std::io::Cursor;
use std::path::Path;

use corten_containerd_api::Client;
use corten_images::{Catalog, LoadError, LoadRequest, Loaded, Platform};
use integration_tests::{Containerd, Ctr, Ran, Supervisor, TempRoot};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A containerd, Debian's or ours, and both ways to talk to it.
struct Host {
    // Dropped before the root that it lives in.
    _daemon: Daemon,
    ctr: Ctr,
    client: Client,
    root: TempRoot,
}

#[expect(dead_code, reason = "held so that it runs")]
enum Daemon {
    Containerd(Containerd),
    Supervisor(Supervisor),
}

impl Host {
    fn containerd() -> Self {
        let root = TempRoot::new();
        let containerd = Containerd::start(&root);
        let (ctr, client) = (containerd.ctr(), connect(&containerd.address(), &root));
        Self { _daemon: Daemon::Containerd(containerd), ctr, client, root }
    }

    fn supervisor() -> Self {
        let root = TempRoot::new();
        let supervisor = Supervisor::start(&root);
        let (ctr, client) = (supervisor.ctr(), connect(&supervisor.address(), &root).rebasing());
        Self { _daemon: Daemon::Supervisor(supervisor), ctr, client, root }
    }

    /// Both, for scenarios that must hold on either.
    fn both() -> Vec<Self> {
        vec![Self::containerd(), Self::supervisor()]
    }

    async fn load(&self, archive: Vec<u8>) -> Result<Vec<Loaded>, LoadError> {
        corten_images::load(&self.client, &request(), Cursor::new(archive)).await
    }

    fn catalog(&self) -> Catalog<Client> {
        Catalog::new(self.client.clone())
    }

    /// What ctr lists, without the columns that are times.
    #[track_caller]
    fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let Ran { stdout, .. } = self.ctr.run(arguments).ok();
        let mut lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Nothing at all: no blob, no snapshot, no image, no lease, no ingest.
    #[track_caller]
    fn assert_empty(&self) {
        for arguments in [&["images", "ls", "-q"][..], &["content", "ls", "-q"], &["leases", "ls", "-q"]] {
            assert_eq!(self.ctr.run(arguments).ok().stdout, "", "{arguments:?}");
        }
        assert_eq!(self.ctr.run(&["content", "active"]).ok().stdout.lines().count(), 1, "ingests left");
        assert_eq!(self.ctr.run(&["snapshots", "ls"]).ok().stdout.lines().count(), 1, "snapshots left");
    }
}

fn connect(address: &Path, root: &TempRoot) -> Client {
    Client::connect(address, root.name()).unwrap()
}

fn request() -> LoadRequest {
    LoadRequest::new(Platform::host(), "tests")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A tar archive under construction.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn file(mut self, name: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        // Written as given: the crate's own check refuses the names that are to be refused by ours.
        let bytes = name.as_bytes();
        header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn link(mut self, kind: tar::EntryType, name: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o777);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, std::io::empty()).unwrap();
        self
    }

    fn device(mut self, kind: tar::EntryType, name: &str, major: u32, minor: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o600);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        self.0.append(&header, std::io::empty()).unwrap();
        self
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn digest(data: &[u8]) -> String {
    let hex: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn hex(data: &[u8]) -> String {
    digest(data)["sha256:".len()..].to_owned()
}

/// An image of these layers for this machine, as its configuration's JSON.
fn config(layers: &[&[u8]]) -> Value {
    let platform = Platform::host();
    json!({
        "architecture": platform.architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/true"], "Labels": {"made": "here"}},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| digest(layer)).collect::<Vec<_>>()},
    })
}

/// What `docker save` wrote before 25: a directory per layer, and `manifest.json`.
fn docker_archive(config: &Value, layers: &[&[u8]], names: &[&str]) -> Vec<u8> {
    let config = config.to_string().into_bytes();
    let config_name = format!("{}.json", hex(&config));
    let mut tar = Tar::new();
    let mut paths = Vec::new();
    for layer in layers {
        let home = hex(layer);
        tar = tar.file(&format!("{home}/VERSION"), b"1.0").file(&format!("{home}/json"), b"{}");
        tar = tar.file(&format!("{home}/layer.tar"), layer);
        paths.push(format!("{home}/layer.tar"));
    }
    let manifest = json!([{"Config": config_name, "RepoTags": names, "Layers": paths}]).to_string();
    tar.file(&config_name, &config).file("manifest.json", manifest.as_bytes()).finish()
}
