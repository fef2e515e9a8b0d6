//! Docker's CLIs push to Debian's docker-registry and pull from it, whoever is below the engine.

use integration_tests::registry::{Effect, Fault, TestRegistry};
use integration_tests::{
    DEADLINE, DockerCli, DockerRegistry, DockerRegistryOptions, ImageFiles, Kind, Stack, TempRoot, busybox, wait_for,
};

/// What is printed on pipes: of a push, of the same again, of a pull, of the same again.
#[derive(Debug, PartialEq)]
struct Printed([String; 4]);

#[test]
fn cortend_on_debians_containerd_prints_and_does_what_it_does_on_our_supervisor() {
    let (ours, theirs) = (Stack::start(Kind::Ours), Stack::start(Kind::OursOnContainerd));
    for (ours, theirs) in DockerCli::originals(&ours.socket()).iter().zip(DockerCli::originals(&theirs.socket())) {
        assert_eq!(there_and_back(&theirs), there_and_back(ours), "{}", ours.label);
    }
    let listed = theirs.ctr().run(&["images", "ls", "--quiet"]).ok();
    assert!(listed.out().is_empty(), "{listed:?}");
}

fn there_and_back(docker: &DockerCli) -> Printed {
    let root = TempRoot::new();
    let registry = DockerRegistry::start(&root, &DockerRegistryOptions::default());
    let archive = busybox::docker_archive_file(&root, &["busybox:latest"]).display().to_string();
    let _ = docker.run(&["load", "--input", &archive]).ok();
    let image = format!("{}/a/b:1", registry.host());
    let _ = docker.run(&["tag", "busybox", &image]).ok();
    let push = || docker.run(&["push", &image]).ok().stdout;
    let pull = || docker.run(&["pull", &image]).ok().stdout;
    let (pushed, pushed_again) = (push(), push());
    assert!(pushed_again.contains("Layer already exists"), "{pushed_again}");
    let _ = docker.run(&["rmi", "--force", "busybox", &image]).ok();
    let (pulled, pulled_again) = (pull(), pull());
    assert!(pulled_again.contains("Status: Image is up to date"), "{pulled_again}");
    let ran = docker.run(&["run", "--rm", "--network", "none", &image, "echo", "here"]).ok();
    assert_eq!(ran.stdout, "here\n", "{}", docker.label);
    let _ = docker.run(&["rmi", &image]).ok();
    let printed = [pushed, pushed_again, pulled, pulled_again];
    Printed(printed.map(|text| text.replace(registry.host(), "HOST")))
}

#[test]
fn a_pull_into_debians_containerd_goes_on_where_it_was_when_cortend_was_killed() {
    let registry = TestRegistry::start();
    // Noise, which stays as large when it is compressed.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    let noise: Vec<u8> = (0..4_000_000).map(|_| next()).collect();
    let image = ImageFiles::new(busybox::layer_with(&[("noise", &noise)]), &["sh"]);
    let layer = registry.put_image("a", "1", &image).layers[0].clone();
    let size = registry.blob(&layer).expect("it was put there").len() as u64;
    let mut stack = Stack::start(Kind::OursOnContainerd);
    let docker = stack.docker();
    let name = format!("{}/a:1", registry.host());
    registry.plant(Fault::new(&layer, Effect::Hold(size / 2)).on("GET").times(1));
    std::thread::scope(|scope| {
        let broken = scope.spawn(|| docker.run(&["pull", &name]));
        let stored = || stack.ctr().run(&["content", "active"]).stdout.contains("MB");
        wait_for("more than a MB of the layer to be stored", DEADLINE, stored);
        stack.kill_engine();
        assert_ne!(broken.join().unwrap().code, 0);
    });
    registry.release();
    stack.restart_engine();
    let _ = docker.run(&["pull", &name]).ok();
    let asked: Vec<Option<String>> = registry.log().by("GET", &layer).iter().map(|one| one.range.clone()).collect();
    assert!(asked.len() == 2 && asked[1].is_some(), "{asked:?}");
    let ran = docker.run(&["run", "--rm", "--network", "none", &name, "wc", "-c", "/noise"]).ok();
    assert_eq!(ran.stdout, "4000000 /noise\n");
}
