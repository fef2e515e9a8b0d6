//! Sizes: each layer counted once, in lists, in `system df` and by prune.

use integration_tests::{ImageFiles, Stack, busybox, docker_archive};
use serde_json::{Value, json};

use crate::{busybox as body, create, engine, expect, get, post, refusal, start};

/// Two images on busybox: one made of a container that wrote `bytes`, both under a name.
fn commit(stack: &Stack, name: &str, bytes: usize) -> Value {
    let id = create(stack, name, &body(&["true"]));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(name), vec![7; bytes]).unwrap();
    let mut tar = std::process::Command::new("tar");
    let archive = tar.arg("-C").arg(directory.path()).args(["-cf", "-", name]).output().unwrap().stdout;
    let path = format!("/containers/{id}/archive?path=/");
    expect(stack.api().send("PUT", &path, "application/x-tar", &archive).unwrap(), 200);
    let committed = expect(post(stack, &format!("/commit?container={id}&repo={name}"), &Value::Null), 201).json();
    expect(crate::delete(stack, &format!("/containers/{id}")), 204);
    committed["Id"].clone()
}

fn usage(stack: &Stack, query: &str) -> Value {
    expect(get(stack, &format!("/system/df{query}")), 200).json()
}

#[test]
fn a_layer_of_several_images_counts_once() {
    let stack = engine();
    let (one, two) = (commit(&stack, "one", 1 << 20), commit(&stack, "two", 3 << 20));
    let df = usage(&stack, "");
    let image = |id: &Value| {
        df["Images"].as_array().unwrap().iter().find(|image| image["Id"] == *id).expect("it is listed").clone()
    };
    let number = |value: &Value| value.as_i64().unwrap();
    let base = number(&image(&json!(busybox::image().id()))["Size"]);
    assert!(base > 500_000, "{base}");
    for (id, written) in [(&one, 1 << 20), (&two, 3 << 20)] {
        let image = image(id);
        assert_eq!(number(&image["SharedSize"]), base, "{image}");
        let unique = number(&image["Size"]) - base;
        assert!((written..written + 65536).contains(&unique), "{image}");
    }
    let layers = number(&df["LayersSize"]);
    assert_eq!(layers, number(&image(&one)["Size"]) + number(&image(&two)["Size"]) - base);
    // The same figures in the list, when they are asked for.
    let listed = expect(get(&stack, "/images/json?shared-size=1"), 200).json();
    assert!(listed.as_array().unwrap().iter().all(|image| number(&image["SharedSize"]) == base), "{listed}");
    assert_eq!(get(&stack, "/images/json").json()[0]["SharedSize"], -1);
    // A prune frees what no other image has.
    expect(crate::delete(&stack, "/images/busybox"), 200);
    let pruned = post(
        &stack,
        "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%2C%22until%22%3A%5B%221h%22%5D%7D",
        &Value::Null,
    );
    assert_eq!(expect(pruned, 200).json()["SpaceReclaimed"], 0);
    let keep = start(
        &stack,
        "keep",
        &json!({ "Image": "one", "Cmd": ["sleep", "1000"], "HostConfig": { "NetworkMode": "none" } }),
    );
    let pruned = post(&stack, "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D", &Value::Null);
    let pruned = expect(pruned, 200).json();
    assert_eq!(number(&pruned["SpaceReclaimed"]), number(&image(&two)["Size"]) - base, "{pruned}");
    let after = usage(&stack, "?type=image");
    assert_eq!(number(&after["LayersSize"]), number(&image(&one)["Size"]));
    assert_eq!((after["Images"][0]["Containers"].clone(), after["Containers"].clone()), (json!(1), Value::Null));
    let containers = usage(&stack, "?type=container&type=volume");
    assert_eq!((containers["Images"].clone(), containers["Volumes"].clone()), (Value::Null, json!([])));
    assert_eq!(containers["Containers"][0]["Id"], keep);
    assert_eq!(refusal(get(&stack, "/system/df?type=x"), 400), "unknown object type: x");
}

