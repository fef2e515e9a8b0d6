//! Making an image of one file system.

use std::io::{Cursor, Write};

use corten_images::{ImportRequest, Platform, import};
use corten_types::ErrorKind;
use corten_types::error::chain;
use serde_json::Value;

use crate::{Host, Tar, digest, runtime};

fn request(name: Option<&str>, changes: &[&str]) -> ImportRequest {
    ImportRequest {
        name: name.map(|name| name.parse().unwrap()),
        message: "Imported from -".to_owned(),
        changes: changes.iter().map(|change| change.parse().unwrap()).collect(),
        platform: Platform::host(),
        owner: "tests".to_owned(),
    }
}

#[test]
fn a_file_system_becomes_an_image_with_its_changes() {
    runtime().block_on(async {
        let tar = Tar::new().file("etc/motd", b"hello").finish();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&tar).unwrap();
        let gz = gz.finish().unwrap();
        for host in Host::both() {
            for (name, archive) in [("plain", tar.clone()), ("packed:1", gz.clone())] {
                let changes = ["CMD [\"/bin/sh\"]", "ENV A=1", "EXPOSE 80", "WORKDIR /srv"];
                let id = import(&host.client, &request(Some(name), &changes), Cursor::new(archive)).await.unwrap();

                let image = host.catalog().resolve(name).await.unwrap();
                assert_eq!(image.details.id(), &id);
                let config: Value = serde_json::from_slice(&image.details.config_json).unwrap();
                assert_eq!(config["rootfs"]["diff_ids"][0], digest(&tar).as_str());
                assert_eq!(config["config"]["Cmd"][0], "/bin/sh");
                assert_eq!(config["config"]["WorkingDir"], "/srv");
                assert_eq!(config["history"][0]["comment"], "Imported from -");
                let _ = host.ctr.run(&["snapshots", "info", image.details.top()]).ok();
            }
            host.catalog().delete("docker.io/library/plain:latest").await.unwrap();
            host.catalog().delete("docker.io/library/packed:1").await.unwrap();
            host.assert_empty();
        }
    });
}

#[test]
fn a_bad_file_system_leaves_nothing() {
    runtime().block_on(async {
        let good = Tar::new().file("etc/motd", b"hello").finish();
        for host in Host::both() {
            for (archive, text) in [
                (good[..600].to_vec(), "truncated in entry 1 \"etc/motd\""),
                (b"no archive".repeat(60), "invalid tar header"),
                (Tar::new().file("../../x", b"x").finish(), "leaves the root filesystem"),
                (Tar::new().link(tar::EntryType::Link, "x", "../../etc/shadow").finish(), "leaves the root filesystem"),
                (b"\x04\x22\x4d\x18 rest".to_vec(), "lz4 compression: not supported"),
                (b"BZh91AY&SY rest".to_vec(), ""),
            ] {
                let error = import(&host.client, &request(None, &[]), Cursor::new(archive)).await.unwrap_err();
                let sentence = chain(&error);
                assert!(sentence.contains(text), "{sentence} does not say {text}");
                assert_ne!(error.kind(), ErrorKind::Unknown, "{sentence}");
                host.assert_empty();
            }
        }
    });
}
