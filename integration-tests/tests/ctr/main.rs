//! Our ctr beside Debian's: the same commands on the same containerd print the same bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod images;
mod lists;
mod refusals;
mod run;

use integration_tests::{Containerd, Ctr, Ran, Supervisor, TempRoot, busybox};

/// The image every host has.
const IMAGE: &str = "docker.io/library/busybox:test";

/// A containerd with an image, and both clients on it.
struct Host {
    // Dropped before the root that it lives in.
    _daemon: Daemon,
    original: Ctr,
    ours: Ctr,
    root: TempRoot,
}

#[expect(dead_code, reason = "held so that it runs")]
enum Daemon {
    Containerd(Containerd),
    Supervisor(Supervisor),
}

impl Host {
    fn containerd() -> Self {
        let root = TempRoot::new();
        let containerd = Containerd::start(&root);
        let ours = Ctr::ours(&containerd.address(), root.name());
        Self { original: containerd.ctr(), ours, _daemon: Daemon::Containerd(containerd), root }.with_image()
    }

    fn supervisor() -> Self {
        let root = TempRoot::new();
        let supervisor = Supervisor::start(&root);
        let (original, ours) = (supervisor.ctr(), supervisor.our_ctr());
        Self { original, ours, _daemon: Daemon::Supervisor(supervisor), root }.with_image()
    }

    fn both() -> [Self; 2] {
        [Self::containerd(), Self::supervisor()]
    }

    fn with_image(self) -> Self {
        let archive = busybox::docker_archive_file(&self.root, &[IMAGE]);
        let imported = self.ours.run(&["images", "import", archive.to_str().unwrap()]).ok();
        assert!(imported.stdout.starts_with(&format!("unpacking {IMAGE} (sha256:")), "{imported:?}");
        self
    }

    /// `run` of ours with this root's fifos and cgroup parent.
    fn run(&self, flags: &[&str], id: &str, words: &[&str]) -> Ran {
        let fifos = self.root.make("fifos").display().to_string();
        let cgroup = format!("{}/{id}", self.root.cgroup_parent());
        let mut arguments = vec!["run", "--fifo-dir", &fifos, "--cgroup", &cgroup];
        arguments.extend(flags);
        arguments.extend([IMAGE, id]);
        arguments.extend(words);
        self.ours.run(&arguments)
    }

    /// Asserts that both clients print and answer the same to `arguments`.
    #[track_caller]
    fn assert_same(&self, arguments: &[&str]) {
        let (original, ours) = (self.original.run(arguments), self.ours.run(arguments));
        assert_eq!(ours.stdout, original.stdout, "{arguments:?}");
        assert_eq!(ours.code, original.code, "{arguments:?}: {} and {}", ours.stderr, original.stderr);
        assert_eq!(errors(&ours.stderr), errors(&original.stderr), "{arguments:?}");
    }
}

/// Lines of errors without the program's name and the time.
fn errors(text: &str) -> Vec<String> {
    let line = |line: &str| match line.split_once(" level=") {
        Some((_, logged)) => logged.to_owned(),
        None => line.strip_prefix("corten-").unwrap_or(line).to_owned(),
    };
    text.lines().map(line).collect()
}
