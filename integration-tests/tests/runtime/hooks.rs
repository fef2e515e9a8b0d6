//! Hooks: when they run, what they are told, and what a failing one does.

use std::fs;

use serde_json::{Value, json};

use crate::Host;

/// A hook that appends its name and what it was told to a file.
fn noting(host: &Host, name: &str) -> Value {
    let file = host.root.join("notes");
    let script = format!("echo {name} $(cat) >> {}", file.display());
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
}

#[test]
fn each_hook_runs_at_its_time_and_is_told_the_state() {
    let host = Host::new();
    let names = ["prestart", "createRuntime", "poststart", "poststop"];
    let ran = host.run_script("web", "true", |config| {
        config["annotations"] = json!({"org.example": "yes"});
        for name in names {
            config["hooks"][name] = noting(&host, name);
        }
    });
    let _ = ran.ok();
    let notes = fs::read_to_string(host.root.join("notes")).expect("the hooks ran");
    let found: Vec<(&str, Value)> = notes
        .lines()
        .map(|line| {
            let (name, state) = line.split_once(' ').expect("a name and a state");
            (name, serde_json::from_str(state).expect("JSON"))
        })
        .collect();
    assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for ((_, state), status) in found.iter().zip(["creating", "creating", "running", "stopped"]) {
        assert_eq!((&state["status"], &state["id"]), (&json!(status), &json!("web")));
        assert_eq!(state["annotations"]["org.example"], "yes");
        assert_eq!(state["pid"].as_i64().is_some_and(|pid| pid > 1), status != "stopped");
    }
    host.assert_clean();
}

#[test]
fn a_hook_that_fails_or_takes_too_long_undoes_the_container() {
    let host = Host::new();
    for (name, script, timeout, said) in [
        ("createRuntime", "echo no good >&2; exit 3", 5, "stderr: no good"),
        ("prestart", "exec sleep 100", 1, "hook ran past specified timeout of 1 s"),
        ("poststart", "exit 1", 5, "error running poststart hook #0: /bin/sh: exit status: 1"),
    ] {
        let ran = host.run_script(name, "sleep 1000", |config| {
            config["hooks"][name] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"], "timeout": timeout}]);
        });
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
        host.assert_clean();
    }
}

#[test]
fn hooks_of_the_container_run_in_it_before_and_after_its_root_is_changed() {
    let host = Host::new();
    let file = host.root.join("early");
    // The first still sees the host's files, from the container's namespaces; the second only what is inside.
    let early = format!("{{ hostname; readlink /proc/self/ns/uts; cat; }} > {}", file.display());
    let late = "{ cat; ls /; } > /tmp/late";
    let bundle = host.bundle("web", &["sh", "-c", "readlink /proc/self/ns/uts; cat /tmp/late"], |config| {
        let hook =
            |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]);
        config["hooks"] = json!({"createContainer": hook(&early), "startContainer": hook(late)});
    });
    let log = host.root.join("log");
    let out = fs::File::create(&log).expect("the root is writable");
    let mut create = host.command(&["create", "--bundle", crate::text(&bundle), "web"]);
    assert!(create.stdout(out.try_clone().expect("a descriptor")).stderr(out).status().expect("it starts").success());
    let _ = host.run(&["start", "web"]).ok();
    host.wait_for_status("web", "stopped");
    let (early, inside) = (fs::read_to_string(&file).expect("it ran"), fs::read_to_string(&log).expect("it is there"));
    let (uts, rest) = inside.split_once('\n').expect("a namespace");
    assert!(early.starts_with(&format!("bundle\n{uts}\n")) && early.contains("\"creating\""), "{early} {inside}");
    assert!(rest.contains("\"created\"") && rest.contains("bin") && !rest.contains("boot"), "{inside}");
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_failing_hook_of_the_container_is_named() {
    let host = Host::new();
    for (name, hook, said) in [
        (
            "one",
            json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo no good >&2; exit 3"]}]),
            "createContainer hook #0: /bin/sh: exit status: 3, output: no good",
        ),
        ("two", json!([{"path": "/nope"}]), "createContainer hook #0: /nope: exit status: 127"),
        (
            "three",
            json!([{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]),
            "ran past specified timeout",
        ),
    ] {
        let ran = host.run_script(name, "true", |config| config["hooks"] = json!({"createContainer": hook}));
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
        host.assert_clean();
    }
}

#[test]
fn a_hook_sees_the_containers_namespaces_by_its_pid() {
    let host = Host::new();
    let file = host.root.join("net");
    let script =
        format!("pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net > {}", file.display());
    let ran = host.run_script("web", "readlink /proc/self/ns/net", |config| {
        config["hooks"]["prestart"] =
            json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]);
    });
    assert_eq!(ran.ok().stdout, fs::read_to_string(&file).expect("the hook ran"));
}

#[test]
fn a_start_hook_without_an_environment_has_the_processs_and_its_output_is_told() {
    let host = Host::new();
    let hook = |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    let environment = |config: &mut serde_json::Value| config["process"]["env"] = json!(["PATH=/bin", "A=1", "A=2"]);
    let ran = host.run_script("web", "true", |config| {
        environment(config);
        config["hooks"] = json!({"startContainer": hook("echo loud; test \"$A\" = 2 && test -n \"$HOME\"")});
    });
    assert_eq!(ran.ok().stdout, "", "what a hook says is not the container's output");
    let ran = host.run_script("bad", "true", |config| {
        environment(config);
        config["hooks"] = json!({"startContainer": hook("echo it is $A; exit 9")});
    });
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("startContainer hook #0: /bin/sh: exit status: 9, output: it is 2"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn hooks_find_the_root_filesystem_at_its_path() {
    let host = Host::new();
    // As the hooks of hardware vendors do: one enters the mount namespace, one runs in it and in the root.
    let rootfs = host.root.join("bundles/web/rootfs");
    let enter = "nsenter -m -t $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')";
    let outer = format!("{enter} touch {}/one", rootfs.display());
    let bind = format!("{enter} mount --bind {0}/etc {0}/mnt", rootfs.display());
    let ran = host.run_script("web", "ls /one /two; ls /mnt | head -1", |config| {
        let hook = |script: &str| {
            json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]})
        };
        config["hooks"] =
            json!({"createRuntime": [hook(&outer), hook(&bind)], "createContainer": [hook("touch ./two")]});
        std::fs::create_dir_all(rootfs.join("mnt")).expect("the bundle is ours");
    });
    assert!(ran.stdout.starts_with("/one\n/two\n") && ran.stdout.lines().count() == 3, "{ran:?}");
    host.assert_clean();
}
