//! Pulling, judged from the registry's log and from what the store holds then.

use std::sync::Arc;
use std::time::Duration;

use corten_images::registry::{Anonymous, Patience, Proxies, Registry, Settings};
use corten_images::{Platform, Progress, PullError, PullRequest, Pulled, Sink, pull, pull_all};
use integration_tests::registry::{Effect, Fault, Layered, TestRegistry, gzip};
use integration_tests::{DEADLINE, wait_for};
use serde_json::{Value, json};

use crate::{Host, Tar, config, digest, runtime};

pub(crate) fn settings() -> Settings {
    // Whoever asks Hub itself hears that nobody is there.
    let proxies = Proxies { https: "http://127.0.0.1:1".into(), ..Proxies::default() };
    Settings { tls_dir: None, proxies: Some(proxies), ..Settings::default() }
}

pub(crate) fn registry(settings: Settings) -> Registry {
    let patience = Patience { first_delay: Duration::from_millis(10), ..Patience::default() };
    Registry::new(settings, Arc::new(Anonymous)).unwrap().with_patience(patience)
}

pub(crate) fn request(name: &str) -> PullRequest {
    PullRequest::new(name.parse().unwrap(), Platform::host(), "tests")
}

impl Host {
    async fn pull(&self, name: &str) -> Result<Pulled, PullError> {
        self.pull_by(name, settings()).await
    }

    async fn pull_by(&self, name: &str, settings: Settings) -> Result<Pulled, PullError> {
        pull(&self.client, &request(name), &registry(settings), &corten_images::progress::silent()).await
    }

    /// What a collection leaves: images, blobs with labels, snapshots.
    fn held(&self) -> Vec<String> {
        let _ = self.ctr.run(&["leases", "create", "--id", "collects"]).ok();
        let _ = self.ctr.run(&["leases", "rm", "--sync", "collects"]).ok();
        let mut all = self.listed(&["images", "ls"]);
        for line in self.listed(&["content", "ls"]) {
            let columns: Vec<&str> = line.split('\t').collect();
            let mut labels: Vec<&str> = columns.last().unwrap_or(&"").split(',').collect();
            labels.sort_unstable();
            all.push(format!("{} {} {}", columns[0], columns.get(1).unwrap_or(&""), labels.join(",")));
        }
        all.extend(self.listed(&["snapshots", "ls"]));
        all
    }
}

/// Layers of noise, so that they stay as large when they are compressed.
pub(crate) fn layers(count: usize, size: usize) -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    (0..count)
        .map(|number| {
            let data: Vec<u8> = (0..size).map(|_| noise()).collect();
            Tar::new().file(&format!("file{number}"), &data).finish()
        })
        .collect()
}

/// Puts an image of `layers` under `name:tag`.
pub(crate) fn put(server: &TestRegistry, name: &str, tag: &str, layers: &[Vec<u8>]) -> Layered {
    let plain: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let compressed: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
    let layered = server.put_layers(name, config(&plain).to_string().as_bytes(), &compressed);
    server.put_manifest(name, Some(tag), &layered.manifest);
    layered
}

#[test]
fn an_image_is_held_as_ctr_holds_what_it_pulls() {
    let server = TestRegistry::start();
    let layers = layers(3, 50_000);
    let layered = put(&server, "a/b", "1", &layers);
    let mut entry = layered.manifest.descriptor();
    entry["platform"] = json!({"os": "linux", "architecture": Platform::host().architecture});
    let index = server.put_index("a/b", "multi", &[entry]);
    runtime().block_on(async {
        for (tag, target) in [("1", layered.manifest.digest()), ("multi", index.digest())] {
            let name = format!("{}/a/b:{tag}", server.host());
            let reference = Host::containerd();
            let _ = reference.ctr.run(&["images", "pull", "--plain-http", &name]).ok();
            let expected = reference.held();
            for host in Host::both() {
                let pulled = host.pull(&name).await.unwrap();
                assert_eq!((pulled.target.digest.to_string(), pulled.name.as_str()), (target.clone(), name.as_str()));
                assert_eq!(pulled.id.unwrap().to_string(), layered.id);
                assert!(!pulled.is_up_to_date);
                assert_eq!(host.held(), expected);
                assert_eq!(host.ctr.run(&["leases", "ls", "-q"]).ok().stdout, "");
                assert_eq!(host.ctr.run(&["content", "active"]).ok().stdout.lines().count(), 1, "ingests left");
            }
        }
    });
}

