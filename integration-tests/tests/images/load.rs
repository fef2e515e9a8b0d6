//! Loading archives, as `ctr image import` does and as docker does.

use std::io::Write;

use corten_images::LoadRequest;
use corten_images::lease::settle;
use corten_images::load::{ByDigest, Naming, PlainLayers, Rule, Rules, Whole};
use serde_json::json;

use crate::{Host, Tar, config, digest, docker_archive, hex, request, runtime};

fn layers() -> (Vec<u8>, Vec<u8>) {
    let first = Tar::new().file("bin/tool", &[7; 300_000]).file("etc/gone", b"x").file("dir/a", b"a").finish();
    let second = Tar::new()
        .file("etc/.wh.gone", b"")
        .file("etc/new", b"new")
        .link(tar::EntryType::Link, "etc/alias", "etc/new")
        .file("dir/.wh..wh..opq", b"")
        .file("dir/b", b"b")
        .finish();
    (first, second)
}

pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_docker_archive_lists_as_ctr_imports_it() {
    runtime().block_on(async {
        let (first, second) = layers();
        let archive = docker_archive(&config(&[&first, &second]), &[&first, &second], &["two:latest", "other/name:v1"]);
        let reference = Host::containerd();
        let path = reference.root.join("archive.tar");
        std::fs::write(&path, &archive).unwrap();
        let _ = reference.ctr.run(&["images", "import", path.to_str().unwrap()]).ok();
        let expected = listings(&reference);

        for host in Host::both() {
            let loaded = host.load(archive.clone()).await.unwrap();
            assert_eq!(loaded.len(), 1);
            let names: Vec<String> = loaded[0].names.iter().map(ToString::to_string).collect();
            assert_eq!(names, ["docker.io/library/two:latest", "docker.io/other/name:v1"]);
            assert_eq!(listings(&host), expected);
            assert_eq!(host.ctr.run(&["leases", "ls", "-q"]).ok().stdout, "");
        }
    });
}

/// One rule of containerd's.
fn by_rule(prefix: &str, whole: Whole, by_digest: ByDigest) -> Naming {
    let rule = Rule { prefix: prefix.to_owned(), whole, by_digest };
    Naming::Containerd(Rules { rules: vec![rule], ..Rules::default() })
}

#[test]
fn images_are_named_and_compressed_as_containerds_clients_ask() {
    runtime().block_on(async {
        let (first, second) = layers();
        let layers = [&first[..], &second[..]];
        let archive = docker_archive(&config(&layers), &layers, &["r.example/a:1", "elsewhere/b:2"]);
        let host = Host::supervisor();
        let load = async |naming: Naming, layers: PlainLayers| {
            let request = LoadRequest { naming, layers, ..request() };
            corten_images::load(&host.client, &request, std::io::Cursor::new(archive.clone())).await.unwrap()
        };
        let named = by_rule("r.example/a", Whole::OfPrefix, ByDigest::Nameless);
        assert_eq!(load(named, PlainLayers::AsTheyAre).await[0].names, ["r.example/a:1"]);
        assert_eq!(host.listed(&["images", "ls", "-q"]), ["r.example/a:1"]);

        let Naming::Containerd(rules) = by_rule("other", Whole::OfPrefix, ByDigest::Nameless) else { unreachable!() };
        let labels = [("of".to_owned(), "us".to_owned())].into();
        let indexed = Naming::Containerd(Rules { index: "all:1".to_owned(), labels, ..rules });
        let loaded = load(indexed, PlainLayers::Compressed(Default::default())).await;
        let by_digest = format!("other@{}", loaded[0].target.digest);
        assert_eq!(host.listed(&["images", "ls", "-q"]), ["all:1", &by_digest, "r.example/a:1"]);
        let listed = host.listed(&["images", "ls", "name==all:1"]).join("\n");
        assert!(listed.contains("image.index.v1+json") && listed.contains("of=us"), "{listed}");
        // Both forms have one configuration, and the snapshots of it.
        assert_eq!(host.listed(&["images", "check", "-q"]), ["all:1", &by_digest, "r.example/a:1"]);
        let details = host.catalog().resolve(loaded[0].id.as_ref()).await.unwrap().details;
        assert_eq!(details.layers.len(), 2);

        let nameless = by_rule("other", Whole::OfPrefix, ByDigest::Never);
        assert!(load(nameless, PlainLayers::AsTheyAre).await[0].names.is_empty());
        assert_eq!(host.listed(&["images", "ls", "-q"]).len(), 3);
    });
}

