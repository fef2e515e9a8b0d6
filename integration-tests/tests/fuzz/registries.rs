//! What registries say: challenges, and descriptions of images.

use corten_containerd_api::{Descriptor, Labels};
use corten_images::manifest::{Config, parse_index, parse_manifest};
use corten_images::registry::{Settings, challenge};
use corten_types::Reference;
use serde_json::{Value, json};

use crate::{
    each_input,
    mutate::{Random, bytes, document},
};

const CHALLENGES: [&str; 4] = [
    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
    r#"Basic realm="a \"quoted\" word, and a comma", Bearer realm=https://t/x , service=s,error="invalid_token""#,
    r#"Negotiate, Digest qop="auth, auth-int", nonce=abc== , Basic realm="x""#,
    "Bearer",
];

#[test]
fn a_challenge_is_read_as_far_as_it_is_one() {
    let mut read = 0;
    each_input("WWW-Authenticate", |random| {
        let good = random.of(&CHALLENGES).to_owned();
        let text = String::from_utf8_lossy(&bytes(random, good.as_bytes())).into_owned();
        for challenge in challenge::parse(&text) {
            assert!(!challenge.scheme.is_empty() && challenge.parameters.len() <= 32);
            read += 1;
        }
    });
    assert!(read > 500, "only {read} challenges were read");
}

fn input(random: &mut Random, good: &Value) -> Vec<u8> {
    let changed = if random.one_in(2) { document(random, good) } else { good.clone() };
    let text = changed.to_string().into_bytes();
    if random.one_in(2) { bytes(random, &text) } else { text }
}

#[test]
fn descriptions_of_images_are_read_or_refused() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let pointer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": 5,
        "annotations": {"a": "b"}, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}});
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": media_type, "config": pointer, "layers": [pointer, pointer]});
    let index = json!({"schemaVersion": 2, "manifests": [pointer, pointer]});
    let config = json!({"architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
        "config": {"Labels": {"a": "b"}, "Env": ["A=b"]}, "rootfs": {"type": "layers", "diff_ids": [digest, digest]}});
    let settings = serde_json::to_value(Settings::default()).expect("settings are JSON");
    let descriptor = Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.parse().expect("it is one"),
        size: 5,
        annotations: Labels::new(),
    };
    let mut read = 0;
    each_input("manifest", |random| {
        read += usize::from(parse_manifest(&descriptor, &input(random, &manifest)).is_ok());
        read += usize::from(parse_index(&descriptor, &input(random, &index)).is_ok());
        read += usize::from(serde_json::from_slice::<Config>(&input(random, &config)).is_ok());
        if let Err(error) = Settings::parse(&input(random, &settings)) {
            assert!(!error.to_string().is_empty());
        }
    });
    assert!(read > 500, "only {read} descriptions were read");
}

#[test]
fn a_reference_is_read_or_refused_and_reads_again_what_it_prints() {
    let digest = format!("sha256:{}", "b".repeat(64));
    let good = ["busybox", "localhost:5000/a/b:tag", "[fd00::1]:5000/a__b/c-d", "index.docker.io/library/x"];
    let mut read = 0;
    each_input("reference", |random| {
        let mut text = random.of(&good).to_owned();
        if random.one_in(3) {
            text = format!("{text}@{digest}");
        }
        let text = String::from_utf8_lossy(&bytes(random, text.as_bytes())).into_owned();
        if let Ok(reference) = text.parse::<Reference>() {
            read += 1;
            assert_eq!(reference.to_string().parse::<Reference>().as_ref(), Ok(&reference), "{text:?}");
        }
    });
    assert!(read > 100, "only {read} references were read");
}