#[test]
fn a_pull_that_was_cut_off_goes_on_where_it_was() {
    runtime().block_on(async {
        for host in Host::both() {
            let server = TestRegistry::start();
            let layered = put(&server, "a", "1", &layers(1, 3_000_000));
            let layer = &layered.layers[0];
            let size = server.blob(layer).unwrap().len() as u64;
            server.plant(Fault::new(layer, Effect::Hold(2_000_000)).on("GET").times(1));
            let name = format!("{}/a:1", server.host());
            let (client, own) = (host.client.clone(), name.clone());
            let task = tokio::spawn(async move {
                pull(&client, &request(&own), &registry(settings()), &corten_images::progress::silent()).await
            });
            // Until the store has a good part of it.
            let active = || host.ctr.run(&["content", "active"]).ok().stdout.contains("MB");
            let waited = async {
                while !active() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(DEADLINE, waited).await.expect("more than a MiB to be in the ingest");
            task.abort();
            let _ = task.await;
            let pulled = host.pull(&name).await.unwrap();
            assert_eq!(pulled.target.digest.to_string(), layered.manifest.digest());
            let log = server.log();
            let requests = log.by("GET", layer);
            let from = requests[1].range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
            let from: u64 = from.unwrap().parse().unwrap();
            assert!(requests.len() == 2 && from > 1_000_000, "{requests:?}");
            assert!(log.served(layer) <= size + (1 << 20), "{} of {size}", log.served(layer));
            assert_eq!(requests[1].served, size - from);
            wait_for("the lease of the cut off pull to end", DEADLINE, || {
                host.ctr.run(&["leases", "ls", "-q"]).ok().stdout.is_empty()
            });
        }
    });
}

#[test]
fn two_pulls_at_once_fetch_each_blob_once() {
    let server = TestRegistry::start();
    let layers = layers(4, 400_000);
    let first = put(&server, "a", "1", &layers[..3]);
    let second = put(&server, "a", "2", &layers[1..]);
    runtime().block_on(async {
        for host in Host::both() {
            server.clear_log();
            let (one, two) = (format!("{}/a:1", server.host()), format!("{}/a:2", server.host()));
            let (one, two) = tokio::join!(host.pull(&one), host.pull(&two));
            assert_eq!(
                (one.unwrap().id.unwrap().to_string(), two.unwrap().id.unwrap().to_string()),
                (first.id.clone(), second.id.clone())
            );
            let log = server.log();
            for layer in first.layers.iter().chain(&second.layers) {
                assert_eq!(log.by("GET", layer).len(), 1, "{layer}");
            }
        }
    });
}

#[test]
fn a_host_that_serves_something_else_is_passed_over_and_named_when_it_is_the_last() {
    let (first, second) = (TestRegistry::start(), TestRegistry::start());
    let layers = layers(2, 100_000);
    let layered = put(&first, "library/a", "1", &layers);
    let _ = put(&second, "library/a", "1", &layers);
    let bad = &layered.layers[1];
    first.plant(Fault::new(bad, Effect::WrongBytes));
    runtime().block_on(async {
        for host in Host::both() {
            let error = host.pull(&format!("{}/library/a:1", first.host())).await.unwrap_err();
            let text = corten_types::error::chain(&error);
            let lies: Vec<u8> = first.blob(bad).unwrap().iter().map(|byte| byte ^ 1).collect();
            for part in [&first.host(), bad, &digest(&lies)] {
                assert!(text.contains(part), "{part} is not in {text}");
            }
            assert_eq!(first.log().by("GET", bad).len(), 2);
            host.assert_empty();
            let mirrors = vec![first.url(), second.url()];
            let pulled = host.pull_by("a:1", Settings { mirrors, ..settings() }).await.unwrap();
            assert_eq!(pulled.id.unwrap().to_string(), layered.id);
            assert_eq!(second.log().by("GET", bad).len(), 1);
            first.clear_log();
            second.clear_log();
        }
    });
}

#[test]
fn of_several_platforms_the_best_is_fetched_and_nothing_else() {
    let server = TestRegistry::start();
    let layers = layers(2, 20_000);
    let (here, other) = (put(&server, "a", "here", &layers[..1]), put(&server, "a", "other", &layers[1..]));
    let entry = |layered: &Layered, os: &str, architecture: &str| {
        let mut entry = layered.manifest.descriptor();
        entry["platform"] = json!({"os": os, "architecture": architecture});
        entry
    };
    let proof = entry(&other, "unknown", "unknown");
    let own = Platform::host().architecture;
    let index = server.put_index("a", "multi", &[entry(&other, "linux", "s390x"), proof, entry(&here, "linux", &own)]);
    let _ = server.put_index("a", "none", &[entry(&other, "linux", "s390x")]);
    server.clear_log();
    runtime().block_on(async {
        for host in Host::both() {
            let pulled = host.pull(&format!("{}/a:multi", server.host())).await.unwrap();
            assert_eq!(
                (pulled.target.digest.to_string(), pulled.id.unwrap().to_string()),
                (index.digest(), here.id.clone())
            );
            assert!(server.log().of(&other.manifest.digest()).is_empty());
            let error = host.pull(&format!("{}/a:none", server.host())).await.unwrap_err();
            assert!(error.to_string().starts_with("no match for platform linux/"), "{error}");
            // What the others are, as containerd's clients ask for it; then all of them, for a copy that is whole.
            let name = format!("{}/a:multi", server.host());
            let described = PullRequest { all_metadata: true, ..request(&name) };
            let whole = PullRequest { platforms: Vec::new(), ..request(&name) };
            for (request, layers) in [(described, 0), (whole, 1)] {
                let silent = corten_images::progress::silent();
                let _ = pull(&host.client, &request, &registry(settings()), &silent).await.unwrap();
                for (digest, count) in [(&other.manifest.digest(), 1), (&other.id, 1), (&other.layers[0], layers)] {
                    assert_eq!(server.log().by("GET", digest).len(), count, "{digest}");
                }
            }
            server.clear_log();
        }
    });
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let server = TestRegistry::start();
    let layers = layers(3, 100_000);
    let _ = put(&server, "a", "1", &layers[..2]);
    runtime().block_on(async {
        for host in Host::both() {
            let name = format!("{}/a:1", server.host());
            let first = host.pull(&name).await.unwrap();
            server.clear_log();
            let again = host.pull(&name).await.unwrap();
            assert!(again.is_up_to_date && !first.is_up_to_date);
            assert_eq!(server.log().lines(), ["HEAD /v2/a/manifests/1 200"]);
            let changed = put(&server, "a", "1", &layers);
            server.clear_log();
            assert_eq!(host.pull(&name).await.unwrap().id.unwrap().to_string(), changed.id);
            let fetched: Vec<String> = server.log().0.iter().map(|logged| logged.line()).collect();
            let expected = [
                "HEAD /v2/a/manifests/1".to_owned(),
                format!("GET /v2/a/manifests/{}", changed.manifest.digest()),
                format!("GET /v2/a/blobs/{}", changed.id),
                format!("GET /v2/a/blobs/{}", changed.layers[2]),
            ];
            assert_eq!(fetched, expected);
            let _ = put(&server, "a", "1", &layers[..2]);
        }
    });
}

#[test]
fn every_tag_is_pulled() {
    let server = TestRegistry::start();
    let layers = layers(2, 10_000);
    let _ = (put(&server, "a", "1", &layers[..1]), put(&server, "a", "2", &layers));
    runtime().block_on(async {
        let host = Host::supervisor();
        let request = request(&format!("{}/a", server.host()));
        let pulled = pull_all(&host.client, &request, &registry(settings()), &corten_images::progress::silent()).await;
        let names: Vec<String> = pulled.unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, [format!("{}/a:1", server.host()), format!("{}/a:2", server.host())]);
    });
}