#[test]
fn an_image_whose_name_is_taken_stays_for_docker_and_goes_for_containerd() {
    runtime().block_on(async {
        let (first, second) = layers();
        let archive = |layer: &[u8]| docker_archive(&config(&[layer]), &[layer], &["taken:1"]);
        for (naming, records) in [(Naming::Docker, 2), (by_rule("import", Whole::Taken, ByDigest::Never), 1)] {
            let host = Host::supervisor();
            for layer in [&first, &second] {
                let request = LoadRequest { naming: naming.clone(), ..request() };
                corten_images::load(&host.client, &request, std::io::Cursor::new(archive(layer))).await.unwrap();
            }
            let names = host.listed(&["images", "ls", "-q"]);
            assert!(names.len() == records && names.contains(&"docker.io/library/taken:1".to_owned()), "{names:?}");
        }
    });
}

/// Images with target and size, blobs with labels, snapshots with parents: all but times, labels in order.
fn listings(host: &Host) -> Vec<String> {
    // What the import stored on its way and nothing refers to goes with the next collection.
    let _ = host.ctr.run(&["leases", "create", "--id", "collects"]).ok();
    let _ = host.ctr.run(&["leases", "rm", "--sync", "collects"]).ok();
    let mut all = host.listed(&["images", "ls"]);
    for line in host.listed(&["content", "ls"]) {
        let columns: Vec<&str> = line.split('\t').collect();
        let mut labels: Vec<&str> = columns.last().unwrap_or(&"").split(',').collect();
        labels.sort_unstable();
        all.push(format!("{} {} {}", columns[0], columns.get(1).unwrap_or(&""), labels.join(",")));
    }
    all.extend(host.listed(&["snapshots", "ls"]));
    all
}

#[test]
fn what_layers_say_is_what_a_container_would_see() {
    runtime().block_on(async {
        let (first, second) = layers();
        let archive = docker_archive(&config(&[&first, &second]), &[&first, &second], &["two"]);
        for host in Host::both() {
            let id = host.load(archive.clone()).await.unwrap()[0].id.clone();
            let image = host.catalog().resolve("two").await.unwrap();
            assert_eq!(image.details.id(), &id);
            let target = host.root.make("mounted");
            let _ = host.ctr.run(&["snapshots", "prepare", "seen", image.details.top()]).ok();
            let mount = host.ctr.run(&["snapshots", "mounts", target.to_str().unwrap(), "seen"]).ok().stdout;
            let status = std::process::Command::new("sh").args(["-c", mount.trim()]).status().unwrap();
            assert!(status.success(), "{mount}");

            assert!(!target.join("etc/gone").exists());
            assert_eq!(std::fs::read(target.join("etc/new")).unwrap(), b"new");
            assert_eq!(std::fs::read(target.join("etc/alias")).unwrap(), b"new");
            assert_eq!(std::fs::read(target.join("bin/tool")).unwrap(), [7; 300_000]);
            let names: Vec<_> =
                std::fs::read_dir(target.join("dir")).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, ["b"]);
            assert!(integration_tests::unmount(&target));
        }
    });
}

#[test]
fn a_hard_link_to_a_file_of_a_lower_layer_is_loaded_where_containerd_fails() {
    runtime().block_on(async {
        let first = Tar::new().file("bin/tool", &[7; 300_000]).finish();
        let second = Tar::new().link(tar::EntryType::Link, "bin/alias", "bin/tool").finish();
        let archive = docker_archive(&config(&[&first, &second]), &[&first, &second], &["linked"]);
        Host::supervisor().load(archive).await.unwrap();
    });
}

