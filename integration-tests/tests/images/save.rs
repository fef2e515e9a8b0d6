//! Saved images: byte for byte what was loaded, and read by everybody else's programs.

use std::{fs, path::Path, process::Command};

use corten_images::save::{Extent, LeftOut};
use corten_images::{Catalog, Platform, SaveError, SaveRequest, save};
use corten_types::ErrorKind;
use integration_tests::{Containerd, DockerCli, Dockerd, Ran, TempRoot, programs};
use serde_json::{Value, json};

use crate::{Host, Tar, config, digest, docker_archive, hex, runtime};

fn wanted(names: &[&str]) -> SaveRequest {
    SaveRequest::new(names.iter().map(|name| (*name).to_owned()).collect(), None, "tests")
}

async fn saved(host: &Host, request: &SaveRequest) -> Result<Vec<u8>, SaveError> {
    let saving = save(&Catalog::new(host.client.clone()), request).await?;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let write = tokio::spawn(saving.write(sender));
    let mut archive = Vec::new();
    while let Some(piece) = receiver.recv().await {
        archive.extend_from_slice(&piece.unwrap());
    }
    write.await.unwrap();
    Ok(archive)
}

/// An OCI layout of one image with its layers compressed, so that saving must not touch them.
fn packed(name: &str) -> (Vec<u8>, String) {
    let layers = [
        Tar::new().file("bin/tool", &[7; 300_000]).file("etc/gone", b"x").finish(),
        Tar::new().file("etc/.wh.gone", b"").file("etc/new", b"new").finish(),
    ];
    let blobs: Vec<Vec<u8>> = layers.iter().map(|layer| crate::load::gzip(layer)).collect();
    let config = config(&[&layers[0], &layers[1]]).to_string().into_bytes();
    let descriptor = |kind: &str, data: &[u8]| json!({"mediaType": kind, "digest": digest(data), "size": data.len()});
    let layer = |data: &Vec<u8>| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", data);
    // Spaced as nobody's serializer would, so that a byte for byte copy is told from one written anew.
    let manifest = serde_json::to_string_pretty(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": blobs.iter().map(layer).collect::<Vec<_>>(),
    }))
    .unwrap()
    .into_bytes();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["annotations"] = json!({"io.containerd.image.name": name});
    let mut tar = Tar::new()
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", json!({"schemaVersion": 2, "manifests": [entry]}).to_string().as_bytes());
    for blob in [&blobs[0], &blobs[1], &config, &manifest] {
        tar = tar.file(&format!("blobs/sha256/{}", hex(blob)), blob);
    }
    (tar.finish(), digest(&manifest))
}

/// Names and contents of the files of an archive.
fn files(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
        (entry.path().unwrap().display().to_string(), data)
    };
    archive.entries().unwrap().map(read).collect()
}

