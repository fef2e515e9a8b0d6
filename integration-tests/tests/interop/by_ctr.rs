//! Debian's ctr runs containers through every mix of daemon, shim and runtime.

use std::path::PathBuf;

use integration_tests::{
    Containerd, ContainerdOptions, Ctr, DEADLINE, Leaks, Supervisor, SupervisorOptions, TempRoot, Wrappers, busybox,
    parent_of, process, programs, try_for, wait_for,
};

/// Whose program stands in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Debians,
}
use Whose::{Debians, Ours};

const IMAGE: &str = "example.com/busybox:1";
const SHIM: &str = "containerd-shim-runc-v2";
const RUNTIME: &str = "runtime";

/// A test of one mix: daemon, shim, runtime.
macro_rules! mixes {
    ($($name:ident: $daemon:ident $shim:ident $runtime:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            Mix::start($daemon, $shim, $runtime).prove();
        })+
    };
}

mixes! {
    debians_all_the_way_down: Debians Debians Debians,
    containerd_its_shim_our_runtime: Debians Debians Ours,
    containerd_our_shim_runc: Debians Ours Debians,
    containerd_our_shim_our_runtime: Debians Ours Ours,
    our_supervisor_debians_shim_runc: Ours Debians Debians,
    our_supervisor_debians_shim_our_runtime: Ours Debians Ours,
    our_supervisor_our_shim_runc: Ours Ours Debians,
    ours_all_the_way_down: Ours Ours Ours,
}

/// A daemon that runs containers with the chosen shim and runtime; every call of both is logged.
struct Mix {
    ctr: Ctr,
    state: PathBuf,
    runtime: PathBuf,
    wrappers: Wrappers,
    _daemon: Daemon,
    root: TempRoot,
}

/// Kept so that it lives as long as the mix.
#[expect(dead_code, reason = "only their end matters")]
enum Daemon {
    Containerd(Containerd),
    Supervisor(Supervisor),
}

impl Mix {
    fn start(daemon: Whose, shim: Whose, runtime: Whose) -> Mix {
        let root = TempRoot::new();
        let wrappers = Wrappers::new(&root);
        let real = |whose, ours, debians| match whose {
            Ours => programs::path(ours),
            Debians => programs::original(debians),
        };
        // The name leads every containerd to a shim of its own choice; so the wrapper has Debian's name.
        let _ = wrappers.wrap(SHIM, &real(shim, "corten-shim", SHIM));
        let runtime = wrappers.wrap(RUNTIME, &real(runtime, "corten-runtime", "runc"));
        let search_first = vec![wrappers.directory().to_owned()];
        let (ctr, state, daemon) = match daemon {
            Debians => {
                let daemon = Containerd::start_with(&root, ContainerdOptions { search_first });
                (daemon.ctr(), daemon.state(), Daemon::Containerd(daemon))
            }
            Ours => {
                let options = SupervisorOptions { search_first, ..SupervisorOptions::default() };
                let daemon = Supervisor::start_with(&root, options);
                (daemon.ctr(), daemon.state(), Daemon::Supervisor(daemon))
            }
        };
        let archive = busybox::docker_archive_file(&root, &[IMAGE]);
        let _ = ctr.run(&["images", "import", &archive.display().to_string()]).ok();
        Mix { ctr, state, runtime, wrappers, _daemon: daemon, root }
    }

    fn prove(&self) {
        self.runs_to_the_end();
        self.lives_a_whole_life();
        self.leaves_nothing();
    }

    /// `ctr run` with the mix's runtime.
    fn run(&self, flags: &[&str], id: &str, command: &[&str]) -> integration_tests::Ran {
        let runtime = self.runtime.display().to_string();
        let state = self.root.join("runtime-state").display().to_string();
        let mut arguments = vec!["run", "--runc-binary", &runtime, "--runc-root", &state];
        arguments.extend(flags);
        arguments.extend([IMAGE, id]);
        arguments.extend(command);
        self.ctr.run(&arguments)
    }

    fn runs_to_the_end(&self) {
        // ctr cancels the opening of its ends once the process has ended, also when the kernel has just opened them (Go's
        // fifo package): on a busy machine it would lose the output of one that ends at once, whatever the shim does.
        let ran = self.run(&["--rm"], "one", &["sh", "-c", "echo out; echo err >&2; sleep 1; exit 42"]);
        assert_eq!((ran.code, ran.out(), ran.err()), (42, "out", "err"), "{ran:?}");
        self.was_called_once_each("one");
    }

