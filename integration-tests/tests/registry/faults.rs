//! What goes wrong on the way, and how it goes on.

use std::time::Duration;

use corten_images::registry::{RegistryError, Settings};
use integration_tests::registry::{Effect, Fault, TestRegistry};

use crate::{anonymous, data, descriptor, image, open, read, runtime, settings};

#[test]
fn a_host_that_asks_for_rest_gets_it() {
    let server = TestRegistry::start();
    let layered = server.put_image("a", "1", &image());
    server.plant(Fault::status("/manifests/", 429, "TOOMANYREQUESTS").with_header("retry-after", "2").times(1));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a:1", server.host())).await;
        let resolved = repository.resolve().await.unwrap();
        assert_eq!(resolved.descriptor.digest.to_string(), layered.manifest.digest());
        let log = server.log();
        assert_eq!(log.lines(), ["HEAD /v2/a/manifests/1 429", "HEAD /v2/a/manifests/1 200"]);
        assert!(log.0[1].at - log.0[0].at >= Duration::from_secs(2));
    });
}

#[test]
fn what_may_pass_is_tried_again_and_what_does_not_is_told() {
    let server = TestRegistry::start();
    let _ = server.put_image("a", "1", &image());
    server.plant(Fault::status("/manifests/", 503, "UNAVAILABLE").times(4));
    runtime().block_on(async {
        let name = format!("{}/a:1", server.host());
        let registry = anonymous(settings());
        let _ = open(&registry, &name).await.resolve().await.unwrap();
        assert_eq!(server.log().0.len(), 5);
        server.clear_log();
        server.plant(Fault::status("/manifests/", 500, "UNKNOWN"));
        let error = open(&registry, &name).await.resolve().await.unwrap_err();
        // An answer to HEAD has no body that could tell a code.
        assert_eq!((error.status(), error.code(), server.log().0.len()), (Some(500), None, 5));
    });
}

#[test]
fn a_blob_goes_on_where_it_broke_off() {
    let server = TestRegistry::start();
    let data = data();
    let digest = server.put_blob(data.clone());
    server.plant(Fault::cut(&digest, 200_000));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a", server.host())).await;
        let blob = repository.blob(&descriptor(&digest, data.len()), 0, 0).await.unwrap();
        assert_eq!(read(blob).await.unwrap(), data);
        let log = server.log();
        let requests = log.by("GET", &digest);
        let from = requests[1].range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let from: u64 = from.unwrap().parse().unwrap();
        assert!(requests.len() == 2 && from > 0 && from <= 200_000, "{requests:?}");
        assert_eq!(requests[1].served, data.len() as u64 - from);
    });
}

#[test]
fn a_host_without_ranges_sends_again_what_is_passed_over() {
    let server = TestRegistry::start();
    let data = data();
    let digest = server.put_blob(data.clone());
    server.plant(Fault::cut(&digest, 200_000));
    server.plant(Fault::new(&digest, Effect::NoRange));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a", server.host())).await;
        let blob = repository.blob(&descriptor(&digest, data.len()), 100_000, 0).await.unwrap();
        assert_eq!(read(blob).await.unwrap(), data[100_000..]);
        assert_eq!(server.log().by("GET", &digest).len(), 2);
    });
}

#[test]
fn a_blob_of_another_size_is_refused_before_it_is_read() {
    let server = TestRegistry::start();
    let data = data();
    let digest = server.put_blob(data.clone());
    server.plant(Fault::new(&digest, Effect::WrongSize(7)));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a", server.host())).await;
        let error = repository.blob(&descriptor(&digest, data.len()), 0, 0).await.err().unwrap();
        let RegistryError::Size { actual, expected, .. } = error else { panic!("{error:?}") };
        assert_eq!((actual, expected), (500_007, 500_000));
    });
}

#[test]
fn a_host_that_brings_next_to_nothing_is_given_up() {
    let server = TestRegistry::start();
    let data = data();
    let digest = server.put_blob(data.clone());
    server.plant(Fault::new(&digest, Effect::Slow));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a", server.host())).await;
        let blob = repository.blob(&descriptor(&digest, data.len()), 0, 0).await.unwrap();
        let error = read(blob).await.unwrap_err();
        assert!(matches!(error, RegistryError::Stalled { .. }), "{error:?}");
        // Twice, the second time from where it was.
        assert_eq!(server.log().by("GET", &digest).len(), 2);
    });
}

#[test]
fn a_huge_manifest_is_refused_by_what_its_head_says_and_by_what_comes() {
    let server = TestRegistry::start();
    let _ = server.put_image("a", "1", &image());
    server.plant(Fault::new("/manifests/", Effect::Body(vec![b' '; 5 << 20], None)));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a:1", server.host())).await;
        let error = repository.resolve().await.unwrap_err();
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{error:?}");
    });
}

