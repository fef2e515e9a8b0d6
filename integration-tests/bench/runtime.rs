//! The runtime alone: `run` of a bundle whose process is `true`, after a rest and in a loop.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use integration_tests::{Ran, TempRoot, busybox, cgroups, programs};

use crate::compare::{Report, interleaved};

const ROUNDS: usize = 40;
/// The pause before a run "after a rest": longer than a grace period of the kernel.
const REST: Duration = Duration::from_millis(30);

/// Measures ours against crun and runc.
pub fn measure(report: &mut Report) {
    if hybrid() {
        // crun refuses a host in hybrid mode, so all are measured where the v2 hierarchy is out of sight.
        return report.nested(&mut without_v2());
    }
    let root = TempRoot::new();
    let runtime = |name: &str, program| Runtime::new(&root, name, program);
    let ours = runtime("ours", programs::path("corten-runtime"));
    let crun = runtime("crun", programs::original("crun"));
    let runc = runtime("runc", programs::original("runc"));
    show_the_same_work(&root, &ours, &crun);
    for (other, label, after_rest, in_loop) in [(&crun, "crun", 0.6, 0.7), (&runc, "runc", 0.35, 0.35)] {
        let rested = |runtime: &Runtime| {
            #[expect(clippy::disallowed_methods, reason = "the rest is part of what is measured")]
            thread::sleep(REST);
            runtime.run();
        };
        let (mine, theirs) = interleaved(ROUNDS, || rested(&ours), || rested(other));
        report.ratio(&format!("run true after a rest, {label}"), mine - REST, theirs - REST, after_rest);
        let (mine, theirs) = interleaved(ROUNDS, || ours.run(), || other.run());
        report.ratio(&format!("run true in a loop, {label}"), mine, theirs, in_loop);
    }
}

/// Whether the v2 hierarchy is mounted beside those of v1.
fn hybrid() -> bool {
    cgroups::hierarchies().iter().any(|hierarchy| hierarchy.ends_with("unified"))
}

/// This program again, in a mount namespace without the v2 hierarchy.
fn without_v2() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "umount --lazy /sys/fs/cgroup/unified && exec \"$0\" runtime"]);
    command.arg(std::env::current_exe().expect("/proc is mounted"));
    command
}

struct Runtime {
    program: PathBuf,
    state: PathBuf,
    bundle: PathBuf,
    id: String,
}

impl Runtime {
    fn new(root: &TempRoot, name: &str, program: PathBuf) -> Runtime {
        let bundle = busybox::bundle(root, name, &["true"], |_| {});
        let id = format!("{}-{name}", root.name());
        Runtime { program, state: root.make(format!("state-{name}")), bundle, id }
    }

    fn command(&self, bundle: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.state).args(["run", "--bundle"]).arg(bundle).arg(&self.id);
        command
    }

    fn run(&self) {
        let status = self.command(&self.bundle).stdin(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{} run failed", self.program.display());
    }
}

/// Runs a probe under both (crun alone adds a link /dev/core) and compares what the process sees of its isolation and limits.
fn show_the_same_work(root: &TempRoot, ours: &Runtime, theirs: &Runtime) {
    const PROBE: &str = "grep -E '^(Cap|NoNewPrivs|Uid|Gid|Groups|Seccomp:)' /proc/self/status; \
        cut -d' ' -f5 /proc/self/mountinfo | sort; ls /dev | grep -vx core; hostname; ls -l /proc/self/ns | wc -l";
    let probe = |runtime: &Runtime, name: &str| {
        let bundle = busybox::bundle(root, &format!("probe-{name}"), &["sh", "-c", PROBE], |_| {});
        Ran::of(&mut runtime.command(&bundle)).ok().stdout
    };
    let (mine, other) = (probe(ours, "ours"), probe(theirs, "theirs"));
    assert_eq!(mine, other, "both runtimes must set up the same before they are compared");
}
