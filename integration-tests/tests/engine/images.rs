//! Images through both docker CLIs: loaded, imported, listed, inspected, named and removed.

use std::{
    fs::{self, File},
    process::Command,
};

use integration_tests::registry::{Fault, TestRegistry, gzip};
use integration_tests::{DEADLINE, DockerCli, ImageFiles, Kind, Stack, TempRoot, busybox, programs, wait_for};
use serde_json::{Value, json};

use crate::{busybox as body, create, delete, engine, expect, get, post, refusal, start};

#[test]
fn an_image_is_loaded_named_and_removed_by_both_clients() {
    let stack = Stack::start(Kind::Ours);
    let archive = busybox::docker_archive_file(stack.root(), &["busybox:latest", "localhost:5000/a/b:c"]);
    for docker in DockerCli::originals(&stack.socket()) {
        let loaded = docker.run(&["load", "--input", &archive.display().to_string()]).ok();
        assert_eq!(loaded.out(), "Loaded image: busybox:latest\nLoaded image: localhost:5000/a/b:c");
        let list = |arguments: &[&str]| {
            let format = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
            let mut lines: Vec<String> =
                docker.run(&[&format[..], arguments].concat()).ok().stdout.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(list(&[]), ["busybox:latest", "localhost:5000/a/b:c"]);
        assert_eq!(list(&["--filter", "reference=busy*"]), ["busybox:latest"]);
        assert_eq!(list(&["busybox"]), ["busybox:latest"]);
        let _ = docker.run(&["tag", "busybox", "mine:1"]).ok();
        assert_eq!(list(&["mine"]), ["mine:1"]);
        assert_eq!(docker.run(&["rmi", "mine:1"]).ok().out(), "Untagged: mine:1");
        let id = docker.run(&["image", "inspect", "--format", "{{.Id}}", "busybox"]).ok();
        assert_eq!(id.out(), busybox::image().id());
        let many = docker.run(&["rmi", id.out()]);
        assert!(many.err().contains("(must be forced) - image is referenced in multiple repositories"), "{many:?}");
        let _ = docker.run(&["rmi", "localhost:5000/a/b:c"]).ok();
        let gone = docker.run(&["rmi", "busybox"]).ok();
        assert_eq!(gone.out(), format!("Untagged: busybox:latest\nDeleted: {}", id.out()));
        assert_eq!(list(&[]), [""; 0]);
    }
    // Nothing of it is left below.
    assert_eq!(stack.ctr().run(&["snapshots", "ls"]).ok().stdout.lines().count(), 1);
    assert_eq!(stack.ctr().run(&["content", "ls", "-q"]).ok().out(), "");
}

#[test]
fn an_image_is_saved_by_both_clients_and_loaded_from_what_they_wrote() {
    let stack = engine();
    for docker in DockerCli::originals(&stack.socket()) {
        let path = stack.root().join("saved.tar").display().to_string();
        let _ = docker.run(&["save", "--output", &path, "busybox"]).ok();
        let _ = docker.run(&["rmi", "busybox"]).ok();
        assert_eq!(docker.run(&["load", "--input", &path]).ok().out(), "Loaded image: busybox:latest");
        let id = docker.run(&["image", "inspect", "--format", "{{.Id}}", "busybox"]).ok();
        assert_eq!(id.out(), busybox::image().id(), "{}", docker.label);
        let missing = docker.run(&["save", "--output", &path, "nobody:1"]);
        assert!(missing.code != 0 && missing.err().contains("No such image: nobody:1"), "{missing:?}");
    }
    assert_eq!(refusal(get(&stack, "/images/get"), 400), "no image is named to be saved");
    let platforms = "names=busybox&platform=%7B%22os%22%3A%22linux%22%7D&platform=%7B%22os%22%3A%22linux%22%7D";
    let refused = refusal(get(&stack, &format!("/images/get?{platforms}")), 400);
    assert_eq!(refused, "multiple platform parameters not supported");
    assert_eq!(stack.ctr().run(&["leases", "ls", "-q"]).ok().out(), "");
}

#[test]
fn a_file_system_is_imported_with_changes_and_runs() {
    let stack = Stack::start(Kind::Ours);
    let archive = busybox::layer_file(stack.root()).display().to_string();
    for docker in DockerCli::originals(&stack.socket()) {
        let import = ["import", "-m", "made here", "-c", "CMD echo $WHO", "-c", "ENV WHO=world", &archive, "made:1"];
        let id = docker.run(&import).ok();
        assert!(id.out().starts_with("sha256:"), "{id:?}");
        let inspected = docker.run(&["image", "inspect", "--format", "{{.Comment}} {{.Config.Env}} {{.Os}}", "made:1"]);
        assert_eq!(inspected.ok().out(), "made here [WHO=world] linux");
        let ran = docker.run(&["run", "--rm", "--network", "none", "made:1"]).ok();
        assert_eq!(ran.out(), "world", "{}", docker.label);
        let history = docker.run(&["history", "--format", "{{.Comment}}", "made:1"]).ok();
        assert_eq!(history.out(), "made here");
        let wrong = docker.run(&["import", "-c", "RUN true", &archive, "made:2"]);
        assert!(wrong.code != 0 && wrong.err().contains("RUN is not a valid change command"), "{wrong:?}");
        let _ = docker.run(&["rmi", "made:1"]).ok();
    }
}

#[test]
fn a_file_system_is_imported_from_an_address() {
    from_an_address(Kind::Ours);
}

#[test]
fn the_original_imports_from_an_address() {
    from_an_address(Kind::Original);
}

fn from_an_address(kind: Kind) {
    let stack = Stack::start(kind);
    // A registry serves files as well: each has an address.
    let registry = TestRegistry::start();
    let file = registry.put_blob(gzip(busybox::layer()));
    let plain = format!("{}/v2/files/blobs/{file}", registry.host());
    let clients = DockerCli::originals(&stack.socket()).into_iter().chain([stack.corten()]);
    for docker in clients {
        let address = format!("http://{plain}");
        let imported = docker.run(&["import", "-c", "CMD echo from afar", &address, "far:1"]).ok();
        assert!(imported.stdout.contains(&format!("Downloading from {address}")), "{}: {imported:?}", docker.label);
        assert!(imported.out().lines().last().is_some_and(|line| line.starts_with("sha256:")), "{imported:?}");
        assert_eq!(docker.run(&["run", "--rm", "--network", "none", "far:1"]).ok().out(), "from afar");
        let told = docker.run(&["history", "--format", "{{.Comment}}", "far:1"]).ok();
        assert_eq!(told.out(), format!("Imported from {address}"));
        let _ = docker.run(&["rmi", "far:1"]).ok();

        let missing = docker.run(&["import", &format!("http://{}/v2/files/blobs/none", registry.host()), "far:1"]);
        assert!(missing.code != 0 && missing.err().contains("failed to GET http://"), "{missing:?}");
        assert!(missing.err().contains("with status 404 Not Found"), "{missing:?}");
        registry.plant(Fault::cut(&file, 100_000));
        assert_ne!(docker.run(&["import", &address, "far:1"]).code, 0);
        registry.heal();
        assert_eq!(docker.run(&["images", "-q"]).ok().out(), "", "{}", docker.label);
    }
    // Without a scheme, as only other clients send it.
    let made = expect(post(&stack, &format!("/images/create?fromSrc={plain}&repo=far"), &Value::Null), 200);
    assert!(made.text().contains(&format!("Downloading from http://{plain}")), "{}", made.text());
}

/// `file` compressed by `program`, beside it.
fn compressed(root: &TempRoot, program: &str, file: &str) -> String {
    let target = root.join(format!("compressed.{program}"));
    let output = File::create(&target).expect("the root is writable");
    let status = Command::new(programs::original(program)).args(["-1", "-c", file]).stdout(output).status();
    assert!(status.expect("it was found").success());
    target.display().to_string()
}

#[test]
fn archives_compressed_with_xz_and_bzip2_are_read_wherever_docker_reads_them() {
    xz_and_bzip2(Kind::Ours);
}

#[test]
fn archives_compressed_with_xz_and_bzip2_are_read_by_the_original() {
    xz_and_bzip2(Kind::Original);
}

fn xz_and_bzip2(kind: Kind) {
    let stack = Stack::start(kind);
    let (root, docker) = (stack.root(), stack.docker());
    let registry = TestRegistry::start();
    let archive = busybox::docker_archive_file(root, &["busybox:latest"]).display().to_string();
    let layer = busybox::layer_file(root).display().to_string();
    for program in ["xz", "bzip2"] {
        let run = |image: &str| docker.run(&["run", "--rm", "--network", "none", image, "echo", program]).ok();
        let loaded = docker.run(&["load", "--input", &compressed(root, program, &archive)]).ok();
        assert_eq!(loaded.out(), "Loaded image: busybox:latest");
        assert_eq!(run("busybox").out(), program);

        let small = compressed(root, program, &layer);
        let _ = docker.run(&["import", &small, "made:1"]).ok();
        assert_eq!(run("made:1").out(), program);
        // Whoever pulls it need not know what it was compressed with.
        let pushed = format!("{}/made:1", registry.host());
        let _ = docker.run(&["tag", "made:1", &pushed]).ok();
        let _ = docker.run(&["push", &pushed]).ok();
        let manifest = registry.manifest("made", "1").expect("it was pushed");
        assert!(String::from_utf8_lossy(&manifest.data).contains("gzip"), "{manifest:?}");

        let _ = docker.run(&["create", "--name", "box", "--network", "none", "busybox"]).ok();
        let _ = docker.run_with_input(&["cp", "-", "box:/tmp"], &fs::read(&small).unwrap()).ok();
        let back = docker.run(&["cp", "box:/tmp/bin", &root.join(program).display().to_string()]).ok();
        assert!(root.join(program).join("busybox").is_file(), "{back:?}");
        let _ = docker.run(&["rm", "box"]).ok();

        // A layer in a registry, as nobody should push it.
        let _ = docker.run(&["rmi", "--force", "busybox", "made:1", &pushed]).ok();
        let config = busybox::image().config;
        let image = registry.put_layers("odd", &config, &[fs::read(&small).unwrap()]);
        registry.put_manifest("odd", Some("1"), &image.manifest);
        let odd = format!("{}/odd:1", registry.host());
        let _ = docker.run(&["pull", &odd]).ok();
        assert_eq!(run(&odd).out(), program);
        let _ = docker.run(&["rmi", &odd]).ok();
    }
}

#[test]
fn a_name_that_moves_leaves_its_image_without_one_until_it_is_pruned() {
    let stack = engine();
    let docker = stack.docker();
    let other = ImageFiles::new(busybox::layer_with(&[("other", b"x")]), &["sh"]);
    let path = stack.root().join("other.tar");
    std::fs::write(&path, integration_tests::docker_archive(&other, &["busybox:latest"])).unwrap();
    let _ = docker.run(&["load", "--input", &path.display().to_string()]).ok();
    let dangling = docker.run(&["images", "--filter", "dangling=true", "--quiet", "--no-trunc"]).ok();
    assert_eq!(dangling.out(), busybox::image().id());
    let pruned = expect(post(&stack, "/images/prune", &Value::Null), 200).json();
    assert_eq!(pruned["ImagesDeleted"], json!([{ "Deleted": busybox::image().id() }]));
    assert!(pruned["SpaceReclaimed"].as_u64().unwrap() > 0);
    assert_eq!(expect(post(&stack, "/images/prune", &Value::Null), 200).json()["ImagesDeleted"], Value::Null);
    let listed = get(&stack, "/images/json").json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["Id"], other.id());
}

