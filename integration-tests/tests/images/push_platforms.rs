//! Pushing images for several platforms: whole, one of them, those that are named, and what is missing of them.

use corten_containerd_api::{Image, ImageStore as _};
use corten_images::{Extent, Platform, PushError, PushRequest, Pushed, pull, push};
use integration_tests::registry::{TestRegistry, gzip};
use serde_json::json;

use crate::pull::{layers, registry, request, settings};
use crate::{Host, config, runtime};

const FOREIGN: [&str; 2] = ["s390x", "riscv64"];

/// A registry with an index of this machine's platform and two others, in that order.
struct Source {
    server: TestRegistry,
    /// The digests of the three.
    images: [String; 3],
    index: String,
}

impl Source {
    fn new() -> Self {
        let server = TestRegistry::start();
        let layers = layers(3, 20_000);
        let own = Platform::host().architecture;
        let architectures = [own.as_str(), FOREIGN[0], FOREIGN[1]];
        let (mut entries, mut images) = (Vec::new(), Vec::new());
        for (layer, architecture) in layers.iter().zip(architectures) {
            let mut config = config(&[layer]);
            config["architecture"] = architecture.into();
            let image = server.put_layers("a", config.to_string().as_bytes(), &[gzip(layer)]).manifest;
            server.put_manifest("a", None, &image);
            let mut entry = image.descriptor();
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            entries.push(entry);
            images.push(image.digest());
        }
        let index = server.put_index("a", "multi", &entries).digest();
        Self { server, images: images.try_into().unwrap(), index }
    }

    /// Pulls what is for `platforms`, all when none is named, and names it `copy:1` of `target`.
    async fn pull(&self, host: &Host, platforms: &[&str], target: &TestRegistry) -> String {
        let name = format!("{}/a:multi", self.server.host());
        let mut wanted = request(&name);
        wanted.unpack = Vec::new();
        wanted.platforms = platforms.iter().map(|text| text.parse().unwrap()).collect();
        let silent = corten_images::progress::silent();
        let _ = pull(&host.client, &wanted, &registry(settings()), &silent).await.unwrap();
        let copy = format!("{}/copy:1", target.host());
        let image = host.client.get_image(&name).await.unwrap();
        host.client.put_image(&Image { name: copy.clone(), ..image }).await.unwrap();
        copy
    }
}

async fn push_it(host: &Host, name: &str, extent: Extent) -> Result<Pushed, PushError> {
    let request = PushRequest { extent, ..PushRequest::new(name.parse().unwrap(), "tests") };
    push(&host.client, &request, &registry(settings()), &corten_images::progress::silent()).await
}

/// The digest of what `name` stands for on the host.
async fn recorded(host: &Host, name: &str) -> String {
    host.client.get_image(name).await.unwrap().target.digest.to_string()
}

fn one(architecture: &str) -> Extent {
    Extent::One(Platform::new("linux", architecture, ""))
}

#[test]
fn all_of_it_goes_or_the_platform_that_is_asked_for() {
    let source = Source::new();
    runtime().block_on(async {
        for host in Host::both() {
            let target = TestRegistry::start();
            let copy = source.pull(&host, &[], &target).await;
            let pushed = push_it(&host, &copy, Extent::WholeOrOne).await.unwrap();
            assert_eq!(pushed.target.digest.to_string(), source.index);
            assert_eq!(target.manifest("copy", "1").unwrap().digest(), source.index);
            for image in &source.images {
                assert!(target.manifest("copy", image).is_some());
            }
            let pushed = push_it(&host, &copy, one(FOREIGN[0])).await.unwrap();
            assert_eq!(pushed.target.digest.to_string(), source.images[1]);
            assert_eq!(target.manifest("copy", "1").unwrap().digest(), source.images[1]);
            let error = push_it(&host, &copy, one("ppc64le")).await.unwrap_err();
            let text = format!(
                "image with reference {copy} was found but does not provide the specified platform (linux/ppc64le)"
            );
            assert_eq!(error.to_string(), text);
            // The record here is the index as before.
            assert_eq!(recorded(&host, &copy).await, source.index);
        }
    });
}

#[test]
fn of_what_is_not_whole_the_only_image_goes_or_this_machines() {
    let source = Source::new();
    let own = format!("linux/{}", Platform::host().architecture);
    runtime().block_on(async {
        for host in Host::both() {
            let target = TestRegistry::start();
            let copy = source.pull(&host, &[&own], &target).await;
            let pushed = push_it(&host, &copy, Extent::WholeOrOne).await.unwrap();
            assert_eq!(pushed.target.digest.to_string(), source.images[0]);
            assert_eq!(target.manifest("copy", "1").unwrap().digest(), source.images[0]);
            assert_eq!(recorded(&host, &copy).await, source.index);
            let error = push_it(&host, &copy, one(FOREIGN[0])).await.unwrap_err();
            assert!(matches!(error, PushError::NoPlatform { .. }), "{error}");
            // Of several this machine's; and none where none is for this machine.
            let copy = source.pull(&host, &[&own, "linux/s390x"], &target).await;
            let pushed = push_it(&host, &copy, Extent::WholeOrOne).await.unwrap();
            assert_eq!(pushed.target.digest.to_string(), source.images[0]);
        }
        for host in Host::both() {
            let target = TestRegistry::start();
            let copy = source.pull(&host, &["linux/s390x", "linux/riscv64"], &target).await;
            let error = push_it(&host, &copy, Extent::WholeOrOne).await.unwrap_err();
            let text = "multiple matching manifests found but no specific platform requested";
            assert_eq!((error.to_string().as_str(), target.tags("copy").len()), (text, 0));
        }
    });
}

#[test]
fn containerds_clients_push_the_index_with_what_they_name() {
    let source = Source::new();
    let own = Platform::host();
    runtime().block_on(async {
        for host in Host::both() {
            let target = TestRegistry::start();
            let copy = source.pull(&host, &[&own.to_string()], &target).await;
            let error = push_it(&host, &copy, Extent::Listed(Vec::new())).await.unwrap_err();
            assert_eq!(error.to_string(), format!("content digest {}: not found", source.images[1]));
            // The registry wants what the index lists.
            let named = Extent::Listed(vec![own.clone()]);
            let error = push_it(&host, &copy, named).await.unwrap_err();
            assert_eq!(error.registry().unwrap().code(), Some("MANIFEST_UNKNOWN"));
            assert_eq!(target.tags("copy").len(), 0);
            let copy = source.pull(&host, &[], &target).await;
            let named = |texts: &[&str]| Extent::Listed(texts.iter().map(|text| text.parse().unwrap()).collect());
            // Which has the first of them since then.
            target.clear_log();
            let pushed = push_it(&host, &copy, named(&["linux/s390x", "linux/riscv64"])).await.unwrap();
            assert_eq!(target.log().by("PUT", &source.images[0]).len(), 0);
            assert_eq!(pushed.target.digest.to_string(), source.index);
            assert_eq!(target.manifest("copy", "1").unwrap().digest(), source.index);
        }
    });
}
