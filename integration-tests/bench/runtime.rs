//! The runtime alone: `run` of a bundle whose process is `true`, after a rest, in a loop, eight at a time and under a
//! filter; `exec` and `delete`; its memory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use integration_tests::{DEADLINE, Ran, TempRoot, busybox, cgroups, programs, seccomp_profile, wait_for_some};
use serde_json::Value;

use crate::compare::{Report, interleaved, timed};

const ROUNDS: usize = 40;
/// How many run at once in "8 at a time".
const AT_ONCE: usize = 8;
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
    for (other, label, after_rest, in_loop) in [(&crun, "crun", 0.35, 0.5), (&runc, "runc", 0.35, 0.35)] {
        let (mine, theirs) = interleaved(ROUNDS, || rested(|| ours.run()), || rested(|| other.run()));
        report.ratio(&format!("run true after a rest, {label}"), mine - REST, theirs - REST, after_rest);
        let (mine, theirs) = interleaved(ROUNDS, || ours.run(), || other.run());
        report.ratio(&format!("run true in a loop, {label}"), mine, theirs, in_loop);
    }
    let (mine, theirs) = interleaved(ROUNDS / 4, || ours.run_at_once(), || crun.run_at_once());
    report.ratio("run true, 8 at a time, crun", mine, theirs, 0.6);
    exec(report, &root, &ours, &crun);
    delete(report, &ours, &crun);
    filter(report, &root, &ours);
    let peak = ours.peak_kib(&root) / 1024.0;
    report.bound("runtime's memory at its peak (VmHWM)", peak, None, 1.8, "MiB");
}

fn rested(work: impl FnOnce()) {
    #[expect(clippy::disallowed_methods, reason = "the rest is part of what is measured")]
    thread::sleep(REST);
    work();
}

/// A process beside one that sleeps.
fn exec(report: &mut Report, root: &TempRoot, ours: &Runtime, theirs: &Runtime) {
    let sleeping = [ours, theirs].map(|runtime| runtime.sleeping(root));
    let exec = |runtime: &Runtime| runtime.do_one(&["exec", &runtime.id, "true"]);
    let (mine, other) = interleaved(ROUNDS, || rested(|| exec(ours)), || rested(|| exec(theirs)));
    report.ratio("exec true after a rest, crun", mine - REST, other - REST, 0.35);
    for (runtime, mut sleeping) in [ours, theirs].into_iter().zip(sleeping) {
        runtime.do_one(&["kill", &runtime.id, "KILL"]);
        sleeping.wait().expect("it was started here");
    }
}

/// Of a container that has ended.
fn delete(report: &mut Report, ours: &Runtime, theirs: &Runtime) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS / 2 {
        for (runtime, times) in [ours, theirs].into_iter().zip(&mut times) {
            runtime.end_one();
            times.push(timed(&mut || runtime.do_one(&["delete", &runtime.id])));
        }
    }
    let [mine, other] = times.map(crate::compare::median);
    report.ratio("delete, crun", mine, other, 1.0);
}

