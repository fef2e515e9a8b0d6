//! corten-runtime alone, called as a shim calls it: one module per verb or subject.

mod apparmor;
mod bundle;
mod callers;
mod cgroups;
mod console;
mod create;
mod delegated;
mod escapes;
mod events;
mod exec;
mod features;
mod hooks;
mod kills;
mod mount_options;
mod mounts;
mod namespace_pairs;
mod namespaces;
mod nested;
mod notify;
mod nth_call;
mod process;
mod random_kills;
mod remains;
mod rootless;
mod schema;
mod seccomp;
mod seccomp_oracle;
mod unified;
mod unprivileged;
mod unprivileged_refusals;
mod usage;
mod user;
mod weight;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use integration_tests::{DEADLINE, Leaks, Ran, TempRoot, busybox, programs, wait_for};
use serde_json::Value;

/// The runtime with a root of its own for its state.
struct Host {
    root: TempRoot,
}

impl Host {
    fn new() -> Host {
        Host { root: TempRoot::new() }
    }

    /// `corten-runtime --root … arguments`, with nothing on its standard input.
    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(programs::path("corten-runtime"));
        command.arg("--root").arg(self.state()).args(arguments).stdin(Stdio::null());
        command
    }

    fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    #[track_caller]
    fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// A bundle `name` whose process is `arguments`.
    fn bundle(&self, name: &str, arguments: &[&str], change: impl FnOnce(&mut Value)) -> PathBuf {
        busybox::bundle(&self.root, name, arguments, change)
    }

    /// `run` of a new bundle with that shell script; a container `name`.
    #[track_caller]
    fn run_script(&self, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> Ran {
        let bundle = self.bundle(name, &["sh", "-c", script], change);
        self.run(&["run", "--bundle", text(&bundle), name])
    }

    /// Creates and starts a container `name` that sleeps.
    #[track_caller]
    fn sleeping(&self, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let bundle = self.bundle(name, &["sleep", "1000"], change);
        self.create(name, &bundle);
        let _ = self.run(&["start", name]).ok();
        bundle
    }

    /// Creates a container; its standard streams must not be pipes, which would stay open with the process.
    #[track_caller]
    fn create(&self, name: &str, bundle: &Path) {
        let mut command = self.command(&["create", "--bundle", text(bundle), name]);
        let log = fs::File::create(self.root.join(format!("{name}.out"))).expect("the root is writable");
        let status = command.stdout(log.try_clone().expect("a descriptor")).stderr(log).status().expect("it starts");
        let said = fs::read_to_string(self.root.join(format!("{name}.out"))).unwrap_or_default();
        assert!(status.success(), "{said}");
    }

    fn state_of(&self, name: &str) -> Value {
        let ran = self.run(&["state", name]).ok();
        serde_json::from_str(&ran.stdout).expect("state prints JSON")
    }

    fn status(&self, name: &str) -> String {
        self.state_of(name)["status"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn wait_for_status(&self, name: &str, status: &str) {
        wait_for(&format!("{name} to be {status}"), DEADLINE, || self.status(name) == status);
    }

    /// Nothing but the bundles and what tests wrote: no mount, cgroup, process, state.
    #[track_caller]
    fn assert_clean(&self) {
        let parent = self.root.cgroup_parent();
        let mut cgroups = integration_tests::cgroups::marked(self.root.name());
        cgroups.retain(|cgroup| !cgroup.to_string_lossy().ends_with(&parent));
        assert!(cgroups.is_empty(), "{cgroups:?}");
        let left = Leaks::of(&self.root).counts();
        assert_eq!((left.mounts, left.processes, left.netns), (0, 0, 0), "{}", Leaks::of(&self.root));
        let state: Vec<_> = fs::read_dir(self.state()).into_iter().flatten().flatten().collect();
        assert!(state.is_empty(), "{state:?}");
    }
}

/// A path of a test is text.
fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

/// The members of a JSON array of strings, or an object's value, replaced.
fn set(config: &mut Value, pointer: &str, value: Value) {
    *config.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is in the configuration")) = value;
}

/// Adds `value` to the array at `pointer`.
fn push(config: &mut Value, pointer: &str, value: Value) {
    let array = config.pointer_mut(pointer).and_then(Value::as_array_mut);
    array.unwrap_or_else(|| panic!("{pointer} is an array")).push(value);
}
