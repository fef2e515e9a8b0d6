//! Through Debian's docker-registry, beside Debian's ctr and skopeo: plain, and with TLS and a password.

use std::process::Command;
use std::sync::Arc;

use corten_images::pull;
use corten_images::registry::{Credential, ForDomain, Registry, Settings};
use integration_tests::registry::Authority;
use integration_tests::{DockerRegistry, DockerRegistryOptions, Ran, TempRoot, programs};
use serde_json::Value;

use crate::pull::{layers, registry, request, settings};
use crate::push::{load_as, push_as};
use crate::{Host, runtime};

fn skopeo(arguments: &[&str]) -> Ran {
    Ran::of(Command::new(programs::original("skopeo")).args(arguments)).ok()
}

#[test]
fn what_is_pushed_comes_back_to_everybody_with_the_same_digests() {
    // Of several blocks each, which are a gzip member each.
    let layers = layers(3, 700_000);
    let root = TempRoot::new();
    let server = DockerRegistry::start(&root, &DockerRegistryOptions::default());
    runtime().block_on(async {
        let silent = corten_images::progress::silent();
        for (number, host) in Host::both().into_iter().enumerate() {
            let name = format!("{}/a{number}/b:1", server.host());
            let id = load_as(&host, &layers, &name).await;
            let pushed = push_as(&host, &registry(settings()), &name).await.unwrap();
            let digest = pushed.target.digest.to_string();
            let seen = skopeo(&["inspect", "--tls-verify=false", &format!("docker://{name}")]).stdout;
            let seen: Value = serde_json::from_str(&seen).unwrap();
            assert_eq!(seen["Digest"], digest);
            for other in Host::both() {
                let pulled = pull(&other.client, &request(&name), &registry(settings()), &silent).await.unwrap();
                assert_eq!(
                    (pulled.target.digest.to_string(), pulled.id.unwrap().to_string()),
                    (digest.clone(), id.clone())
                );
            }
            let ctr = Host::containerd();
            let _ = ctr.ctr.run(&["images", "pull", "--plain-http", &name]).ok();
            assert_eq!(ctr.catalog().resolve(&name).await.unwrap().details.id().to_string(), id);
            // Those of podman and buildah read it with skopeo's code; here the layers are plain again.
            let archive = root.join(format!("by-skopeo-{number}.tar"));
            let to = format!("docker-archive:{}:by/skopeo:1", archive.display());
            let _ = skopeo(&["copy", "--src-tls-verify=false", &format!("docker://{name}"), &to]);
            let loaded = Host::supervisor().load(std::fs::read(&archive).unwrap()).await.unwrap();
            assert_eq!(loaded[0].id.to_string(), id);
            // And what skopeo made of it.
            let copy = format!("{}/copy{number}:2", server.host());
            let from = format!("docker://{name}");
            let to = format!("docker://{copy}");
            let _ =
                skopeo(&["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--format", "oci", &from, &to]);
            let pulled = pull(&host.client, &request(&copy), &registry(settings()), &silent).await.unwrap();
            let seen = skopeo(&["inspect", "--tls-verify=false", &to]).stdout;
            assert_eq!(serde_json::from_str::<Value>(&seen).unwrap()["Digest"], pulled.target.digest.to_string());
        }
        let names = registry(settings()).catalog(server.host()).await.unwrap();
        assert_eq!(names, ["a0/b", "a1/b", "copy0", "copy1"]);
    });
}

#[test]
fn tls_and_a_password_are_enough_and_needed() {
    let root = TempRoot::new();
    let authority = Authority::new();
    let options = DockerRegistryOptions {
        tls: Some(&authority),
        user: Some(("me", "pass:word")),
        ..DockerRegistryOptions::default()
    };
    let server = DockerRegistry::start(&root, &options);
    let home = root.make(format!("certs.d/{}", server.host()));
    std::fs::write(home.join("ca.crt"), authority.pem()).unwrap();
    let settings = Settings { tls_dir: Some(root.join("certs.d")), ..settings() };
    let layers = layers(1, 100_000);
    runtime().block_on(async {
        let host = Host::supervisor();
        let name = format!("{}/a:1", server.host());
        let id = load_as(&host, &layers, &name).await;
        let error = push_as(&host, &registry(settings.clone()), &name).await.unwrap_err();
        assert_eq!(error.registry().unwrap().code(), Some("UNAUTHORIZED"));
        let credential = Credential::Basic { username: "me".into(), password: "pass:word".into() };
        let credentials = Arc::new(ForDomain::new(server.host(), credential.clone()));
        let known = Registry::new(settings.clone(), credentials).unwrap();
        let _ = push_as(&host, &known, &name).await.unwrap();
        let other = Host::supervisor();
        let pulled = pull(&other.client, &request(&name), &known, &corten_images::progress::silent()).await.unwrap();
        assert_eq!(pulled.id.unwrap().to_string(), id);
        let nobody = registry(settings);
        let _ = nobody.login(server.host(), &credential).await.unwrap();
        let wrong = Credential::Basic { username: "me".into(), password: "word".into() };
        assert_eq!(nobody.login(server.host(), &wrong).await.unwrap_err().status(), Some(401));
    });
}
