//! Archives that must be refused: each by a sentence that says what is wrong, and nothing stays of it.

use corten_types::ErrorKind;
use corten_types::error::chain;
use serde_json::{Value, json};

use crate::{Host, Tar, config, digest, docker_archive, hex, runtime};

fn image(layer: Vec<u8>) -> Vec<u8> {
    docker_archive(&config(&[&layer]), &[&layer], &["bad:latest"])
}

fn manifest(config: &str, layers: &[&str]) -> Vec<u8> {
    json!([{"Config": config, "RepoTags": ["bad:1"], "Layers": layers}]).to_string().into_bytes()
}

fn oci(index: &Value, blobs: &[&[u8]]) -> Vec<u8> {
    let mut tar = Tar::new()
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", index.to_string().as_bytes());
    for blob in blobs {
        tar = tar.file(&format!("blobs/sha256/{}", hex(blob)), blob);
    }
    tar.finish()
}

/// What is wrong, the archive, and a part of the sentence that refuses it.
fn table() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = Tar::new().file("a", b"a").finish();
    let good_config = config(&[&good]).to_string().into_bytes();
    let whole = image(good.clone());
    let wrong_blob = Tar::new()
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", b"{}")
        .file(&format!("blobs/sha256/{}", hex(b"something else")), b"not that")
        .finish();
    let oversized =
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(b"{}"), "size": 3});
    let missing = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(b"nowhere"), "size": 7,
    });
    let both_ways = json!({"schemaVersion": 2, "manifests": [], "config": {}}).to_string().into_bytes();
    let ambiguous = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest(&both_ways),
        "size": both_ways.len(),
    });
    let artifact = json!({"mediaType": "application/vnd.example+json", "digest": digest(b"{}"), "size": 2});
    let one = |entry: Value| json!({"schemaVersion": 2, "manifests": [entry]});
    let mut other_layer = config(&[&good]);
    other_layer["rootfs"]["diff_ids"] = json!([digest(b"another layer")]);
    let mut two_layers = config(&[&good]);
    two_layers["rootfs"]["diff_ids"] = json!([digest(&good), digest(&good)]);

    vec![
        ("nothing", Vec::new(), "neither manifest.json nor oci-layout"),
        ("no archive", b"what is this".repeat(100), "invalid tar header"),
        ("an archive of something else", good.clone(), "neither manifest.json nor oci-layout"),
        ("truncated in a layer", whole[..whole.len() / 2].to_vec(), "truncated"),
        ("lz4", b"\x04\x22\x4d\x18rest".to_vec(), "lz4 compression: not supported"),
        ("xz that is none", b"\xfd7zXZ\0rest".to_vec(), ""),
        ("a name that escapes", Tar::new().file("../../etc/x", b"x").finish(), "leaves the root filesystem"),
        (
            "a link that escapes",
            Tar::new().link(tar::EntryType::Symlink, "a/layer.tar", "../../../etc/shadow").finish(),
            "leaves the root filesystem",
        ),
        ("a device", Tar::new().device(tar::EntryType::Block, "sda", 8, 0).finish(), "no devices or pipes"),
        ("manifest.json is no JSON", Tar::new().file("manifest.json", b"[{").finish(), "manifest.json of the archive"),
        ("manifest.json is an object", Tar::new().file("manifest.json", b"{}").finish(), "invalid type: map"),
        (
            "a config that is not there",
            Tar::new().file("manifest.json", &manifest("c.json", &[])).finish(),
            "config \"c.json\" is not in the archive",
        ),
        (
            "a config outside",
            Tar::new().file("manifest.json", &manifest("../../../etc/passwd", &[])).finish(),
            "config \"../../../etc/passwd\" is not in the archive",
        ),
        (
            "a layer that is not there",
            Tar::new().file("c.json", &good_config).file("manifest.json", &manifest("c.json", &["x"])).finish(),
            "layer \"x\" is not in the archive",
        ),
        (
            "a config that is no JSON",
            Tar::new().file("c.json", b"hello").file("manifest.json", &manifest("c.json", &[])).finish(),
            "config sha256:",
        ),
        (
            "fewer layers than the config names",
            docker_archive(&two_layers, &[&good], &[]),
            "names 2 layers, the manifest 1",
        ),
        ("a layer that is another", docker_archive(&other_layer, &[&good], &[]), "the config states"),
        ("a bad tag", docker_archive(&config(&[&good]), &[&good], &["UPPER:1"]), "must be lowercase"),
        ("a layer that escapes", image(Tar::new().file("../x", b"x").finish()), ""),
        (
            "a layer with a hard link that escapes",
            image(Tar::new().link(tar::EntryType::Link, "x", "../../etc/shadow").finish()),
            "",
        ),
        ("a layer that is no archive", image(b"no tar at all".repeat(100)), ""),
        ("a layer cut short", image(Tar::new().file("a", &[1; 4000]).finish()[..2000].to_vec()), ""),
        ("a blob that is not its digest", wrong_blob, "blobs/sha256/"),
        ("a digest that is none", Tar::new().file("blobs/sha256/zz", b"x").finish(), "invalid checksum digest"),
        ("a wrong size", oci(&one(oversized), &[b"{}"]), "has 2 bytes, its descriptor says 3"),
        ("a manifest that is not there", oci(&one(missing), &[]), "is missing"),
        ("an index that is a manifest", oci(&one(ambiguous), &[&both_ways]), "fields of a manifest"),
        ("something that is no image", oci(&one(artifact), &[b"{}"]), "unsupported media type"),
        (
            "a layout of the future",
            Tar::new().file("oci-layout", br#"{"imageLayoutVersion":"2.0.0"}"#).file("index.json", b"{}").finish(),
            "unsupported image layout version",
        ),
    ]
}

#[test]
fn malformed_archives_leave_nothing_in_containerd() {
    runtime().block_on(async {
        let host = Host::containerd();
        // Inside layers containerd's own Diff service decides: what escapes ends inside the snapshot there.
        for (what, archive, text) in table().into_iter().filter(|(what, ..)| !what.contains("escapes")) {
            let error = host.load(archive).await.expect_err(what);
            let sentence = chain(&error);
            assert!(sentence.contains(text), "{what}: {sentence:?} does not say {text:?}");
            host.assert_empty();
        }
    });
}

#[test]
fn malformed_archives_leave_nothing_in_our_supervisor() {
    runtime().block_on(async {
        let host = Host::supervisor();
        for (what, archive, text) in table() {
            let error = host.load(archive).await.expect_err(what);
            let sentence = chain(&error);
            assert!(sentence.contains(text), "{what}: {sentence:?} does not say {text:?}");
            let kind = if what == "lz4" { ErrorKind::Unimplemented } else { ErrorKind::InvalidArgument };
            assert_eq!(error.kind(), kind, "{what}: {sentence}");
            host.assert_empty();
        }
    });
}

#[test]
fn a_client_that_leaves_leaves_nothing() {
    runtime().block_on(async {
        for host in Host::both() {
            let (sender, reader) = corten_images::input::channel();
            let client = host.client.clone();
            let load = tokio::spawn(async move { corten_images::load(&client, &crate::request(), reader).await });
            let archive = image(Tar::new().file("a", &[1; 400_000]).finish());
            sender.send(archive[..300_000].to_vec().into()).await.unwrap();
            drop(sender);
            let error = load.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Canceled, "{}", chain(&error));
            host.assert_empty();
        }
    });
}