#[test]
fn containers_keep_their_image() {
    let stack = engine();
    let id = create(&stack, "stopped", &body(&["true"]));
    let image = busybox::image().id();
    let (short_image, short) = (&image["sha256:".len()..][..12], &id[..12]);
    assert_eq!(
        refusal(delete(&stack, "/images/busybox"), 409),
        format!(
            "conflict: unable to remove repository reference \"busybox\" (must force) - container {short} is using its referenced image {short_image}"
        )
    );
    assert_eq!(
        refusal(delete(&stack, &format!("/images/{image}")), 409),
        format!(
            "conflict: unable to delete {short_image} (must be forced) - image is being used by stopped container {short}"
        )
    );
    let running = start(&stack, "running", &body(&["sleep", "1000"]));
    assert_eq!(
        refusal(delete(&stack, &format!("/images/{image}?force=1")), 409),
        format!(
            "conflict: unable to delete {short_image} (cannot be forced) - image is being used by running container {}",
            &running[..12]
        )
    );
    // Forced by name, the name goes and the image stays for who runs.
    let untagged = expect(delete(&stack, "/images/busybox?force=1"), 200).json();
    assert_eq!(untagged, json!([{ "Untagged": "busybox:latest" }]));
    expect(post(&stack, "/containers/stopped/start", &Value::Null), 204);
    let shown = get(&stack, &format!("/images/{image}/json"));
    assert_eq!((shown.status, shown.json()["RepoTags"].clone()), (200, json!([])));
}

