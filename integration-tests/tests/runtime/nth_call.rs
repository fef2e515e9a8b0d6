//! kill -9 at the n-th system call of each verb: `delete --force` then leaves nothing, and the id is free.
//!
//! strace(1) delivers the signal as the call is entered, so every point between two effects is reached by a number and
//! not by a moment. A few numbers spread over each verb by default; all of them with `CORTEN_KILL_POINTS=all`.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use integration_tests::{DEADLINE, busybox, programs, wait_for};

use crate::{Host, remains::Remains, text};

/// A verb that is killed: how the container is made for it, and the arguments.
pub struct Verb {
    pub name: &'static str,
    pub prepare: fn(&Host, &str, &Path),
    pub arguments: fn(&Path, &str) -> Vec<String>,
    /// How many points by default.
    points: usize,
}

fn nothing(_: &Host, _: &str, _: &Path) {}

fn created(host: &Host, id: &str, bundle: &Path) {
    host.create(id, bundle);
}

fn running(host: &Host, id: &str, bundle: &Path) {
    host.create(id, bundle);
    let _ = host.run(&["start", id]).ok();
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const CREATE: Verb = Verb {
    name: "create",
    prepare: nothing,
    arguments: |bundle, id| words(&["create", "--bundle", text(bundle), id]),
    points: 40,
};
const RUN: Verb = Verb {
    name: "run",
    prepare: nothing,
    arguments: |bundle, id| words(&["run", "--detach", "--bundle", text(bundle), id]),
    points: 10,
};
const START: Verb = Verb { name: "start", prepare: created, arguments: |_, id| words(&["start", id]), points: 8 };
const EXEC: Verb = Verb {
    name: "exec",
    prepare: running,
    arguments: |_, id| words(&["exec", "--detach", id, "sleep", "1000"]),
    points: 12,
};
const DELETE: Verb =
    Verb { name: "delete", prepare: running, arguments: |_, id| words(&["delete", "--force", id]), points: 12 };
const UPDATE: Verb = Verb {
    name: "update",
    prepare: running,
    arguments: |_, id| words(&["update", "--pids-limit", "20", "--memory", "64M", id]),
    points: 6,
};
const PAUSE: Verb = Verb { name: "pause", prepare: running, arguments: |_, id| words(&["pause", id]), points: 6 };

pub const VERBS: [&Verb; 7] = [&CREATE, &RUN, &START, &EXEC, &DELETE, &UPDATE, &PAUSE];

impl Verb {
    /// Runs it under strace with `more`; how it ended.
    fn trace(&self, host: &Host, bundle: &Path, id: &str, more: &[&str]) -> ExitStatus {
        let mut command = Command::new(programs::original("strace"));
        command.args(more).arg("--").arg(programs::path("corten-runtime")).arg("--root").arg(host.state());
        command.args((self.arguments)(bundle, id)).stdin(Stdio::null());
        let log = fs::File::create(host.root.join("traced.out")).expect("the root is writable");
        command.stdout(log.try_clone().expect("a descriptor")).stderr(log).status().expect("strace starts")
    }

    /// The system calls it makes when nobody disturbs it: each one's name, and the how many-th of that name it is.
    fn calls(&self, host: &Host, bundle: &Path, id: &str) -> Vec<(String, usize)> {
        // The first container in a root makes the cgroups above its own; those after it make fewer calls.
        host.create(id, bundle);
        let _ = host.run(&["delete", "--force", id]).ok();
        (self.prepare)(host, id, bundle);
        let trace = host.root.join("trace");
        let status = self.trace(host, bundle, id, &["-o", text(&trace)]);
        let said = fs::read_to_string(host.root.join("traced.out")).unwrap_or_default();
        assert!(status.success(), "{}: {said}", self.name);
        let _ = host.run(&["delete", "--force", id]).ok();
        let text = fs::read_to_string(trace).expect("strace wrote it");
        let names = text.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name);
        let mut counts = HashMap::new();
        let mut nth = |name: &str| {
            let count = counts.entry(name.to_owned()).or_insert(0);
            *count += 1;
            (name.to_owned(), *count)
        };
        names.filter(|name| !name.contains(' ')).map(&mut nth).collect()
    }

    /// Kills it at each point and cleans up by the record alone.
    fn kill_everywhere(&self) {
        let host = Host::new();
        let id = format!("{}-{}", self.name, host.root.name());
        let bundle = bundle(&host, &id);
        let calls = self.calls(&host, &bundle, &id);
        let all = env::var("CORTEN_KILL_POINTS").is_ok_and(|value| value == "all");
        let points = if all { calls.len() } else { self.points };
        let remains = Remains::new(&host, &id);
        let mut in_flight = 0;
        for point in 0..points {
            let place = point * calls.len() / points;
            let (call, nth) = &calls[place];
            (self.prepare)(&host, &id, &bundle);
            let inject = format!("--inject={call}:signal=KILL:when={nth}");
            let status = self.trace(&host, &bundle, &id, &["-o", "/dev/null", &inject]);
            in_flight += usize::from(!status.success());
            remains.clean(&format!("{} was killed at {call} number {nth}, its call {place}", self.name));
        }
        println!("{}: {in_flight} of {points} kills hit it at work, {} calls", self.name, calls.len());
        assert!(in_flight * 2 >= points, "only {in_flight} of {points} kills hit {} at work", self.name);
        // The id is free and the container can be made.
        host.create(&id, &bundle);
        remains.clean("nothing was killed");
        remains.wait_for_keyrings();
    }
}

