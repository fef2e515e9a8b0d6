//! Pushing, judged by what the registry was sent and holds then.

use std::io::Read;
use std::sync::Arc;

use corten_images::registry::{Credential, ForDomain, Registry};
use corten_images::{PushError, PushRequest, Pushed, pull, push};
use integration_tests::registry::{Access, Fault, Options, TestRegistry, Tokens};
use serde_json::{Value, json};

use crate::pull::{layers, put, registry, request, settings};
use crate::{Host, config, docker_archive, runtime};

pub(crate) async fn push_as(host: &Host, registry: &Registry, name: &str) -> Result<Pushed, PushError> {
    let request = PushRequest::new(name.parse().unwrap(), "tests");
    push(&host.client, &request, registry, &corten_images::progress::silent()).await
}

async fn push_it(host: &Host, name: &str) -> Result<Pushed, PushError> {
    push_as(host, &registry(settings()), name).await
}

/// Loads an image of plain layers under `name`; the id.
pub(crate) async fn load_as(host: &Host, layers: &[Vec<u8>], name: &str) -> String {
    let plain: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let loaded = host.load(docker_archive(&config(&plain), &plain, &[name])).await.unwrap();
    loaded[0].id.to_string()
}

fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(data).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn a_loaded_image_is_compressed_once_and_comes_back_with_its_id() {
    let layers = layers(2, 1_500_000);
    runtime().block_on(async {
        for host in Host::both() {
            let server = TestRegistry::start();
            let name = format!("{}/a/b:1", server.host());
            let id = load_as(&host, &layers, &name).await;
            let pushed = push_it(&host, &name).await.unwrap();
            let manifest = server.manifest("a/b", "1").unwrap();
            assert_eq!(manifest.digest(), pushed.target.digest.to_string());
            let document: Value = serde_json::from_slice(&manifest.data).unwrap();
            assert_eq!(document["config"]["digest"], json!(id));
            for (entry, layer) in document["layers"].as_array().unwrap().iter().zip(&layers) {
                assert_eq!(entry["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
                assert!(gunzip(&server.blob(entry["digest"].as_str().unwrap()).unwrap()) == *layer);
            }
            // What it stands for here is what it stands for there.
            let image = host.catalog().resolve(&name).await.unwrap();
            assert_eq!(image.repo_digests(), [format!("{}/a/b@{}", server.host(), manifest.digest())]);
            assert_eq!(host.ctr.run(&["leases", "ls", "-q"]).ok().stdout, "");

            // Again: nothing is sent but the tag.
            server.clear_log();
            let _ = push_it(&host, &name).await.unwrap();
            let sent: Vec<String> =
                server.log().0.iter().map(|one| one.line()).filter(|line| !line.starts_with("HEAD")).collect();
            assert_eq!(sent, ["PUT /v2/a/b/manifests/1"]);

            let other = Host::containerd();
            let _ = other.ctr.run(&["images", "pull", "--plain-http", &name]).ok();
            assert_eq!(other.catalog().resolve(&name).await.unwrap().details.id().to_string(), id);
        }
    });
}

#[test]
fn another_name_of_a_loaded_image_finds_its_compressed_layers() {
    let layers = layers(1, 200_000);
    runtime().block_on(async {
        let host = Host::supervisor();
        let server = TestRegistry::start();
        let (first, second) = (format!("{}/a:1", server.host()), format!("{}/b:1", server.host()));
        let _ = load_as(&host, &layers, &first).await;
        let image = host.catalog().resolve(&first).await.unwrap();
        host.catalog().tag(&image, &second.parse().unwrap()).await.unwrap();
        let one = push_it(&host, &first).await.unwrap();
        server.clear_log();
        let two = push_it(&host, &second).await.unwrap();
        assert_eq!(one, two);
        // It is there under the first name already.
        assert!(server.log().0.iter().all(|logged| logged.taken < 2000), "{:?}", server.log().lines());
    });
}

#[test]
fn a_pulled_image_goes_elsewhere_byte_for_byte_and_by_mount() {
    let server = TestRegistry::start();
    let layered = put(&server, "a", "1", &layers(2, 100_000));
    runtime().block_on(async {
        for host in Host::both() {
            let (from, to) = (format!("{}/a:1", server.host()), format!("{}/copy/of:2", server.host()));
            let _ = pull(&host.client, &request(&from), &registry(settings()), &corten_images::progress::silent())
                .await
                .unwrap();
            let image = host.catalog().resolve(&from).await.unwrap();
            host.catalog().tag(&image, &to.parse().unwrap()).await.unwrap();
            // The registry of the tests shows blobs that were put by hand to everybody.
            for layer in &layered.layers {
                server.plant(Fault::status(&format!("copy/of/blobs/{layer}"), 404, "BLOB_UNKNOWN").on("HEAD"));
            }
            server.clear_log();
            let _ = push_it(&host, &to).await.unwrap();
            assert_eq!(server.manifest("copy/of", "2").unwrap().data, layered.manifest.data);
            let log = server.log();
            let mounts = log.by("POST", "/blobs/uploads/");
            assert_eq!(mounts.len(), 2);
            assert!(mounts.iter().all(|one| one.status == 201 && one.query.contains("from=a")), "{mounts:?}");
            assert_eq!(log.0.iter().filter(|one| one.method == "PUT").count(), 1);
        }
    });
}

#[test]
fn a_registry_that_takes_no_large_bodies_gets_chunks() {
    let layers = layers(1, 9_000_000);
    runtime().block_on(async {
        let server = TestRegistry::start();
        server.plant(Fault::status("/blobs/uploads/", 413, "SIZE_INVALID").on("PUT").over(4 << 20));
        let host = Host::supervisor();
        let name = format!("{}/a:1", server.host());
        let _ = load_as(&host, &layers, &name).await;
        let _ = push_it(&host, &name).await.unwrap();
        let log = server.log();
        let ranges: Vec<&str> = log.0.iter().filter_map(|one| one.content_range.as_deref()).collect();
        assert!(ranges.contains(&"0-4194303") && ranges.contains(&"4194304-8388607"), "{ranges:?}");
        let manifest: Value = serde_json::from_slice(&server.manifest("a", "1").unwrap().data).unwrap();
        assert!(gunzip(&server.blob(manifest["layers"][0]["digest"].as_str().unwrap()).unwrap()) == layers[0]);
    });
}

#[test]
fn a_push_that_fails_leaves_no_tag_and_one_that_stumbles_goes_on() {
    let layers = layers(2, 100_000);
    runtime().block_on(async {
        for host in Host::both() {
            let server = TestRegistry::start();
            let name = format!("{}/a:1", server.host());
            let _ = load_as(&host, &layers, &name).await;
            server.plant(Fault::status("/blobs/uploads/", 403, "DENIED").on("PUT"));
            let error = push_it(&host, &name).await.unwrap_err();
            let answer = error.registry().unwrap();
            assert_eq!(
                (answer.status(), answer.code(), answer.host()),
                (Some(403), Some("DENIED"), Some(&*server.host()))
            );
            assert!(server.tags("a").is_empty() && server.log().by("PUT", "/manifests/1").is_empty());
            server.heal();
            server.plant(Fault::status("/blobs/uploads/", 503, "UNAVAILABLE").on("PUT").times(2));
            server.plant(Fault::status("/blobs/uploads/", 404, "BLOB_UPLOAD_UNKNOWN").on("PUT").times(2));
            let _ = push_it(&host, &name).await.unwrap();
            assert_eq!(server.tags("a"), ["1"]);
            let error = push_it(&host, &format!("{}/nothing:1", server.host())).await.unwrap_err();
            let text = format!("An image does not exist locally with the tag: {}/nothing:1", server.host());
            assert_eq!(error.to_string(), text);
        }
    });
}

#[test]
fn a_push_with_tokens_asks_for_both_rights() {
    let tokens = Tokens { user: Some(("me".into(), "secret".into())), ..Tokens::default() };
    let server = TestRegistry::start_with(Options { access: Access::Bearer(tokens), ..Options::default() });
    let layers = layers(2, 50_000);
    runtime().block_on(async {
        let host = Host::supervisor();
        let name = format!("{}/a:1", server.host());
        let _ = load_as(&host, &layers, &name).await;
        let error = push_it(&host, &name).await.unwrap_err();
        assert_eq!(error.registry().unwrap().status(), Some(401));
        let credential = Credential::Basic { username: "me".into(), password: "secret".into() };
        let registry = Registry::new(settings(), Arc::new(ForDomain::new(&server.host(), credential))).unwrap();
        let _ = push_as(&host, &registry, &name).await.unwrap();
        let log = server.log();
        assert!(
            log.of("/token").iter().any(|one| one.query.contains("scope=repository:a:pull%2Cpush")),
            "{:?}",
            log.of("/token")
        );
        assert!(log.of("/token").len() <= 4, "{:?}", log.lines());
        let other = Host::supervisor();
        let _ = pull(&other.client, &request(&name), &registry, &corten_images::progress::silent()).await.unwrap();
    });
}