#[test]
fn old_and_new_clients_get_the_fields_they_know() {
    let stack = engine();
    let inspect = |version: &str| expect(get(&stack, &format!("/{version}/images/busybox/json")), 200).json();
    let (old, new) = (inspect("v1.41"), inspect("v1.51"));
    assert!(old["VirtualSize"].as_u64().unwrap() > 0 && old["ContainerConfig"].is_object());
    assert!(new.get("VirtualSize").is_none() && new.get("ContainerConfig").is_none());
    assert!(old["Config"].get("Hostname").is_some() && new["Config"].get("Hostname").is_none());
    assert_eq!(new["Config"]["Cmd"], json!(["sh"]));
    let list = |version: &str| expect(get(&stack, &format!("/{version}/images/json")), 200).json();
    assert!(list("v1.43")[0]["VirtualSize"].is_u64() && list("v1.44")[0].get("VirtualSize").is_none());
    // The digest of the manifest, which ctr lists as well.
    let target = new["Descriptor"]["digest"].as_str().expect("the newer one has it").to_owned();
    assert!(stack.ctr().run(&["images", "ls"]).ok().stdout.contains(&target));
    assert_eq!((&list("v1.48")[0]["Descriptor"], list("v1.47")[0].get("Descriptor")), (&new["Descriptor"], None));
    assert!(old.get("Descriptor").is_none());
}