fn blobs(archive: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = files(archive)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("blobs/sha256/") && name.len() > 20)
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_loaded_is_saved_byte_for_byte() {
    runtime().block_on(async {
        let (archive, manifest) = packed("docker.io/library/packed:1");
        for host in Host::both() {
            host.load(archive.clone()).await.unwrap();
            let image = host.catalog().resolve("packed:1").await.unwrap();
            host.catalog().tag(&image, &"packed:2".parse().unwrap()).await.unwrap();
            let plain = Tar::new().file("a", b"a").finish();
            host.load(docker_archive(&config(&[&plain]), &[&plain], &["plain:latest"])).await.unwrap();

            // The repository stands for all its tags, the id for an image without one.
            let id = host.catalog().resolve("plain").await.unwrap().details.id().to_string();
            let all = saved(&host, &wanted(&["packed", &id, "packed:2"])).await.unwrap();
            assert_eq!(host.ctr.run(&["leases", "ls", "-q"]).ok().stdout, "");

            let found = files(&all);
            for (name, data) in found.iter().filter(|(name, _)| name.starts_with("blobs/sha256/") && name.len() > 20) {
                assert_eq!(name, &format!("blobs/sha256/{}", hex(data)));
            }
            for blob in blobs(&archive) {
                assert!(blobs(&all).contains(&blob), "{blob} is lost");
            }
            let json = |name: &str| -> Value {
                serde_json::from_slice(&found.iter().find(|(own, _)| own == name).unwrap().1).unwrap()
            };
            let items = json("manifest.json");
            assert_eq!(items[0]["RepoTags"], json!(["packed:1", "packed:2"]));
            assert_eq!((items[0]["Layers"].as_array().unwrap().len(), &items[1]["RepoTags"]), (2, &Value::Null));
            let index = json("index.json");
            assert_eq!(index["manifests"][0]["digest"], manifest.as_str());
            assert_eq!(index["manifests"][1]["annotations"]["io.containerd.image.name"], "docker.io/library/packed:2");
            assert_eq!(index["manifests"].as_array().unwrap().len(), 3);
            assert_eq!(json("repositories")["packed"].as_object().unwrap().len(), 2);
            let order: Vec<&str> = found.iter().take(4).map(|(name, _)| name.as_str()).collect();
            assert_eq!(order, ["oci-layout", "index.json", "manifest.json", "repositories"]);

            // And back: the same images, the same digests.
            let other = Host::supervisor();
            let loaded = other.load(all).await.unwrap();
            let names: Vec<String> = loaded.iter().flat_map(|image| &image.names).map(ToString::to_string).collect();
            assert_eq!(names, ["docker.io/library/packed:1", "docker.io/library/packed:2"]);
            assert_eq!(loaded[0].target.digest.as_str(), manifest);
            assert_eq!(loaded[1].id.to_string(), id);
        }
    });
}