#[test]
fn of_a_pull_that_fails_nothing_stays() {
    let server = TestRegistry::start();
    let small = layers(2, 30_000);
    let missing = put(&server, "a", "missing", &small);
    server.drop_blob(&missing.layers[1]);
    let plain: Vec<&[u8]> = small.iter().map(Vec::as_slice).collect();
    let wrong = server.put_layers("a", config(&plain).to_string().as_bytes(), &[gzip(&small[1]), gzip(&small[0])]);
    server.put_manifest("a", Some("wrong"), &wrong.manifest);
    let many: Vec<Value> = (0..5000).map(|_| wrong.manifest.descriptor()).collect();
    let chart = json!({"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": missing.id, "size": 5});
    for (tag, config, layers) in [("many", wrong.manifest.descriptor(), json!(many)), ("chart", chart, json!([]))] {
        let mut manifest = wrong.manifest.clone();
        let text = json!({"schemaVersion": 2, "mediaType": manifest.media_type, "config": config, "layers": layers});
        manifest.data = text.to_string().into_bytes().into();
        server.put_manifest("a", Some(tag), &manifest);
    }
    runtime().block_on(async {
        for host in Host::both() {
            server.drop_blob(&missing.layers[1]);
            for (tag, part) in [
                ("missing", "404 Not Found: blob unknown: blob unknown to registry"),
                ("nothing", "404 Not Found"),
                ("many", "5000 layers, at most 1024 are taken"),
                ("chart", "unsupported media type \"application/vnd.cncf.helm.config.v1+json\""),
            ] {
                let error = host.pull(&format!("{}/a:{tag}", server.host())).await.unwrap_err();
                let text = corten_types::error::chain(&error);
                assert!(text.contains(part), "{text}");
                host.assert_empty();
            }
            // With both layers there, each in the other's place.
            let _ = server.put_blob(gzip(&small[1]));
            let error = host.pull(&format!("{}/a:wrong", server.host())).await.unwrap_err();
            assert!(error.to_string().contains("diff id"), "{error}");
            host.assert_empty();
        }
    });
}

