//! The runtime as a user without privilege calls it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use integration_tests::{Ran, programs};
use serde_json::{Value, json};

use crate::{Host, text};

/// Nobody else has these.
pub const UID: u32 = 64_242;
pub const GID: u32 = 64_243;
/// The ids that a user is given in /etc/subuid and /etc/subgid where [`User::with_ranges`] is used.
pub const FIRST_ID: u32 = 700_000;
pub const IDS: u32 = 65_536;

/// A user, with a state directory and a copy of the program of their own.
pub struct User {
    pub host: Host,
    program: PathBuf,
}

impl User {
    pub fn new() -> User {
        let host = Host::new();
        fs::set_permissions(host.root.path(), fs::Permissions::from_mode(0o755)).expect("the root is ours");
        // The program itself lies where a user may not look.
        let program = host.root.join("runtime");
        fs::copy(programs::path("corten-runtime"), &program).expect("the root is writable");
        let state = host.state();
        fs::create_dir(&state).expect("the root is writable");
        chown(&state, Some(UID), Some(GID)).expect("root may");
        User { host, program }
    }

    /// `corten-runtime --root … arguments`.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = as_user();
        command.arg(&self.program).arg("--root").arg(self.host.state()).args(arguments);
        command.env("HOME", self.host.root.path()).stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// As [`User::run`] where /etc/subuid and /etc/subgid give the user [`IDS`] ids from [`FIRST_ID`].
    #[track_caller]
    pub fn with_ranges<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::of(&mut self.command_with_ranges(arguments))
    }

    fn command_with_ranges<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let etc = self.host.root.make("etc");
        let passwd = fs::read_to_string("/etc/passwd").expect("it can be read");
        let write = |name: &str, text: String| fs::write(etc.join(name), text).expect("the root is writable");
        write("passwd", format!("{passwd}corten-user:x:{UID}:{GID}::/:/bin/sh\n"));
        write("subuid", format!("{UID}:{FIRST_ID}:{IDS}\n"));
        write("subgid", format!("{UID}:{FIRST_ID}:{IDS}\n"));
        let script = "etc=$1; shift; for f in passwd subuid subgid; do mount --bind $etc/$f /etc/$f || exit 9; done; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(&etc);
        let inner = self.command(arguments);
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        command
    }

    /// A bundle of the user's own, as `spec --rootless` writes its configuration, for that shell script.
    pub fn bundle(&self, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let bundle = self.host.bundle(name, &["true"], |_| {});
        fs::remove_file(bundle.join("config.json")).expect("the bundle is ours");
        for entry in walk(&bundle) {
            std::os::unix::fs::lchown(entry, Some(UID), Some(GID)).expect("root may");
        }
        let _ = self.run(&["spec", "--rootless", "--bundle", text(&bundle)]).ok();
        let path = bundle.join("config.json");
        let config = fs::read(&path).expect("it was made");
        let mut config: Value = serde_json::from_slice(&config).expect("it is JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", script]);
        config["root"]["readonly"] = json!(false);
        change(&mut config);
        fs::write(path, config.to_string()).expect("root may");
        bundle
    }

    #[track_caller]
    pub fn run_script(&self, name: &str, script: &str, change: impl FnOnce(&mut Value)) -> Ran {
        let bundle = self.bundle(name, script, change);
        self.run(&["run", "--bundle", text(&bundle), name])
    }

    /// A container that sleeps.
    #[track_caller]
    pub fn sleeping(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let bundle = self.bundle(name, "sleep 1000; true", change);
        self.detached(&["run", "--detach", "--bundle", text(&bundle), name]);
    }

    /// As [`User::sleeping`], with the ids of [`many_ids`].
    #[track_caller]
    pub fn sleeping_with_many_ids(&self, name: &str) {
        let bundle = self.bundle(name, "sleep 1000; true", many_ids);
        self.detach(self.command_with_ranges(&["run", "--detach", "--bundle", text(&bundle), name]));
    }

    /// What leaves a process behind: its standard streams must not be pipes.
    #[track_caller]
    pub fn detached(&self, arguments: &[&str]) {
        self.detach(self.command(arguments));
    }

    #[track_caller]
    fn detach(&self, mut command: Command) {
        let path = self.host.root.join("detached.out");
        let log = fs::File::create(&path).expect("the root is writable");
        let status = command.stdout(log.try_clone().expect("a descriptor")).stderr(log).status().expect("it starts");
        assert!(status.success(), "{}", fs::read_to_string(&path).unwrap_or_default());
    }

    pub fn state_of(&self, name: &str) -> Value {
        serde_json::from_str(&self.run(&["state", name]).ok().stdout).expect("state prints JSON")
    }
}

/// A command that loses every privilege first.
pub fn as_user() -> Command {
    let mut command = Command::new("setpriv");
    let (uid, gid) = (format!("--reuid={UID}"), format!("--regid={GID}"));
    command.args([&uid, &gid, "--clear-groups", "--inh-caps=-all", "--"]);
    command
}

/// Makes the test's parent group in every hierarchy, and gives it to the user.
pub fn delegate(parent: &str) -> Vec<PathBuf> {
    let make = |hierarchy: PathBuf| {
        let directory = hierarchy.join(parent.trim_start_matches('/'));
        fs::create_dir(&directory).expect("root may");
        chown(&directory, Some(UID), Some(GID)).expect("root may");
        for name in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(set) = fs::read_to_string(hierarchy.join(name)) {
                fs::write(directory.join(name), set.trim()).expect("root may");
            }
        }
        for name in ["cgroup.procs", "tasks", "cgroup.subtree_control", "cgroup.threads"] {
            let _ = chown(directory.join(name), Some(UID), Some(GID)); // not every version has every file
        }
        directory
    };
    integration_tests::cgroups::hierarchies().into_iter().map(make).collect()
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in fs::read_dir(directory).expect("the bundle is ours").flatten() {
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => found.extend(walk(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// The user's own id as 0, and the ranges from 1 on.
pub fn many_ids(config: &mut Value) {
    for (key, own) in [("uidMappings", UID), ("gidMappings", GID)] {
        config["linux"][key] = json!([
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": FIRST_ID, "size": IDS},
        ]);
    }
}