#[test]
fn an_archive_is_as_containerds_clients_ask_for_it() {
    runtime().block_on(async {
        let host = Host::supervisor();
        let (archive, _) = packed("docker.io/library/packed:1");
        host.load(archive).await.unwrap();
        let left_out = LeftOut { docker_manifest: true, foreign_layers: true };
        let here = SaveRequest { left_out, ..wanted(&["packed:1"]) };
        let names = |archive: &[u8]| -> Vec<String> {
            let mut archive = tar::Archive::new(archive);
            let entries = archive.entries().unwrap();
            entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
        };
        let whole = saved(&host, &wanted(&["packed:1"])).await.unwrap();
        let mut without = names(&whole);
        without.retain(|name| !matches!(name.as_str(), "manifest.json" | "repositories"));
        assert_eq!(names(&saved(&host, &here).await.unwrap()), without);
        for extent in [Extent::Of(vec![Platform::host()]), Extent::All] {
            let request = SaveRequest { extent, ..wanted(&["packed:1"]) };
            assert_eq!(saved(&host, &request).await.unwrap(), whole);
        }
        let extent = Extent::Of(vec![Platform::host(), "linux/s390x".parse().unwrap()]);
        let error = saved(&host, &SaveRequest { extent, ..wanted(&["packed:1"]) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn what_cannot_be_saved_is_refused_before_anything_is_written() {
    runtime().block_on(async {
        let host = Host::supervisor();
        let (archive, _) = packed("docker.io/library/packed:1");
        host.load(archive).await.unwrap();
        for (names, platform, text) in [
            (&["nobody"][..], None, "No such image: nobody:latest"),
            (&["packed:1", "packed:7"], None, "No such image: packed:7"),
            (&["packed:1"], Some("linux/s390x"), "linux/s390x"),
        ] {
            let platform = platform.map(|text: &str| text.parse().unwrap());
            let request = SaveRequest::new(wanted(names).names, platform, "tests");
            let error = saved(&host, &request).await.unwrap_err();
            let sentence = corten_types::error::chain(&error);
            assert!(sentence.contains(text), "{sentence}");
            assert_eq!(error.kind(), ErrorKind::NotFound, "{sentence}");
        }
        // A blob that is gone is told before the first byte.
        let image = host.catalog().resolve("packed:1").await.unwrap();
        let layer = image.details.layers[0].digest.clone();
        use corten_containerd_api::ContentStore;
        host.client.delete_content(&layer).await.unwrap();
        let error = saved(&host, &wanted(&["packed:1"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(corten_types::error::chain(&error).contains(layer.as_str()));
        assert_eq!(host.ctr.run(&["leases", "ls", "-q"]).ok().stdout, "");
    });
}

#[test]
fn saved_images_travel_through_the_originals_and_back() {
    runtime().block_on(async {
        let host = Host::supervisor();
        let name = "docker.io/library/packed:1";
        let (archive, manifest) = packed(name);
        host.load(archive).await.unwrap();
        let id = host.catalog().resolve("packed:1").await.unwrap().details.id().to_string();
        let root = TempRoot::new();
        let path = root.join("saved.tar");
        let bytes = saved(&host, &wanted(&["packed:1"])).await.unwrap();
        fs::write(&path, &bytes).unwrap();
        let file = path.to_str().unwrap();

        // containerd: the same name, the same digest; what it exports is loaded again.
        let containerd = Containerd::start(&root);
        let ctr = containerd.ctr();
        let _ = ctr.run(&["images", "import", file]).ok();
        let listed = ctr.run(&["images", "ls"]).ok().stdout;
        assert!(listed.lines().any(|line| line.starts_with(name) && line.contains(&manifest)), "{listed}");
        let exported = root.join("exported.tar");
        let _ = ctr.run(&["images", "export", exported.to_str().unwrap(), name]).ok();
        assert_loads(&exported, &manifest, &id).await;

        // docker 20.10 knows the image by its configuration; what it saves has the same one.
        let dockerd = Dockerd::start(&root, &containerd.address());
        let docker = DockerCli::newest(&dockerd.socket());
        assert_eq!(docker.run(&["load", "--input", file]).ok().out(), "Loaded image: packed:1");
        assert_eq!(docker.run(&["image", "inspect", "--format", "{{.Id}}", "packed:1"]).ok().out(), id);
        let resaved = root.join("resaved.tar");
        let _ = docker.run(&["save", "--output", resaved.to_str().unwrap(), "packed:1"]).ok();
        assert_loads(&resaved, "", &id).await;

        // skopeo reads it as either kind of archive, podman loads it.
        let skopeo = |arguments: &[&str]| Ran::of(Command::new(programs::original("skopeo")).args(arguments)).ok();
        // Its reference is the tag, as containerd and docker annotate it.
        let oci = format!("oci-archive:{file}:1");
        let copied = root.join("copied");
        let _ = skopeo(&["copy", &oci, &format!("dir:{}", copied.display())]);
        assert_eq!(digest(&fs::read(copied.join("manifest.json")).unwrap()), manifest);
        let inspected = skopeo(&["inspect", "--config", "--raw", &format!("docker-archive:{file}:packed:1")]);
        assert_eq!(digest(inspected.stdout.trim_end().as_bytes()), id);
        let podman = |arguments: &[&str]| {
            let mut command = Command::new(programs::original("podman"));
            command.arg("--root").arg(root.join("podman")).arg("--runroot").arg(root.join("podman-run"));
            Ran::of(command.args(["--storage-driver", "vfs"]).args(arguments)).ok()
        };
        let _ = podman(&["load", "--input", file]);
        let ids = podman(&["images", "--no-trunc", "--quiet"]);
        assert_eq!(ids.out(), id);
        let repacked = root.join("podman.tar");
        let _ = podman(&["save", "--format", "oci-archive", "--output", repacked.to_str().unwrap(), "packed:1"]);
        assert_loads(&repacked, "", &id).await;
    });
}

/// Loads an archive of somebody else into a host of its own.
async fn assert_loads(path: &Path, manifest: &str, id: &str) {
    let host = Host::supervisor();
    let loaded = host.load(fs::read(path).unwrap()).await.unwrap();
    assert_eq!((loaded.len(), loaded[0].id.as_str()), (1, id), "{}", path.display());
    if !manifest.is_empty() {
        assert_eq!(loaded[0].target.digest.as_str(), manifest, "{}", path.display());
    }
}