#[test]
fn what_is_no_archive_or_no_image_is_refused() {
    let stack = engine();
    let api = stack.api();
    let load = |bytes: &[u8]| api.send("POST", "/images/load", "application/x-tar", bytes).unwrap();
    let mut cut = integration_tests::docker_archive(&busybox::image(), &["cut:1"]);
    cut.truncate(cut.len() / 2);
    for (bytes, part) in [(&b""[..], ""), (&[7; 4096], ""), (&cut, "")] {
        let text = refusal(load(bytes), 400);
        assert!(text.contains(part) && !text.is_empty(), "{text}");
    }
    assert_eq!(refusal(get(&stack, "/images/nope/json"), 404), "No such image: nope:latest");
    assert_eq!(refusal(get(&stack, "/images/UPPER/json"), 400), "invalid reference format");
    assert_eq!(get(&stack, "/images/json").json().as_array().map(Vec::len), Some(1), "nothing stays of a bad archive");
}

#[test]
fn one_of_several_platforms_is_removed_and_the_other_stays() {
    let server = TestRegistry::start();
    let image = busybox::image();
    let config: Value = serde_json::from_slice(&image.config).unwrap();
    let own = config["architecture"].as_str().unwrap().to_owned();
    // The same layer, and one that only the other platform has.
    let other_layer = busybox::layer_with(&[("other", b"of the other")]);
    let mut other = config;
    other["architecture"] = json!("s390x");
    other["rootfs"]["diff_ids"] =
        json!([integration_tests::digest(&image.layer), integration_tests::digest(&other_layer)]);
    let here = server.put_layers("a", &image.config, &[gzip(&image.layer)]);
    let there = server.put_layers("a", other.to_string().as_bytes(), &[gzip(&image.layer), gzip(&other_layer)]);
    let entries = [(&here, own.as_str()), (&there, "s390x")].map(|(layered, architecture)| {
        let mut entry = layered.manifest.descriptor();
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    let _ = server.put_index("a", "1", &entries);
    let stack = Stack::start(Kind::Ours);
    let name = format!("{}/a:1", server.host());
    for architecture in ["s390x", &own] {
        let path = format!("/images/create?fromImage={}/a&tag=1&platform=linux/{architecture}", server.host());
        let answer = expect(post(&stack, &path, &Value::Null), 200).text();
        assert!(answer.contains("Status: "), "{answer}");
    }
    let blobs = || {
        let listed = stack.ctr().run(&["content", "ls", "-q"]).ok().stdout;
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(blobs().contains(&there.layers[1]));
    each_platform_is_shown(&stack, &name, &own);
    let platform = "platforms=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22s390x%22%7D";
    let refused = refusal(delete(&stack, &format!("/images/{name}?{platform}")), 400);
    assert!(refused.starts_with("Content will be removed from all images"), "{refused}");
    let removed = expect(delete(&stack, &format!("/images/{name}?{platform}&force=1")), 200).json();
    assert_eq!(removed, json!([{"Deleted": there.manifest.digest()}]));
    // What both have stays, what only the other had is gone.
    wait_for("what only the removed platform had to go", DEADLINE, || !blobs().contains(&there.layers[1]));
    assert!(blobs().contains(&there.layers[0]) && blobs().contains(&here.id) && !blobs().contains(&there.id));
    let text = "was found but does not provide the specified platform (linux/s390x)";
    assert!(refusal(delete(&stack, &format!("/images/{name}?{platform}&force=1")), 404).contains(text));
    assert_eq!(expect(get(&stack, &format!("/images/{name}/json")), 200).json()["Id"], here.id.as_str());
    // The last one is the image.
    let platform = platform.replace("s390x", &own);
    let _ = expect(delete(&stack, &format!("/images/{name}?{platform}")), 200);
    assert_eq!(expect(get(&stack, "/images/json"), 200).json(), json!([]));
}

/// Of both platforms of the test above, of which the foreign one has a layer more.
fn each_platform_is_shown(stack: &Stack, name: &str, own: &str) {
    let shown = |architecture: &str| {
        let platform = format!("platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22{architecture}%22%7D");
        get(stack, &format!("/images/{name}/json?{platform}"))
    };
    for (architecture, layers) in [("s390x", 2), (own, 1)] {
        let shown = expect(shown(architecture), 200).json();
        let listed = shown["RootFS"]["Layers"].as_array().map(Vec::len);
        assert_eq!((&shown["Architecture"], listed), (&json!(architecture), Some(layers)), "{shown}");
    }
    let text = "was found but does not provide the specified platform (linux/ppc64le)";
    assert!(refusal(shown("ppc64le"), 404).contains(text));
}

#[test]
fn a_push_of_what_is_not_whole_tells_what_went_instead() {
    let (server, target) = (TestRegistry::start(), TestRegistry::start());
    let image = busybox::image();
    let config: Value = serde_json::from_slice(&image.config).unwrap();
    let here = server.put_layers("a", &image.config, &[gzip(&image.layer)]);
    let mut other = config.clone();
    other["architecture"] = json!("s390x");
    let there = server.put_layers("a", other.to_string().as_bytes(), &[gzip(&image.layer)]);
    let entries = [(&there, json!("s390x")), (&here, config["architecture"].clone())].map(|(layered, architecture)| {
        let mut entry = layered.manifest.descriptor();
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    let index = server.put_index("a", "1", &entries);
    let stack = Stack::start(Kind::Ours);
    let (name, copy) = (format!("{}/a:1", server.host()), format!("{}/copy", target.host()));
    let _ = stack.docker().run(&["pull", &name]).ok();
    let _ = stack.docker().run(&["tag", &name, &format!("{copy}:1")]).ok();
    let answer = expect(post(&stack, &format!("/images/{copy}/push?tag=1"), &Value::Null), 200).text();
    let results: Vec<Value> = answer
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| line.get("aux").cloned())
        .collect();
    assert_eq!(results[0]["manifestPushedInsteadOfIndex"], true, "{answer}");
    assert_eq!(results[0]["originalIndex"]["digest"], index.digest());
    assert_eq!(results[0]["selectedManifest"]["digest"], here.manifest.digest());
    assert_eq!(target.manifest("copy", "1").unwrap().digest(), here.manifest.digest());
    // A platform that is not here is no reason to send another.
    let platform = "platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22s390x%22%7D";
    let answer = expect(post(&stack, &format!("/images/{copy}/push?tag=2&{platform}"), &Value::Null), 200).text();
    assert!(answer.contains("An image does not exist locally with the tag"), "{answer}");
    let answer = expect(post(&stack, &format!("/images/{copy}/push?tag=1&{platform}"), &Value::Null), 200).text();
    let text =
        format!("image with reference {copy}:1 was found but does not provide the specified platform (linux/s390x)");
    assert!(answer.contains(&text), "{answer}");
    // Of the only image that was here something is gone.
    let _ = stack.ctr().run(&["content", "rm", &here.layers[0]]).ok();
    let answer = expect(post(&stack, &format!("/images/{copy}/push?tag=1"), &Value::Null), 200).text();
    assert!(answer.contains("was found but does not provide any platform"), "{answer}");
}
