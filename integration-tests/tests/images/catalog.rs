//! Finding, naming and removing images.

use corten_types::ErrorKind;

use crate::{Host, Tar, config, docker_archive, runtime};

fn archive(content: &[u8], names: &[&str]) -> Vec<u8> {
    let layer = Tar::new().file("file", content).finish();
    docker_archive(&config(&[&layer]), &[&layer], names)
}

#[test]
fn images_are_found_by_name_digest_and_id() {
    runtime().block_on(async {
        for host in Host::both() {
            let loaded = host.load(archive(b"1", &["web:1", "localhost:5000/team/web:2"])).await.unwrap().remove(0);
            let catalog = host.catalog();
            let id = loaded.id.hex().to_owned();
            for text in [
                "web:1",
                "docker.io/library/web:1",
                "localhost:5000/team/web:2",
                &id,
                &id[..12],
                loaded.id.as_str(),
                &format!("sha256:{}", &id[..20]),
                &format!("web@{}", loaded.target.digest),
            ] {
                assert_eq!(catalog.resolve(text).await.unwrap().details.id(), &loaded.id, "{text}");
            }
            for (text, message) in [
                ("web", "No such image: web:latest"),
                ("nope/nope", "No such image: nope/nope:latest"),
                (&"0".repeat(64), &format!("No such image: {}", "0".repeat(64))),
            ] {
                let error = catalog.resolve(text).await.unwrap_err();
                assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotFound, message));
            }
            assert_eq!(catalog.resolve("Bad Name").await.unwrap_err().kind(), ErrorKind::InvalidArgument);

            let all = catalog.list().await.unwrap();
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].repo_tags(), ["web:1", "localhost:5000/team/web:2"]);
            assert!(all[0].repo_digests()[0].starts_with("web@sha256:"));
            assert!(catalog.size(&all[0].details).await.unwrap() >= 4096);
        }
    });
}

#[test]
fn a_name_that_moves_leaves_its_image_without_one() {
    runtime().block_on(async {
        for host in Host::both() {
            let old = host.load(archive(b"old", &["web:1"])).await.unwrap().remove(0);
            let new = host.load(archive(b"new", &["web:1"])).await.unwrap().remove(0);
            let catalog = host.catalog();
            assert_eq!(catalog.resolve("web:1").await.unwrap().details.id(), &new.id);
            let unnamed = catalog.resolve(old.id.as_str()).await.unwrap();
            assert!(unnamed.repo_tags().is_empty());

            catalog.tag(&unnamed, &"web:old".parse().unwrap()).await.unwrap();
            let named = catalog.resolve(old.id.as_str()).await.unwrap();
            assert_eq!(named.repo_tags(), ["web:old"]);
            assert_eq!(named.records.len(), 1);

            catalog.delete("docker.io/library/web:old").await.unwrap();
            catalog.delete("docker.io/library/web:1").await.unwrap();
            host.assert_empty();
        }
    });
}