#[test]
fn layers_of_a_pull_that_broke_off_are_not_fetched_again() {
    runtime().block_on(async {
        for host in Host::both() {
            let server = TestRegistry::start();
            let layered = put(&server, "a", "1", &layers(3, 50_000));
            server.plant(Fault::status(&layered.layers[2], 503, "UNAVAILABLE").on("GET"));
            let name = format!("{}/a:1", server.host());
            // One after the other, so that it breaks off with two of three.
            let error = host.pull_by(&name, Settings { downloads: 1, ..settings() }).await.unwrap_err();
            assert_eq!(error.registry().and_then(|error| error.status()), Some(503), "{error}");
            let kept = host.ctr.run(&["leases", "ls", "-q"]).ok().stdout;
            assert!(kept.starts_with("kept-") && kept.lines().count() == 1, "{kept}");
            let held = host.held();
            assert!(
                layered.layers[..2].iter().all(|layer| held.iter().any(|line| line.starts_with(layer))),
                "{held:?}"
            );

            server.heal();
            server.clear_log();
            let pulled = host.pull(&name).await.unwrap();
            assert_eq!(pulled.id.unwrap().to_string(), layered.id);
            let log = server.log();
            let fetched = layered.layers.iter().map(|layer| log.by("GET", layer).len());
            assert_eq!(fetched.collect::<Vec<_>>(), [0, 0, 1]);
            assert_eq!(host.ctr.run(&["leases", "ls", "-q"]).ok().stdout, "");
        }
    });
}

#[test]
fn the_sink_hears_of_every_blob_from_its_beginning_to_its_end() {
    let server = TestRegistry::start();
    let layered = put(&server, "a", "1", &layers(2, 50_000));
    runtime().block_on(async {
        let host = Host::supervisor();
        let heard: Arc<std::sync::Mutex<Vec<Progress>>> = Arc::default();
        let own = heard.clone();
        let sink: Sink = Arc::new(move |progress| own.lock().unwrap().push(progress));
        let name = format!("{}/a:1", server.host());
        let _ = pull(&host.client, &request(&name), &registry(settings()), &sink).await.unwrap();
        let heard = heard.lock().unwrap();
        let of = |digest: &str| {
            let name = format!("layer-{digest}");
            heard.iter().filter(|one| one.name == name).map(|one| one.event.clone()).collect::<Vec<_>>()
        };
        for layer in &layered.layers {
            assert_eq!(of(layer), ["waiting", "downloading", "complete", "extracting", "extracted"]);
        }
        let last = heard.last().unwrap();
        assert_eq!((last.event.clone(), last.name.as_str()), (format!("Completed pull from {name}"), ""));
        assert!(heard.iter().any(|one| one.event == "saved" && one.name == name));
    });
}
