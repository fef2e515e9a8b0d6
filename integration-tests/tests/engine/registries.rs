//! Images to and from registries, through docker's own command lines: shared, mirrored, let in.

use std::fs;

use integration_tests::registry::{Access, Effect, Fault, Options, TestRegistry};
use integration_tests::{DEADLINE, ImageFiles, Kind, Stack, StackOptions, TempRoot, busybox, send_signal, wait_for};

/// Incompressible, so that the blob is as large.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// busybox with three megabytes more; answers the digest of its layer's blob.
fn put(registry: &TestRegistry, name: &str) -> String {
    let image = ImageFiles::new(busybox::layer_with(&[("noise", &noise(3_000_000))]), &["sh"]);
    registry.put_image(name, "1", &image).layers[0].clone()
}

#[test]
fn the_same_pull_twice_at_once_is_one_that_both_see_to_its_end() {
    let registry = TestRegistry::start();
    let layer = put(&registry, "a");
    let stack = Stack::start(Kind::Ours);
    let image = format!("{}/a:1", registry.host());
    registry.plant(Fault::new(&layer, Effect::Hold(1_000_000)).on("GET").times(1));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stack.docker().run(&["pull", &image]));
        wait_for("the layer to be asked for", DEADLINE, || !registry.log().by("GET", &layer).is_empty());
        let second = scope.spawn(|| stack.docker().run(&["pull", &image]));
        registry.release();
        for pull in [first, second] {
            let pulled = pull.join().unwrap().ok();
            assert!(pulled.stdout.contains("Digest: sha256:"), "{pulled:?}");
        }
    });
    assert_eq!(registry.log().by("GET", &layer).len(), 1);
    let ran = stack.docker().run(&["run", "--rm", "--network", "none", &image, "wc", "-c", "/noise"]).ok();
    assert_eq!(ran.stdout, "3000000 /noise\n");
}

#[test]
fn mirrors_are_asked_first_and_read_again_at_sighup() {
    let (first, second) = (TestRegistry::start(), TestRegistry::start());
    for registry in [&first, &second] {
        let _ = registry.put_image("library/box", "1", &busybox::image());
    }
    let root = TempRoot::new();
    let file = root.path().join("daemon.json");
    let configure = |mirror: &TestRegistry| {
        fs::write(&file, format!(r#"{{"registry-mirrors": ["{}"]}}"#, mirror.url())).unwrap();
    };
    configure(&first);
    let arguments = vec!["--config-file".to_owned(), file.to_str().unwrap().to_owned()];
    let mut stack =
        Stack::start_with(root, Kind::Ours, StackOptions { engine_arguments: arguments, ..StackOptions::default() });
    let docker = stack.docker();
    let _ = docker.run(&["pull", "box:1"]).ok();
    assert!(!first.log().0.is_empty());
    assert!(second.log().0.is_empty());
    let mirrors = || docker.run(&["info", "-f", "{{.RegistryConfig.Mirrors}}"]).ok().stdout;
    assert!(mirrors().contains(&first.host()));

    configure(&second);
    assert!(send_signal(stack.engine_pid(), "HUP"));
    wait_for("the other mirror to be known", DEADLINE, || mirrors().contains(&second.host()));
    let _ = docker.run(&["rmi", "box:1"]).ok();
    let _ = docker.run(&["pull", "box:1"]).ok();
    assert!(!second.log().0.is_empty());
}

#[test]
fn what_docker_says_of_registries_that_refuse() {
    let access = Access::Basic("me".to_owned(), "secret".to_owned());
    let registry = TestRegistry::start_with(Options { access, ..Options::default() });
    let open = TestRegistry::start();
    let stack = Stack::start(Kind::Ours);
    let docker = stack.docker();
    let (closed, missing) = (format!("{}/a:1", registry.host()), format!("{}/a:1", open.host()));
    let refused = docker.run(&["pull", &closed]).code(1);
    assert!(refused.stderr.contains("no basic auth credentials"), "{refused:?}");
    let refused = docker.run(&["pull", &missing]).code(1);
    assert!(refused.stderr.contains(" not found: "), "{refused:?}");
    let refused = docker.run(&["push", &missing]).code(1);
    let text = format!("An image does not exist locally with the tag: {}/a", open.host());
    assert!(refused.stderr.contains(&text), "{refused:?}");
    let found = docker.run(&["search", &format!("{}/nothing", open.host())]).ok();
    assert_eq!(found.stdout.lines().count(), 1, "{found:?}");
}

#[test]
fn downloads_at_once_are_counted_for_the_whole_daemon() {
    let registry = TestRegistry::start();
    let (first, second) = (put(&registry, "a"), registry.put_image("b", "1", &busybox::image()));
    let arguments = vec!["--max-concurrent-downloads=1".to_owned()];
    let options = StackOptions { engine_arguments: arguments, ..StackOptions::default() };
    let stack = Stack::start_with(TempRoot::new(), Kind::Ours, options);
    registry.plant(Fault::new(&first, Effect::Hold(1_000_000)).on("GET").times(1));
    let asked = |part: &str| registry.log().0.iter().filter(|logged| logged.path.contains(part)).count();
    std::thread::scope(|scope| {
        let pull = |name: &'static str| {
            let image = format!("{}/{name}:1", registry.host());
            let docker = stack.docker();
            scope.spawn(move || docker.run(&["pull", &image]))
        };
        let one = pull("a");
        wait_for("the first layer to be asked for", DEADLINE, || !registry.log().by("GET", &first).is_empty());
        let other = pull("b");
        wait_for("the second manifest to be asked for", DEADLINE, || asked("/b/manifests/") > 0);
        // Time enough for one that would not wait.
        for _ in 0..20 {
            let _ = crate::expect(crate::get(&stack, "/images/json"), 200);
        }
        // A layer that is held for too long is asked for once more, and no longer held.
        assert!(asked("/b/blobs/") == 0 || registry.log().by("GET", &first).len() > 1, "{:?}", registry.log().lines());
        registry.release();
        let _ = [one, other].map(|pull| pull.join().unwrap().ok());
    });
    assert!(!registry.log().by("GET", &second.layers[0]).is_empty());
}
