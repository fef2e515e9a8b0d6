//! Tags, repositories and search results.

use std::collections::BTreeMap;

use integration_tests::registry::{Effect, Fault, TestRegistry};

use crate::{anonymous, image, open, runtime, settings};

#[test]
fn tags_and_repositories_come_in_pages() {
    let server = TestRegistry::start();
    let mut expected: Vec<String> = (0..250).map(|number| format!("t{number}")).collect();
    expected.sort();
    let layered = server.put_image("a/b", "t0", &image());
    for tag in &expected {
        server.put_manifest("a/b", Some(tag), &layered.manifest);
    }
    runtime().block_on(async {
        let registry = anonymous(settings());
        assert_eq!(open(&registry, &format!("{}/a/b", server.host())).await.tags().await.unwrap(), expected);
        assert_eq!(server.log().0.len(), 3);
        assert_eq!(registry.catalog(&server.host()).await.unwrap(), ["a/b"]);
    });
}

#[test]
fn a_registry_without_search_is_searched_by_its_catalogue() {
    let server = TestRegistry::start();
    for name in ["apple", "fruit/apple-pie", "pear"] {
        let _ = server.put_image(name, "1", &image());
    }
    runtime().block_on(async {
        let registry = anonymous(settings());
        let names =
            |found: Vec<corten_images::registry::Found>| found.into_iter().map(|one| one.name).collect::<Vec<_>>();
        let found = registry.search(&format!("{}/apple", server.host()), 25).await.unwrap();
        assert_eq!(names(found), ["apple", "fruit/apple-pie"]);
        let found = registry.search(&format!("{}/a", server.host()), 1).await.unwrap();
        assert_eq!(found.len(), 1);
    });
}

#[test]
fn a_registry_with_search_is_asked_as_docker_asks() {
    let server = TestRegistry::start();
    let answer = r#"{"num_results": 2, "results": [
        {"name": "a", "description": "first", "star_count": 7, "is_official": true, "is_automated": false},
        {"name": "b/a"}]}"#;
    server.plant(Fault::new("/v1/search", Effect::Status(200, BTreeMap::new(), answer.into())));
    runtime().block_on(async {
        let found = anonymous(settings()).search(&format!("{}/a b", server.host()), 10).await.unwrap();
        assert_eq!((found[0].star_count, found[0].is_official, found[1].name.as_str()), (7, true, "b/a"));
        assert_eq!(
            (server.log().0[0].line(), server.log().0[0].query.as_str()),
            ("GET /v1/search".into(), "q=a%20b&n=10")
        );
    });
}
