//! TLS: authorities and client certificates from `certs.d`, and registries that are trusted without.

use std::sync::Arc;

use corten_images::registry::{RegistryError, Settings};
use integration_tests::TempRoot;
use integration_tests::registry::{Authority, Options, TestRegistry};

use crate::{anonymous, image, open, runtime, settings};

/// A registry with TLS, by a name that is not trusted for being this machine.
fn start(authority: &Arc<Authority>, client_certificates: bool) -> TestRegistry {
    let server =
        TestRegistry::start_with(Options { tls: Some(authority.clone()), client_certificates, ..Options::default() });
    let _ = server.put_image("a", "1", &image());
    server
}

#[test]
fn this_machine_is_spoken_to_with_tls_where_it_can_be() {
    let server = start(&Arc::new(Authority::new()), false);
    runtime().block_on(async {
        let _ = open(&anonymous(settings()), &format!("{}/a:1", server.host())).await.resolve().await.unwrap();
    });
}

#[test]
fn a_client_certificate_of_certs_d_is_shown() {
    let authority = Arc::new(Authority::new());
    let server = start(&authority, true);
    let root = TempRoot::new();
    runtime().block_on(async {
        let name = format!("{}/a:1", server.host());
        let settings = Settings { tls_dir: Some(root.make("certs.d")), ..settings() };
        let error = open(&anonymous(settings.clone()), &name).await.resolve().await.unwrap_err();
        assert!(matches!(error, RegistryError::Connect { .. } | RegistryError::Broken { .. }), "{error:?}");
        authority.write_client_files(&root.make(format!("certs.d/{}", server.host())));
        let _ = open(&anonymous(settings), &name).await.resolve().await.unwrap();
    });
}

#[test]
fn an_authority_that_is_configured_is_trusted_and_no_other() {
    let authority = Arc::new(Authority::new());
    let server = start(&authority, false);
    let root = TempRoot::new();
    let docker = root.make(format!("docker/{}", server.host()));
    let hosts = root.make("hosts/r.example");
    let toml = format!("[host.\"{}\"]\ncapabilities = [\"resolve\", \"pull\"]\nca = \"ca.pem\"\n", server.url());
    std::fs::write(hosts.join("hosts.toml"), toml).unwrap();
    runtime().block_on(async {
        let settings = Settings {
            tls_dir: Some(root.join("docker")),
            host_dir: Some(root.join("hosts")),
            // Nobody answers for the origin.
            proxies: Some(corten_images::registry::Proxies {
                https: "http://127.0.0.1:1".into(),
                ..Default::default()
            }),
            ..settings()
        };
        for (name, file) in [
            (format!("{}/a:1", server.host()), docker.join("ca.crt")),
            ("r.example/a:1".to_owned(), hosts.join("ca.pem")),
        ] {
            std::fs::write(&file, Authority::new().pem()).unwrap();
            let error = open(&anonymous(settings.clone()), &name).await.resolve().await.unwrap_err();
            assert!(matches!(error, RegistryError::Connect { .. }), "{name}: {error:?}");
            assert!(server.log().0.is_empty());
            std::fs::write(&file, authority.pem()).unwrap();
            let resolved = open(&anonymous(settings.clone()), &name).await.resolve().await.unwrap();
            assert_eq!(resolved.host, server.host());
            server.clear_log();
            std::fs::remove_file(&file).unwrap();
        }
    });
}