/// What docker's default profile adds.
fn filter(report: &mut Report, root: &TempRoot, plain: &Runtime) {
    let profile = seccomp_profile::dockers_default();
    let filtered =
        Runtime::with(root, "filtered", plain.program.clone(), |config| config["linux"]["seccomp"] = profile);
    let (with, without) = interleaved(2 * ROUNDS, || filtered.run(), || plain.run());
    let added = with.saturating_sub(without).as_secs_f64() * 1e3;
    report.bound("docker's seccomp profile adds to run true", added, None, 0.4, "ms");
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
        Runtime::with(root, name, program, |_| {})
    }

    fn with(root: &TempRoot, name: &str, program: PathBuf, change: impl FnOnce(&mut Value)) -> Runtime {
        let bundle = busybox::bundle(root, name, &["true"], change);
        let id = format!("{}-{name}", root.name());
        Runtime { program, state: root.make(format!("state-{name}")), bundle, id }
    }

    fn verb(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.state).args(arguments).stdin(Stdio::null());
        command
    }

    fn do_one(&self, arguments: &[&str]) {
        let status = self.verb(arguments).status();
        assert!(status.is_ok_and(|status| status.success()), "{} {arguments:?} failed", self.program.display());
    }

    fn command(&self, verb: &str, bundle: &Path, id: &str) -> Command {
        let mut command = self.verb(&[verb, "--bundle"]);
        command.arg(bundle).arg(id);
        command
    }

    fn run(&self) {
        let status = self.command("run", &self.bundle, &self.id).status();
        assert!(status.is_ok_and(|status| status.success()), "{} run failed", self.program.display());
    }

    /// The same bundle several times: each container has a cgroup of its own, named after it.
    fn run_at_once(&self) {
        let start = |number| {
            let bundle = self.bundle.with_file_name(format!("{}-{number}", self.id));
            if !bundle.exists() {
                self.copy_bundle(&bundle, number);
            }
            self.command("run", &bundle, &format!("{}-{number}", self.id)).spawn().expect("it can be started")
        };
        let running: Vec<Child> = (0..AT_ONCE).map(start).collect();
        for mut one in running {
            assert!(one.wait().expect("it was started here").success(), "{} run failed", self.program.display());
        }
    }

    /// The bundle with the same root filesystem and another cgroup.
    fn copy_bundle(&self, to: &Path, number: usize) {
        let text = fs::read(self.bundle.join("config.json")).expect("the bundle was made here");
        let mut config: Value = serde_json::from_slice(&text).expect("as was written here");
        let group = config["linux"]["cgroupsPath"].as_str().expect("it has one").to_owned();
        config["linux"]["cgroupsPath"] = format!("{group}-{number}").into();
        config["root"]["path"] = self.bundle.join("rootfs").to_string_lossy().into();
        fs::create_dir(to).expect("the root is writable");
        fs::write(to.join("config.json"), config.to_string()).expect("the root is writable");
    }

    /// A container whose process sleeps, with the runtime that waits for it.
    fn sleeping(&self, root: &TempRoot) -> Child {
        let bundle = root.path().join(format!("bundles/sleeping-{}", self.id));
        if !bundle.exists() {
            busybox::bundle(root, &format!("sleeping-{}", self.id), &["sleep", "1000"], |_| {});
        }
        let child = self.command("run", &bundle, &self.id).spawn().expect("it can be started");
        self.wait_until("running");
        child
    }

    fn wait_until(&self, status: &str) {
        let wanted = format!("\"status\": \"{status}\"");
        wait_for_some(&format!("{} is {status}", self.id), DEADLINE, || {
            let said = self.verb(&["state", &self.id]).stderr(Stdio::null()).output().ok()?;
            String::from_utf8_lossy(&said.stdout).contains(&wanted).then_some(())
        });
    }

    /// Leaves a container that has ended.
    fn end_one(&self) {
        let create =
            self.command("create", &self.bundle, &self.id).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(create.is_ok_and(|status| status.success()), "{} create failed", self.program.display());
        self.do_one(&["start", &self.id]);
        self.wait_until("stopped");
    }

    /// The most memory the runtime had while its container runs.
    fn peak_kib(&self, root: &TempRoot) -> f64 {
        let mut sleeping = self.sleeping(root);
        let status = fs::read_to_string(format!("/proc/{}/status", sleeping.id())).expect("it runs");
        self.do_one(&["kill", &self.id, "KILL"]);
        sleeping.wait().expect("it was started here");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("proc(5)");
        line.trim().trim_end_matches(" kB").parse().expect("proc(5)")
    }
}

/// Runs a probe under both (crun alone adds a link /dev/core) and compares what the process sees of its isolation and limits.
fn show_the_same_work(root: &TempRoot, ours: &Runtime, theirs: &Runtime) {
    const PROBE: &str = "grep -E '^(Cap|NoNewPrivs|Uid|Gid|Groups|Seccomp:)' /proc/self/status; \
        cut -d' ' -f5 /proc/self/mountinfo | sort; ls /dev | grep -vx core; hostname; ls -l /proc/self/ns | wc -l";
    let probe = |runtime: &Runtime, name: &str| {
        let bundle = busybox::bundle(root, &format!("probe-{name}"), &["sh", "-c", PROBE], |_| {});
        Ran::of(&mut runtime.command("run", &bundle, &runtime.id)).ok().stdout
    };
    let (mine, other) = (probe(ours, "ours"), probe(theirs, "theirs"));
    assert_eq!(mine, other, "both runtimes must set up the same before they are compared");
}