#[test]
fn an_image_shows_its_manifests_and_platforms() {
    let stack = engine();
    let size = busybox::layer().len() as u64;
    let image = expect(get(&stack, "/images/busybox/json?manifests=1"), 200).json();
    let manifest = &image["Manifests"][0];
    assert_eq!((manifest["Available"].clone(), manifest["Kind"].clone()), (json!(true), json!("image")));
    assert!(manifest["Size"]["Content"].as_u64().unwrap() >= size, "{manifest}");
    assert_eq!(manifest["ImageData"]["Size"]["Unpacked"], image["Size"]);
    let architecture = manifest["ImageData"]["Platform"]["architecture"].as_str().unwrap().to_owned();
    assert!(expect(get(&stack, "/images/busybox/json"), 200).json().get("Manifests").is_none());
    assert!(expect(get(&stack, "/v1.46/images/json?manifests=1"), 200).json()[0].get("Manifests").is_none());
    let listed = expect(get(&stack, "/images/json?manifests=1"), 200).json();
    assert_eq!(listed[0]["Manifests"][0]["ID"], manifest["ID"]);
    let platform = |architecture: &str| {
        format!("platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22{architecture}%22%7D")
    };
    let here = platform(&architecture);
    assert_eq!(expect(get(&stack, &format!("/images/busybox/json?{here}")), 200).json()["Id"], image["Id"]);
    let other = platform("s390x");
    let text = "image with reference busybox was found but does not provide the specified platform (linux/s390x)";
    assert_eq!(refusal(get(&stack, &format!("/images/busybox/json?{other}")), 404), text);
    assert_eq!(refusal(get(&stack, &format!("/images/busybox/history?{other}")), 404), text);
    assert_eq!(expect(get(&stack, &format!("/images/busybox/history?{here}")), 200).json()[0]["Id"], image["Id"]);
    refusal(get(&stack, &format!("/images/busybox/json?manifests=1&{here}")), 400);

    let delete = |query: &str| crate::delete(&stack, &format!("/images/busybox?{query}"));
    let [here, other] = [here, other].map(|query| query.replacen("platform", "platforms", 1));
    refusal(delete("platforms=x"), 400);
    assert_eq!(refusal(delete(&format!("{here}&{other}")), 400), "multiple platforms are not supported");
    assert_eq!(refusal(delete(&other), 404), text);
    let _ = expect(delete(&here), 200);
    assert_eq!(expect(get(&stack, "/images/json"), 200).json(), json!([]));
}

#[test]
fn images_are_listed_by_each_filter() {
    let stack = engine();
    let labelled = {
        let mut config: Value = serde_json::from_slice(&busybox::image().config).unwrap();
        (config["config"]["Labels"], config["created"]) = (json!({ "a": "b" }), json!("2025-01-01T00:00:00Z"));
        ImageFiles { config: config.to_string().into_bytes(), layer: busybox::layer().to_vec() }
    };
    let archive = docker_archive(&labelled, &["labelled:1"]);
    expect(stack.api().send("POST", "/images/load", "application/x-tar", &archive).unwrap(), 200);
    let names = |query: &str| -> Vec<String> {
        let listed = expect(get(&stack, &format!("/images/json?{query}")), 200).json();
        listed.as_array().unwrap().iter().map(|image| image["RepoTags"][0].as_str().unwrap().to_owned()).collect()
    };
    let filter = |key: &str, value: &str| format!("filters=%7B%22{key}%22%3A%5B%22{value}%22%5D%7D");
    for (query, expected) in [
        (String::new(), &["labelled:1", "busybox:latest"][..]),
        (filter("before", "labelled:1"), &["busybox:latest"]),
        (filter("since", "busybox"), &["labelled:1"]),
        (filter("until", "2024-06-01T00:00:00Z"), &["busybox:latest"]),
        (filter("label", "a=b"), &["labelled:1"]),
        (filter("label!", "a=b"), &["busybox:latest"]),
        (filter("reference", "lab*:*"), &["labelled:1"]),
        (filter("dangling", "true"), &[]),
    ] {
        assert_eq!(names(&query), expected, "{query}");
    }
    let old = expect(get(&stack, "/v1.40/images/json?filter=busybox"), 200).json();
    assert_eq!(old.as_array().map(Vec::len), Some(1));
    assert_eq!(refusal(get(&stack, &format!("/images/json?{}", filter("bogus", "1"))), 400), "invalid filter 'bogus'");
}
