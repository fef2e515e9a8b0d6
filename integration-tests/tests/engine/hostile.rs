//! Archives made to do harm, brought in by every way there is: pull, load, import, and cp into containers.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use integration_tests::hostile::{self, Outside};
use integration_tests::registry::{TestRegistry, gzip};
use integration_tests::{Answer, ImageFiles, Kind, Ran, Stack, TempRoot, docker_archive};
use serde_json::{Value, json};

use crate::{busybox as body, create, expect, get, post, start, state};

/// Archives in `make test`, each by every way; `CORTEN_HOSTILE_LAYERS` says another number.
const ARCHIVES: u64 = 500;
/// Seeds that are at work at the same time.
const WORKERS: u64 = 4;
/// How an archive gets in.
const WAYS: [&str; 5] = ["pull", "load", "import", "cp to a created container", "cp to a running container"];

#[test]
fn hostile_archives_change_nothing_outside_by_whichever_way_they_come() {
    // In memory: what is asked here is not the disk's, and thousands of small layers are slow on it. The files outside
    // are in the same file system, or no hard link could reach them.
    let root = TempRoot::new();
    let _ = Ran::of(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(root.path())).ok();
    let mut stack = Stack::start_in(root, Kind::Ours);
    stack.load_busybox();
    let daemons = (stack.engine_pid(), stack.supervisor_pid());
    let outside = Outside::make(&stack.root().make("outside"));
    let archives = std::env::var("CORTEN_HOSTILE_LAYERS").ok().and_then(|text| text.parse().ok()).unwrap_or(ARCHIVES);
    let scene = Scene::set(&stack, &outside, archives);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let scene = &scene;
            scope.spawn(move || (worker..archives).step_by(WORKERS as usize).for_each(|seed| scene.bring(seed)));
        }
    });
    hostile::assert_no_secret_in(&stack.root().join("cortend"), "an archive");
    for (way, (taken, refused)) in WAYS.iter().zip(&scene.outcomes) {
        let (taken, refused) = (taken.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        println!("{way}: {taken} taken, {refused} refused");
        assert!(taken * 8 > archives as usize && refused * 8 > archives as usize, "{way} tests next to nothing");
    }
    // The containers are what they were, and so are the daemons.
    for (id, status) in [(&scene.created, "created"), (&scene.running, "running")] {
        assert_eq!(state(&stack, id)["Status"], status);
    }
    expect(get(&stack, "/_ping"), 200);
    drop(scene);
    assert_eq!((stack.engine_pid(), stack.supervisor_pid()), daemons);
    let log = std::fs::read_to_string(stack.root().join("cortend/log")).unwrap();
    assert_eq!(log.lines().find(|line| line.contains("panicked")), None);
}

struct Scene<'a> {
    stack: &'a Stack,
    outside: &'a Outside,
    registry: TestRegistry,
    created: String,
    running: String,
    outcomes: [(AtomicUsize, AtomicUsize); WAYS.len()],
}

impl<'a> Scene<'a> {
    fn set(stack: &'a Stack, outside: &'a Outside, archives: u64) -> Self {
        let created = create(stack, "created", &body(&["true"]));
        // Here the host's files are to be seen, where the archives look for them, and may not be written to.
        let mut bound = body(&["sleep", "1000"]);
        bound["HostConfig"]["Binds"] = json!([format!("{0}:{0}:ro", outside.path().display())]);
        let running = start(stack, "running", &bound);
        let mut directories = tar::Builder::new(Vec::new());
        for seed in 0..archives {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            directories.append_data(&mut header, format!("t/{seed}/"), std::io::empty()).unwrap();
        }
        let directories = directories.into_inner().unwrap();
        let scene =
            Scene { stack, outside, registry: TestRegistry::start(), created, running, outcomes: Default::default() };
        for id in [&scene.created, &scene.running] {
            expect(scene.copy(id, "/", &directories), 200);
        }
        scene
    }

    fn copy(&self, id: &str, path: &str, archive: &[u8]) -> Answer {
        let path = format!("/containers/{id}/archive?path={path}");
        self.stack.api().send("PUT", &path, "application/x-tar", archive).unwrap()
    }

    fn pull(&self, seed: u64, image: &ImageFiles) -> Answer {
        let name = format!("hostile/{seed}");
        let layered = self.registry.put_layers(&name, &image.config, &[gzip(&image.layer)]);
        self.registry.put_manifest(&name, Some("1"), &layered.manifest);
        post(self.stack, &format!("/images/create?fromImage={}/{name}&tag=1", self.registry.host()), &Value::Null)
    }

    /// Brings the archive of `seed` in by every way.
    fn bring(&self, seed: u64) {
        let layer = hostile::layer(seed, self.outside.path());
        let image = ImageFiles::new(layer.clone(), &["true"]);
        let archive = docker_archive(&image, &[&format!("hostile:l{seed}")]);
        let api = self.stack.api();
        for (number, way) in WAYS.iter().enumerate() {
            let answer = match number {
                0 => self.pull(seed, &image),
                1 => api.send("POST", "/images/load", "application/x-tar", &archive).unwrap(),
                2 => api.send("POST", "/images/create?fromSrc=-", "application/x-tar", &layer).unwrap(),
                3 => self.copy(&self.created, &format!("/t/{seed}"), &layer),
                _ => self.copy(&self.running, &format!("/t/{seed}"), &layer),
            };
            let what = format!("{way} of the archive of seed {seed}, or of one beside it,");
            self.outside.assert_untouched(&what);
            let (taken, refused) = &self.outcomes[number];
            match error(&answer) {
                None => taken.fetch_add(1, Ordering::Relaxed),
                Some(sentence) => {
                    assert!(is_clear(&sentence), "{what} is refused with {} {sentence:?}", answer.status);
                    refused.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
    }
}

/// What an answer says went wrong, in its status or in the last line of a stream.
fn error(answer: &Answer) -> Option<String> {
    if !answer.is_ok() {
        return Some(answer.json()["message"].as_str().unwrap_or_default().to_owned());
    }
    let lines = answer.text();
    lines.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line["errorDetail"]["message"].as_str()?.to_owned())
    })
}

/// Whether it says what failed and why, each once.
fn is_clear(sentence: &str) -> bool {
    let parts: Vec<&str> = sentence.split(": ").collect();
    let is_said_once = parts.iter().enumerate().all(|(number, part)| !parts[..number].contains(part));
    sentence.split(" ").count() > 3 && is_said_once && !sentence.contains("panicked")
}
