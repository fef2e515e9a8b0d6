//! One image round by everybody's clients and daemons: its digests are the same wherever it comes out.

use std::fs;
use std::process::Command;

use integration_tests::{
    Containerd, DockerRegistry, DockerRegistryOptions, Kind, Ran, Stack, TempRoot, digest, programs,
};

const FORMAT: &str = "{{.Id}} {{index .RepoDigests 0}}";

#[test]
fn what_cortend_pushes_comes_back_to_dockerd_compose_and_docker_py_with_its_digests() {
    let root = TempRoot::new();
    let registry = DockerRegistry::start(&root, &DockerRegistryOptions::default());
    let (ours, theirs) = (Stack::start(Kind::Ours), Stack::start(Kind::Original));
    ours.load_busybox();
    let image = format!("{}/a/b:1", registry.host());
    let _ = ours.docker().run(&["tag", "busybox", &image]).ok();
    let pushed = ours.docker().run(&["push", &image]).ok().stdout;
    let digest =
        pushed.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{pushed}"));
    let id = ours.docker().run(&["image", "inspect", "--format", "{{.Id}}", "busybox"]).ok();
    let seen = format!("{} {}/a/b@{digest}", id.out(), registry.host());
    let forget = |stack: &Stack| stack.docker().run(&["rmi", "--force", "busybox", &image]);

    let _ = theirs.docker().run(&["pull", &image]).ok();
    assert_eq!(theirs.docker().run(&["image", "inspect", "--format", FORMAT, &image]).ok().out(), seen);
    // Back from dockerd under another name, to ours.
    let other = format!("{}/back:2", registry.host());
    let _ = theirs.docker().run(&["tag", &image, &other]).ok();
    let again = theirs.docker().run(&["push", &other]).ok().stdout;
    assert!(again.contains(digest) || again.contains("digest: sha256:"), "{again}");
    let _ = ours.docker().run(&["pull", &other]).ok();
    assert_eq!(ours.docker().run(&["image", "inspect", "--format", "{{.Id}}", &other]).ok().out(), id.out());
    let _ = ours.docker().run(&["rmi", &other]).ok();

    let _ = forget(&ours);
    let file = root.join("docker-compose.yml");
    fs::write(&file, format!("version: '2'\nservices:\n  web:\n    image: {image}\n")).unwrap();
    let mut compose = Command::new(programs::original("docker-compose"));
    compose.args(["--project-name", "p", "--file"]).arg(&file).arg("pull");
    compose.env("DOCKER_HOST", format!("unix://{}", ours.socket().display())).env("HOME", root.path());
    let _ = Ran::of(&mut compose).ok();
    assert_eq!(ours.docker().run(&["image", "inspect", "--format", FORMAT, &image]).ok().out(), seen);

    let _ = forget(&ours);
    let script = r"
import docker, sys
client = docker.DockerClient(base_url='unix://' + sys.argv[1])
image = client.images.pull(sys.argv[2], tag='1')
print(image.id, image.attrs['RepoDigests'][0])
";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(ours.socket()).arg(image.trim_end_matches(":1"));
    assert_eq!(Ran::of(&mut python).ok().out(), seen);
}

#[test]
fn what_is_saved_goes_through_containerd_and_comes_back() {
    let root = TempRoot::new();
    let ours = Stack::start(Kind::Ours);
    ours.load_busybox();
    let id = |name: &str| ours.docker().run(&["image", "inspect", "--format", "{{.Id}}", name]).ok().out().to_owned();
    let before = id("busybox");
    // `docker save | ctr images import -`, into containerd.
    let containerd = Containerd::start(&root);
    let saved = ours.docker().command(&["save", "busybox"]).output().unwrap();
    assert!(saved.status.success());
    let _ = Ran::with_input(&mut containerd.ctr().command(&["images", "import", "-"]), &saved.stdout).ok();
    let file = root.join("exported.tar").display().to_string();
    let _ = containerd.ctr().run(&["images", "export", &file, "docker.io/library/busybox:latest"]).ok();
    let _ = ours.docker().run(&["rmi", "busybox"]).ok();
    let config = digest_of_config(&file);
    assert_eq!(config, before);
    let _ = ours.docker().run(&["load", "--input", &file]).ok();
    assert_eq!(id("busybox"), config);
}

#[test]
fn skopeo_takes_from_the_daemon_and_gives_to_it() {
    let root = TempRoot::new();
    let ours = Stack::start(Kind::Ours);
    ours.load_busybox();
    let skopeo = |arguments: &[&str]| Ran::of(Command::new(programs::original("skopeo")).args(arguments)).ok();
    let id = |name: &str| ours.docker().run(&["image", "inspect", "--format", "{{.Id}}", name]).ok().out().to_owned();
    let host = format!("unix://{}", ours.socket().display());
    let directory = root.join("directory").display().to_string();
    let _ = skopeo(&["copy", "--src-daemon-host", &host, "docker-daemon:busybox:latest", &format!("dir:{directory}")]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(root.join("directory/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["config"]["digest"], id("busybox").as_str());
    for layer in manifest["layers"].as_array().unwrap() {
        let name = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
        assert_eq!(digest(&fs::read(root.join("directory").join(name)).unwrap()), layer["digest"].as_str().unwrap());
    }
    let _ = skopeo(&["copy", "--dest-daemon-host", &host, &format!("dir:{directory}"), "docker-daemon:given:1"]);
    assert_eq!(id("given:1"), id("busybox"));
}

/// Of the archive's one image, by docker's manifest in it.
fn digest_of_config(archive: &str) -> String {
    let listed = Ran::of(Command::new("tar").args(["-xOf", archive, "manifest.json"])).ok().stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    format!("sha256:{}", listed[0]["Config"].as_str().unwrap().trim_start_matches("blobs/sha256/"))
}