#[test]
fn a_host_without_head_is_asked_with_get() {
    let server = TestRegistry::start();
    let layered = server.put_image("a", "1", &image());
    server.plant(Fault::status("/manifests/", 405, "UNSUPPORTED").on("HEAD"));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a:1", server.host())).await;
        let resolved = repository.resolve().await.unwrap();
        assert_eq!(resolved.descriptor.digest.to_string(), layered.manifest.digest());
        assert_eq!(resolved.data.unwrap(), layered.manifest.data);
    });
}

#[test]
fn a_head_without_a_digest_is_followed_by_a_get() {
    let server = TestRegistry::start();
    let layered = server.put_image("a", "1", &image());
    server.plant(Fault::new("/manifests/", Effect::WithoutHeader("docker-content-digest".into())));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a:1", server.host())).await;
        let resolved = repository.resolve().await.unwrap();
        assert_eq!(resolved.descriptor.digest.to_string(), layered.manifest.digest());
    });
}

#[test]
fn a_manifest_of_other_bytes_is_refused_with_both_digests() {
    let server = TestRegistry::start();
    let layered = server.put_image("a", "1", &image());
    server.plant(Fault::new("/manifests/", Effect::WrongBytes).on("GET"));
    runtime().block_on(async {
        let repository = open(&anonymous(settings()), &format!("{}/a:1", server.host())).await;
        let resolved = repository.resolve().await.unwrap();
        let error = repository.manifest(&resolved.descriptor).await.unwrap_err();
        let RegistryError::Digest { host, actual, expected, .. } = &error else { panic!("{error:?}") };
        assert_eq!((host.as_str(), expected.as_str()), (server.host().as_str(), &*layered.manifest.digest()));
        assert!(error.to_string().contains(actual));
    });
}

#[test]
fn mirrors_are_asked_first_and_what_they_lack_comes_from_the_next() {
    let (first, second) = (TestRegistry::start(), TestRegistry::start());
    let layered = second.put_image("library/a", "1", &image());
    runtime().block_on(async {
        let settings = Settings { mirrors: vec![first.url(), second.url()], ..settings() };
        let repository = open(&anonymous(settings), "a:1").await;
        let resolved = repository.resolve().await.unwrap();
        assert_eq!((resolved.host, resolved.descriptor.digest.to_string()), (second.host(), layered.manifest.digest()));
        let _ = repository.manifest(&resolved.descriptor).await.unwrap();
        assert_eq!(first.log().0.iter().filter(|logged| logged.status == 404).count(), first.log().0.len());
        assert!(first.log().0.len() >= 2);
    });
}

#[test]
fn a_mirror_that_breaks_off_is_left_and_the_rest_comes_from_the_next() {
    let (first, second) = (TestRegistry::start(), TestRegistry::start());
    let data = data();
    let digest = first.put_blob(data.clone());
    let _ = second.put_blob(data.clone());
    first.plant(Fault::cut(&digest, 150_000));
    runtime().block_on(async {
        let settings = Settings { mirrors: vec![first.url(), second.url()], ..settings() };
        let repository = open(&anonymous(settings), "a").await;
        let mut blob = repository.blob(&descriptor(&digest, data.len()), 0, 0).await.unwrap();
        let mut all = blob.next().await.unwrap().unwrap().to_vec();
        first.plant(Fault::status(&digest, 503, "UNAVAILABLE"));
        while let Some(piece) = blob.next().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        assert_eq!(all, data);
        assert_eq!((blob.host(), blob.host_number()), (second.host().as_str(), 1));
        // Once where it broke, not again and again.
        assert_eq!(first.log().by("GET", &digest).len(), 2, "{:?}", first.log().lines());
        assert!(second.log().by("GET", &digest)[0].range.is_some());
    });
}

#[test]
fn another_host_sees_no_credentials() {
    let target = TestRegistry::start();
    let data = data();
    let digest = target.put_blob(data.clone());
    let options = integration_tests::registry::Options {
        access: integration_tests::registry::Access::Basic("me".into(), "secret: ä".into()),
        ..Default::default()
    };
    let server = TestRegistry::start_with(options);
    server.plant(Fault::new(&digest, Effect::Redirect(target.url())));
    runtime().block_on(async {
        let repository = open(&crate::as_user(&server, crate::user()), &format!("{}/a", server.host())).await;
        // Who asks is known from the first request on.
        let _ = repository.resolve().await.unwrap_err();
        let blob = repository.blob(&descriptor(&digest, data.len()), 0, 0).await.unwrap();
        assert_eq!(read(blob).await.unwrap(), data);
        assert!(server.log().by("GET", &digest)[0].authorization.is_some());
        assert_eq!(target.log().by("GET", &digest)[0].authorization, None);
    });
}