pub fn bundle(host: &Host, id: &str) -> PathBuf {
    busybox::bundle(&host.root, id, &["sleep", "1000"], |config| {
        config["linux"]["resources"]["memory"] = serde_json::json!({"limit": 134_217_728});
        config["linux"]["resources"]["pids"] = serde_json::json!({"limit": 50});
    })
}

/// The cgroups above the container's are made by the first that needs them: whoever is killed at it leaves some of them,
/// perhaps without the sets that a process needs to enter, and the next container there finds its way.
#[test]
fn the_cgroups_above_can_be_left_half_made() {
    let host = Host::new();
    let id = format!("above-{}", host.root.name());
    let bundle = bundle(&host, &id);
    let place = |above: &str| {
        let path = bundle.join("config.json");
        let text = fs::read_to_string(&path).expect("the bundle is there");
        let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        config["linux"]["cgroupsPath"] = format!("{}/{above}/x/{id}", host.root.cgroup_parent()).into();
        fs::write(&path, config.to_string()).expect("the root is writable");
    };
    // The cgroup of all of this test's is made by the first.
    place("first");
    host.create(&id, &bundle);
    let _ = host.run(&["delete", "--force", &id]).ok();
    let trace = host.root.join("trace");
    place("traced");
    let status = CREATE.trace(&host, &bundle, &id, &["-o", text(&trace)]);
    assert!(status.success(), "{:?}", fs::read_to_string(host.root.join("traced.out")));
    let lines = fs::read_to_string(&trace).expect("strace wrote it");
    let mut counts = HashMap::new();
    let mut calls = Vec::new();
    for line in lines.lines() {
        let Some((name, arguments)) = line.split_once('(') else { continue };
        let nth = counts.entry(name).or_insert(0);
        *nth += 1;
        // From the first directory that is missing to the last that is made or filled.
        if arguments.contains("/traced/") || (name == "write" && !calls.is_empty()) {
            calls.push((name.to_owned(), *nth));
        }
        if name == "clone3" {
            break;
        }
    }
    let remains = Remains::new(&host, &id);
    remains.clean("nothing was killed");
    const POINTS: usize = 12;
    for point in 0..POINTS {
        let (call, nth) = &calls[point * calls.len() / POINTS];
        place(&format!("above{point}"));
        let inject = format!("--inject={call}:signal=KILL:when={nth}");
        let status = CREATE.trace(&host, &bundle, &id, &["-o", "/dev/null", &inject]);
        assert!(!status.success(), "{call} number {nth} is reached");
        let after = format!("create was killed at {call} number {nth}, above its cgroup");
        remains.clean(&after);
        // What was left is taken for what it is.
        host.create(&id, &bundle);
        let _ = host.run(&["start", &id]).ok();
        remains.clean(&after);
    }
    remains.wait_for_keyrings();
}

#[test]
fn create_can_be_killed_anywhere() {
    CREATE.kill_everywhere();
}

#[test]
fn run_can_be_killed_anywhere() {
    RUN.kill_everywhere();
}

#[test]
fn start_can_be_killed_anywhere() {
    START.kill_everywhere();
}

#[test]
fn exec_can_be_killed_anywhere() {
    EXEC.kill_everywhere();
}

#[test]
fn delete_can_be_killed_anywhere() {
    DELETE.kill_everywhere();
}

#[test]
fn update_can_be_killed_anywhere() {
    UPDATE.kill_everywhere();
}

#[test]
fn pause_can_be_killed_anywhere() {
    PAUSE.kill_everywhere();
}

/// The first process is killed alone: its creator reports it, and undoes everything itself.
#[test]
fn a_first_process_that_is_killed_undoes_the_container() {
    let host = Host::new();
    let id = format!("init-{}", host.root.name());
    let bundle = bundle(&host, &id);
    let remains = Remains::new(&host, &id);
    // Calls that only the first process makes.
    for (call, when) in
        [("setsid", 1), ("fsopen", 1), ("move_mount", 2), ("mknodat", 3), ("pivot_root", 1), ("capset", 1)]
    {
        let inject = format!("--inject={call}:signal=KILL:when={when}");
        let status = CREATE.trace(&host, &bundle, &id, &["-f", "-o", "/dev/null", &inject]);
        let said = fs::read_to_string(host.root.join("traced.out")).expect("it was written");
        assert_eq!(status.code(), Some(1), "{call}: {said}");
        let what = format!("nothing to be left after {call}");
        wait_for(&what, DEADLINE, || remains.left().is_empty());
    }
}
