//! `--runtime`: any program with runc's command line runs containers, by the name the configuration gives it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration_tests::{Kind, Stack, StackOptions, TempRoot, programs};
use serde_json::json;

use crate::{expect, get};

#[test]
fn a_container_asks_for_its_runtime_by_name() {
    let root = TempRoot::new();
    // Debian's runc, behind a script that tells what it was called with.
    let (program, calls) = (root.path().join("program"), root.path().join("calls"));
    let runc = programs::original("runc");
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\nexec {} \"$@\"\n", calls.display(), runc.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let file = root.path().join("daemon.json");
    let runtimes = json!({
        "told": {"path": program, "runtimeArgs": ["--debug", "--log-format=json"]},
        "plain": {"path": runc},
        "gone": {"path": "/nope/runc"},
    });
    fs::write(&file, json!({"runtimes": runtimes, "default-runtime": "plain"}).to_string()).unwrap();
    let engine_arguments = vec!["--config-file".to_owned(), file.display().to_string()];
    let stack = Stack::start_with(root, Kind::Ours, StackOptions { engine_arguments, ..StackOptions::default() });
    stack.load_busybox();
    let docker = stack.docker();
    let run = |runtime: &[&str]| {
        let before = ["run", "--rm", "--network", "none"].as_slice();
        docker.run(&[before, runtime, &["busybox", "sh", "-c", "cat /proc/self/comm; exit 7"]].concat())
    };

    for runtime in [&["--runtime", "told"][..], &["--runtime", "plain"], &["--runtime", "runc"], &[]] {
        let ran = run(runtime);
        assert_eq!((ran.code, ran.out()), (7, "cat"), "{runtime:?}: {ran:?}");
    }
    let calls = fs::read_to_string(calls).unwrap();
    assert!(calls.lines().all(|call| call.starts_with("--debug --log-format=json ")), "{calls}");
    assert!(calls.contains(" create ") && calls.contains(" delete "), "{calls}");

    let ran = run(&["--runtime", "gone"]);
    let said = "error while looking up the specified runtime path: exec: \"/nope/runc\": no such file or directory";
    assert!(ran.code == 127 || ran.code == 125, "{ran:?}");
    assert!(ran.err().contains(said), "{ran:?}");
    let ran = run(&["--runtime", "nope"]);
    assert!(ran.code == 125 && ran.err().contains("unknown or invalid runtime name: nope"), "{ran:?}");

    let _ = docker.run(&["run", "-d", "--name", "web", "--network", "none", "busybox", "sleep", "1000"]).ok();
    assert_eq!(docker.run(&["inspect", "-f", "{{.HostConfig.Runtime}}", "web"]).ok().out(), "plain");
    assert_eq!(docker.run(&["exec", "web", "echo", "in"]).ok().out(), "in");
    let _ = docker.run(&["rm", "-f", "web"]).ok();
    let info = expect(get(&stack, "/info"), 200).json();
    assert_eq!(info["DefaultRuntime"], "plain");
    assert_eq!(info["Runtimes"]["told"]["runtimeArgs"], json!(["--debug", "--log-format=json"]));
    let names: Vec<&String> = info["Runtimes"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["gone", "plain", "runc", "told"]);
}
