//! Containers from our ctr: on Debian's containerd with its shim, and on our supervisor with the same.

use crate::{Host, IMAGE};

#[test]
fn a_container_runs_to_its_end_and_leaves_nothing() {
    for host in Host::both() {
        let ran = host.run(&["--rm"], "greets", &["echo", "hello"]).ok();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("hello\n", ""));
        let ran =
            host.run(&["--rm", "--env", "A=1", "--cwd", "/tmp"], "fails", &["sh", "-c", "echo $A $PWD >&2; exit 42"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (42, "1 /tmp\n"));
        assert_eq!(host.ours.run(&["containers", "ls", "-q"]).ok().stdout, "");
        assert_eq!(host.ours.run(&["tasks", "ls", "-q"]).ok().stdout, "");
        assert_eq!(host.ours.run(&["snapshots", "info", "greets"]).code, 1);
        assert_eq!(std::fs::read_dir(host.root.join("fifos")).unwrap().count(), 0);
    }
}

#[test]
fn input_reaches_the_container_and_its_end_closes_it() {
    for host in Host::both() {
        let fifos = host.root.make("fifos").display().to_string();
        let arguments = ["run", "--rm", "--fifo-dir", &fifos, IMAGE, "reads", "cat"];
        let input = vec![b'x'; 300_000];
        let ran = integration_tests::Ran::with_input(&mut host.ours.command(&arguments), &input).ok();
        assert_eq!(ran.stdout.len(), input.len());
    }
}

#[test]
fn a_detached_container_is_driven_by_both_clients() {
    for host in Host::both() {
        let _ = host.run(&["-d"], "sleeps", &["sleep", "1000"]).ok();
        host.assert_same(&["tasks", "ls"]);
        host.assert_same(&["tasks", "ps", "sleeps"]);
        let fifos = host.root.make("fifos").display().to_string();
        let exec = |words: &[&str]| {
            let id = integration_tests::random_id(6);
            let mut arguments = vec!["tasks", "exec", "--fifo-dir", &fifos, "--exec-id", &id, "sleeps"];
            arguments.extend(words);
            host.ours.run(&arguments)
        };
        assert_eq!(exec(&["echo", "inside"]).ok().stdout, "inside\n");
        assert_eq!(exec(&["sh", "-c", "exit 3"]).code, 3);

        let _ = host.ours.run(&["tasks", "pause", "sleeps"]).ok();
        assert!(host.original.run(&["tasks", "ls"]).ok().stdout.contains("PAUSED"));
        let _ = host.original.run(&["tasks", "resume", "sleeps"]).ok();
        assert!(host.ours.run(&["tasks", "ls"]).ok().stdout.contains("RUNNING"));
        host.assert_same(&["containers", "rm", "sleeps"]);

        let _ = host.ours.run(&["tasks", "kill", "-s", "KILL", "sleeps"]).ok();
        integration_tests::wait_for("the task to be stopped", integration_tests::DEADLINE, || {
            host.ours.run(&["tasks", "ls"]).ok().stdout.contains("STOPPED")
        });
        let _ = host.ours.run(&["tasks", "rm", "sleeps"]).ok();
        let _ = host.ours.run(&["containers", "rm", "sleeps"]).ok();
        assert_eq!(host.original.run(&["containers", "ls", "-q"]).ok().stdout, "");
    }
}

#[test]
fn the_flags_of_run_give_the_originals_specification() {
    let host = Host::containerd();
    for flags in [
        &[][..],
        &["--tty"],
        &["--net-host"],
        &["--read-only"],
        &["--allow-new-privs"],
        &["--memory-limit", "10000000"],
        &["--cap-add", "CAP_SYS_ADMIN", "--cap-drop", "CAP_KILL"],
        &["--device", "/dev/null"],
        &["--mount", "type=bind,src=/tmp,dst=/host,options=rbind:ro"],
        &["--with-ns", "network:/proc/1/ns/net"],
        &["--annotation", "a=b", "--label", "l=m"],
        &["--cpu-quota", "50000", "--cpu-period", "100000"],
        &["--env", "A=b", "--env", "PATH=/x", "--cwd", "/tmp"],
        &["--rootfs-propagation", "shared"],
        &["--privileged"],
    ] {
        let spec = |ctr: &integration_tests::Ctr| -> serde_json::Value {
            let mut arguments = vec!["containers", "create"];
            arguments.extend(flags);
            arguments.extend([IMAGE, "made", "sleep", "1"]);
            let _ = ctr.run(&arguments).ok();
            let spec = ctr.run(&["containers", "info", "--spec", "made"]).ok().stdout;
            let _ = ctr.run(&["containers", "rm", "made"]).ok();
            serde_json::from_str(&spec).unwrap()
        };
        let (original, ours) = (normal(spec(&host.original)), normal(spec(&host.ours)));
        assert_eq!(ours, original, "{flags:?}");
    }
}

/// What Go leaves out when it is empty, left out on both sides; lists of devices in one order.
fn normal(mut spec: serde_json::Value) -> serde_json::Value {
    fn prune(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.values_mut().for_each(prune);
                fields.retain(|key, value| {
                    let is_empty = value.as_array().is_some_and(Vec::is_empty) || value == false && key != "allow";
                    !is_empty && !value.is_null()
                });
            }
            serde_json::Value::Array(list) => list.iter_mut().for_each(prune),
            _ => {}
        }
    }
    prune(&mut spec);
    if let Some(devices) = spec.pointer_mut("/linux/devices").and_then(serde_json::Value::as_array_mut) {
        // Devices come and go on a busy host while the two specifications are made.
        devices.retain(|device| !device["path"].as_str().unwrap_or_default().starts_with("/dev/loop"));
        devices.sort_by_key(|device| device["path"].to_string());
    }
    spec
}

#[test]
fn system_calls_are_filtered_as_asked() {
    let host = Host::containerd();
    let script = "grep ^Seccomp: /proc/self/status | cut -f 2; mkdir /x; unshare -m true && echo unshared; true";
    let run = |flags: &[&str], name: &str| host.run(&[&["--rm"], flags].concat(), name, &["sh", "-c", script]).ok();
    let default = run(&["--seccomp"], "default");
    assert_eq!(default.stdout, "2\n", "{default:?}");
    assert!(default.stderr.contains("Operation not permitted"), "{default:?}");
    let free = run(&["--cap-add", "CAP_SYS_ADMIN"], "free");
    assert_eq!(free.stdout, "0\nunshared\n", "{free:?}");
    // With the capability the default allows what it is for.
    assert_eq!(run(&["--seccomp", "--cap-add", "CAP_SYS_ADMIN"], "admin").stdout, "2\nunshared\n");

    let file = host.root.join("profile.json");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    std::fs::write(&file, profile).unwrap();
    let file = file.display().to_string();
    let own = run(&["--seccomp", "--seccomp-profile", &file], "own");
    assert!(own.stderr.contains("No space left on device"), "{own:?}");
    // Without the switch a profile is refused by both, in the same words.
    host.assert_same(&["run", "--rm", "--seccomp-profile", &file, IMAGE, "alone", "true"]);
    let missing = host.ours.run(&["run", "--rm", "--seccomp", "--seccomp-profile", "/nowhere", IMAGE, "x", "true"]);
    assert!(missing.code == 1 && missing.stderr.contains("cannot load seccomp profile \"/nowhere\": "), "{missing:?}");
}
