//! The registry client, judged from the log of a registry of the tests' own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod certificates;
mod faults;
mod lists;
mod proxies;

use std::sync::Arc;
use std::time::Duration;

use corten_containerd_api::{Descriptor, Labels};
use corten_images::registry::{
    Anonymous, Blob, Credential, ForDomain, Patience, Registry, RegistryError, Repository, Settings,
};
use integration_tests::registry::{Artifact, Layered, TestRegistry};
use integration_tests::{ImageFiles, busybox};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Nothing of this host's configuration.
fn settings() -> Settings {
    Settings { tls_dir: None, proxies: Some(corten_images::registry::Proxies::default()), ..Settings::default() }
}

/// Waits that a test can afford; what is told by the server is waited for all the same.
fn patience() -> Patience {
    Patience { first_delay: Duration::from_millis(10), stall: Duration::from_secs(2), ..Patience::default() }
}

fn anonymous(settings: Settings) -> Registry {
    Registry::new(settings, Arc::new(Anonymous)).unwrap().with_patience(patience())
}

fn as_user(server: &TestRegistry, credential: Credential) -> Registry {
    let credentials = Arc::new(ForDomain::new(&server.host(), credential));
    Registry::new(settings(), credentials).unwrap().with_patience(patience())
}

fn user() -> Credential {
    Credential::Basic { username: "me".into(), password: "secret: ä".into() }
}

async fn open(registry: &Registry, name: &str) -> Repository {
    registry.repository(&name.parse().unwrap()).await.unwrap()
}

fn image() -> ImageFiles {
    ImageFiles::new(busybox::layer().to_vec(), &["true"])
}

/// A blob of half a megabyte whose every byte depends on its place.
fn data() -> Vec<u8> {
    (0..500_000_u32).flat_map(|number| [(number % 251) as u8]).collect()
}

fn descriptor(digest: &str, size: usize) -> Descriptor {
    Descriptor {
        media_type: "application/octet-stream".into(),
        digest: digest.parse().unwrap(),
        size: size as u64,
        annotations: Labels::new(),
    }
}

async fn read(mut blob: Blob) -> Result<Vec<u8>, RegistryError> {
    let mut all = Vec::new();
    while let Some(piece) = blob.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

#[test]
fn a_tag_leads_to_a_manifest_and_to_blobs() {
    let server = TestRegistry::start();
    let Layered { manifest, id, .. } = server.put_image("a/b", "1", &image());
    runtime().block_on(async {
        let registry = anonymous(settings());
        let repository = open(&registry, &format!("{}/a/b:1", server.host())).await;
        let resolved = repository.resolve().await.unwrap();
        assert_eq!(resolved.descriptor.digest.to_string(), manifest.digest());
        assert_eq!(resolved.descriptor.media_type, manifest.media_type);
        assert_eq!(repository.manifest(&resolved.descriptor).await.unwrap(), manifest.data);
        let config = server.blob(&id).unwrap();
        let blob = repository.blob(&descriptor(&id, config.len()), 0, 0).await.unwrap();
        assert_eq!(read(blob).await.unwrap(), config);
        let lines = server.log().lines();
        let expected = [
            "HEAD /v2/a/b/manifests/1 200".to_owned(),
            format!("GET /v2/a/b/manifests/{} 200", manifest.digest()),
            format!("GET /v2/a/b/blobs/{id} 200"),
        ];
        assert_eq!(lines, expected);
    });
}

#[test]
fn what_is_not_there_is_said_with_host_status_and_code() {
    let server = TestRegistry::start();
    let _ = server.put_image("a", "1", &image());
    runtime().block_on(async {
        let registry = anonymous(settings());
        let error = open(&registry, &format!("{}/a:2", server.host())).await.resolve().await.unwrap_err();
        assert_eq!((error.status(), error.code()), (Some(404), Some("MANIFEST_UNKNOWN")));
        assert_eq!(error.host(), Some(server.host().as_str()));
        assert_eq!(error.docker_text().unwrap(), "manifest unknown: manifest unknown");
        let error = open(&registry, "127.0.0.1:1/a:2").await.resolve().await.unwrap_err();
        assert!(matches!(error, RegistryError::Connect { .. }), "{error:?}");
    });
}

#[test]
fn an_image_of_schema_one_is_refused_with_dockers_sentence() {
    let server = TestRegistry::start();
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws".to_owned();
    server.put_manifest("old", Some("1"), &Artifact { media_type, data: "{}".into() });
    runtime().block_on(async {
        let name = format!("{}/old:1", server.host());
        let error = open(&anonymous(settings()), &name).await.resolve().await.unwrap_err().to_string();
        assert!(error.contains("schema 1 support has been removed") && error.contains(&name), "{error}");
    });
}