#[test]
fn an_oci_layout_with_compressed_layers_is_loaded() {
    runtime().block_on(async {
        let (first, second) = layers();
        let (first_blob, second_blob) = (gzip(&first), zstd(&second));
        let config = config(&[&first, &second]).to_string().into_bytes();
        let descriptor =
            |kind: &str, data: &[u8]| json!({"mediaType": kind, "digest": digest(data), "size": data.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [
                descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &first_blob),
                descriptor("application/vnd.oci.image.layer.v1.tar+zstd", &second_blob),
            ],
        })
        .to_string()
        .into_bytes();
        let attestation = b"{}".to_vec();
        let mut here = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        here["platform"] = json!({"os": "linux", "architecture": corten_images::Platform::host().architecture});
        let mut elsewhere = descriptor("application/vnd.oci.image.manifest.v1+json", b"not in the archive");
        elsewhere["platform"] = json!({"os": "linux", "architecture": "s390x"});
        let mut proof = descriptor("application/vnd.oci.image.manifest.v1+json", &attestation);
        proof["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        let nested = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [elsewhere, proof, here],
        })
        .to_string()
        .into_bytes();
        let mut top = descriptor("application/vnd.oci.image.index.v1+json", &nested);
        top["annotations"] = json!({"io.containerd.image.name": "example.org/multi:1"});
        let mut tar = Tar::new()
            .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
            .file("index.json", json!({"schemaVersion": 2, "manifests": [top]}).to_string().as_bytes());
        for blob in [&config, &manifest, &nested, &first_blob, &second_blob] {
            tar = tar.file(&format!("blobs/sha256/{}", hex(blob)), blob);
        }
        let archive = gzip(&tar.finish());

        for host in Host::both() {
            let loaded = host.load(archive.clone()).await.unwrap();
            assert_eq!(loaded[0].names[0].to_string(), "example.org/multi:1");
            assert_eq!(loaded[0].id.to_string(), digest(&config));
            assert_eq!(loaded[0].target.digest.to_string(), digest(&nested));
            let image = host.catalog().resolve("example.org/multi:1").await.unwrap();
            assert_eq!(image.details.chain.len(), 2);
            // Again: everything is there, nothing changes.
            assert_eq!(host.load(archive.clone()).await.unwrap(), loaded);
            // Removed with its last name.
            host.catalog().delete("example.org/multi:1").await.unwrap();
            host.assert_empty();
        }
    });
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

#[test]
fn an_archive_with_several_images_and_shared_layers_is_loaded_whole() {
    runtime().block_on(async {
        let (first, second) = layers();
        let (one, two) = (config(&[&first]).to_string(), config(&[&first, &second]).to_string());
        let manifest = json!([
            {"Config": "one.json", "RepoTags": ["one:1"], "Layers": ["base/layer.tar"]},
            {"Config": "two.json", "RepoTags": null, "Layers": ["top/../base/layer.tar", "top/layer.tar"]},
        ]);
        let archive = Tar::new()
            .link(tar::EntryType::Symlink, "base/layer.tar", "../first/layer.tar")
            .file("first/layer.tar", &first)
            .file("top/layer.tar", &second)
            .file("one.json", one.as_bytes())
            .file("two.json", two.as_bytes())
            .file("manifest.json", manifest.to_string().as_bytes())
            .finish();
        let host = Host::containerd();
        let loaded = host.load(archive).await.unwrap();
        assert_eq!(loaded.len(), 2);
        assert!(loaded[1].names.is_empty());
        let untagged = host.catalog().resolve(loaded[1].id.hex()).await.unwrap();
        assert_eq!(untagged.repo_tags(), [""; 0]);
        assert_eq!(untagged.details.chain.len(), 2);
    });
}

#[test]
fn a_load_that_was_killed_is_settled() {
    runtime().block_on(async {
        let host = Host::containerd();
        let (sender, reader) = corten_images::input::channel();
        let (first, _) = layers();
        let archive = docker_archive(&config(&[&first]), &[&first], &["killed"]);
        let client = host.client.clone();
        let load = tokio::spawn(async move { corten_images::load(&client, &request(), reader).await });
        sender.send(archive[..200_000].to_vec().into()).await.unwrap();
        // The task is gone as with its process: no step of clean-up runs, but the reading thread's own.
        while host.ctr.run(&["leases", "ls", "-q"]).ok().stdout.is_empty() {
            tokio::task::yield_now().await;
        }
        load.abort();
        let _ = load.await;
        drop(sender);

        assert_eq!(settle(&host.client, "somebody else").await.unwrap(), 0);
        assert_eq!(settle(&host.client, "tests").await.unwrap(), 1);
        assert_eq!(host.ctr.run(&["leases", "ls", "-q"]).ok().stdout, "");
    });
}