    fn lives_a_whole_life(&self) {
        let _ = self.run(&["--detach"], "two", &["sleep", "1000"]).ok();
        let pid = self.pid("two").expect("ctr task ls shows the task");
        // runc's start returns before the program has taken the place of its init.
        wait_for("the task to run sleep", DEADLINE, || {
            process(pid).is_some_and(|init| init.arguments == ["sleep", "1000"])
        });
        let shim = parent_of(pid).and_then(process).expect("the process has a parent");
        assert!(shim.arguments.iter().any(|argument| argument == "two"), "the parent is no shim of two: {shim:?}");
        assert_eq!(self.wrappers.count(SHIM, "start", "two"), 1, "{:?}", self.wrappers.calls(SHIM));

        let exec = self.ctr.run(&["tasks", "exec", "--exec-id", "e1", "two", "sh", "-c", "echo inside; exit 3"]);
        assert_eq!((exec.code, exec.out()), (3, "inside"), "{exec:?}");
        let _ = self.ctr.run(&["tasks", "pause", "two"]).ok();
        assert_eq!(self.status("two").as_deref(), Some("PAUSED"));
        let _ = self.ctr.run(&["tasks", "resume", "two"]).ok();
        assert_eq!(self.status("two").as_deref(), Some("RUNNING"));
        let listed = self.ctr.run(&["tasks", "ps", "two"]).ok();
        assert!(listed.stdout.contains(&pid.to_string()), "{listed:?}");

        let _ = self.ctr.run(&["tasks", "kill", "--signal", "SIGKILL", "two"]).ok();
        wait_for("two to be stopped", DEADLINE, || self.status("two").as_deref() == Some("STOPPED"));
        let _ = self.ctr.run(&["tasks", "rm", "two"]).ok();
        let _ = self.ctr.run(&["containers", "rm", "two"]).ok();
        self.was_called_once_each("two");
    }

    fn leaves_nothing(&self) {
        assert_eq!(self.ctr.run(&["containers", "ls", "-q"]).ok().out(), "");
        assert_eq!(self.ctr.run(&["tasks", "ls", "-q"]).ok().out(), "");
        let bundles = self.state.join("io.containerd.runtime.v2.task").join(self.root.name());
        let settled = || {
            let left = Leaks::of(&self.root).counts();
            let bundles = std::fs::read_dir(&bundles).map_or(0, Iterator::count);
            // The daemon itself is the one process that remains.
            (left.mounts, left.processes, left.netns, bundles) == (0, 1, 0, 0)
        };
        assert!(try_for(DEADLINE, settled), "{}", Leaks::of(&self.root).without_files(|_| true));
        for cgroup in integration_tests::cgroups::marked(self.root.name()) {
            let name = cgroup.display().to_string();
            assert!(!name.ends_with("/one") && !name.ends_with("/two"), "{name} is left");
        }
    }

    fn was_called_once_each(&self, id: &str) {
        for verb in ["create", "start", "delete"] {
            // containerd's clean-up may ask once more, with --force, for what is gone already.
            let calls =
                || self.wrappers.count(RUNTIME, verb, id) - self.wrappers.count_with(RUNTIME, &[verb, "--force", id]);
            wait_for(&format!("the runtime's {verb} of {id}"), DEADLINE, || calls() > 0);
            assert_eq!(calls(), 1, "{verb} {id}: {:#?}", self.wrappers.calls(RUNTIME));
        }
    }

    fn pid(&self, id: &str) -> Option<u32> {
        self.task(id).and_then(|row| row.split_whitespace().nth(1)?.parse().ok())
    }

    fn status(&self, id: &str) -> Option<String> {
        self.task(id).and_then(|row| row.split_whitespace().nth(2).map(str::to_owned))
    }

    fn task(&self, id: &str) -> Option<String> {
        let listed = self.ctr.run(&["tasks", "ls"]).ok();
        listed.stdout.lines().find(|row| row.split_whitespace().next() == Some(id)).map(str::to_owned)
    }
}
