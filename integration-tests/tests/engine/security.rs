//! What keeps a container from the host: seccomp profiles, capabilities, privileged containers, hidden paths.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use integration_tests::{DockerCli, Kind, Ran, Stack, StackOptions, TempRoot};
use serde_json::{Value, json};

use crate::{busybox, engine, expect, get, post, refusal, start};

const STATUS: &str = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | cut -f 2 | tr '\\n' ' '";

fn run(docker: &DockerCli, flags: &[&str], script: &str) -> Ran {
    let before = ["run", "--rm", "--network", "none"].as_slice();
    docker.run(&[before, flags, &["busybox", "sh", "-c", script]].concat())
}

/// The daemon's own capabilities: more it can give to nobody.
fn own_capabilities() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap().to_owned()
}

#[test]
fn every_container_gets_dockers_profile_and_options_change_it() {
    let stack = engine();
    let docker = stack.docker();
    let default = "00000000a80425fb 00000000a80425fb";
    for (flags, said) in [
        (&[][..], format!("{default} 0 2")),
        (&["--security-opt", "seccomp=unconfined"], format!("{default} 0 0")),
        (&["--security-opt", "seccomp=builtin"], format!("{default} 0 2")),
        (&["--security-opt", "no-new-privileges"], format!("{default} 1 2")),
        (&["--security-opt", "no-new-privileges:true"], format!("{default} 1 2")),
        (&["--security-opt", "no-new-privileges=false"], format!("{default} 0 2")),
        (&["--security-opt", "apparmor=unconfined", "--security-opt", "label=disable"], format!("{default} 0 2")),
        (&["--cap-drop", "ALL", "--cap-add", "kill"], "0000000000000020 0000000000000020 0 2".to_owned()),
        (&["--privileged"], format!("{own} {own} 0 0", own = own_capabilities())),
        (&["--cap-add", "all"], format!("{own} {own} 0 2", own = own_capabilities())),
    ] {
        let ran = run(&docker, flags, STATUS);
        assert_eq!((ran.code, ran.out()), (0, said.as_str()), "{flags:?}: {ran:?}");
    }
    // What the profile denies fails with EPERM, and a capability allows what it is for.
    let unshare = "unshare -m true && echo done";
    assert!(run(&docker, &[], unshare).err().contains("Operation not permitted"));
    assert_eq!(run(&docker, &["--cap-add", "SYS_ADMIN"], unshare).out(), "done");
}

#[test]
fn a_profile_of_the_users_own_is_the_containers() {
    let stack = engine();
    let docker = stack.docker();
    let file = stack.root().join("profile.json");
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]);
    fs::write(&file, json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).to_string()).unwrap();
    let option = format!("seccomp={}", file.display());
    let ran = run(&docker, &["--security-opt", &option], "mkdir /x; unshare -m true || echo $?");
    assert!(ran.err().contains("mkdir: can't create directory '/x': No space left on device"), "{ran:?}");
    // Also who is privileged is bound by a profile that was asked for.
    let ran = run(&docker, &["--privileged", "--security-opt", &option], "mkdir /x");
    assert!(ran.err().contains("No space left on device"), "{ran:?}");
    fs::write(&file, json!({"defaultAction": "SCMP_ACT_NOPE"}).to_string()).unwrap();
    let ran = run(&docker, &["--security-opt", &option], "true");
    assert!(ran.err().contains("decoding seccomp profile failed: "), "{ran:?}");
    assert_eq!(ran.code, 125);
}

#[test]
fn the_daemons_own_profile_is_that_of_containers_that_ask_for_none() {
    let root = TempRoot::new();
    let file = root.join("profile.json");
    let rules = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]);
    fs::write(&file, json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).to_string()).unwrap();
    for (asked, filtered, said) in [(file.to_str().unwrap(), "2", "No space left"), ("unconfined", "0", "")] {
        let engine_arguments = vec!["--seccomp-profile".to_owned(), asked.to_owned()];
        let stack = Stack::start_with(
            TempRoot::new(),
            Kind::Ours,
            StackOptions { engine_arguments, ..StackOptions::default() },
        );
        stack.load_busybox();
        let docker = stack.docker();
        let script = "grep ^Seccomp: /proc/self/status | cut -f 2; mkdir /x";
        let ran = run(&docker, &[], script);
        assert!(ran.stdout.starts_with(filtered) && ran.err().contains(said), "{asked}: {ran:?}");
        // Who asks gets what was asked for, and who is privileged none.
        assert_eq!(run(&docker, &["--security-opt", "seccomp=builtin"], script).ok().out(), "2");
        assert_eq!(run(&docker, &["--privileged"], script).ok().out(), "0");
        let info = expect(get(&stack, "/info"), 200).json();
        let options = info["SecurityOptions"].as_array().unwrap();
        assert!(options.contains(&json!(format!("name=seccomp,profile={asked}"))), "{info}");
        assert_eq!(info["Warnings"], json!(["WARNING: daemon is not using the default seccomp profile"]));
    }
    let mut cortend = std::process::Command::new(integration_tests::programs::path("cortend"));
    let data = root.join("data");
    cortend.args(["--seccomp-profile", "/nowhere.json", "--data-root"]).arg(&data).arg("--exec-root").arg(&data);
    let ran = Ran::of(
        cortend.arg("--pidfile").arg(root.join("pid")).arg("-H").arg(format!("unix://{}", root.join("s").display())),
    );
    let said = "opening seccomp profile (/nowhere.json) failed: No such file or directory";
    assert!(ran.code == 1 && ran.err().contains(said), "{ran:?}");
}

/// A character device beside those that every container has.
fn a_device_of_the_host() -> Option<String> {
    const EVERYWHERE: [&str; 8] = ["console", "full", "null", "ptmx", "random", "tty", "urandom", "zero"];
    let mut names: Vec<String> = fs::read_dir("/dev")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_char_device()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !EVERYWHERE.contains(&name.as_str()))
        .collect();
    names.sort();
    names.first().map(|name| format!("/dev/{name}"))
}

#[test]
fn a_privileged_container_has_devices_and_nothing_is_hidden() {
    let stack = engine();
    let docker = stack.docker();
    let hidden =
        "mount | grep -cE ' on (/proc/|/sys/firmware)'; grep ' /sys ' /proc/mounts | grep -oE 'r[ow],' | head -n 1";
    let ran = run(&docker, &[], hidden);
    assert!(ran.out().ends_with("ro,") && !ran.out().starts_with('0'), "{ran:?}");
    assert_eq!(run(&docker, &["--privileged"], hidden).out(), "0\nrw,");
    // A device that this host has and no plain container.
    if let Some(device) = a_device_of_the_host() {
        let test = format!("test -c {device} && echo there || echo none");
        assert_eq!(run(&docker, &[], &test).out(), "none", "{device}");
        assert_eq!(run(&docker, &["--privileged"], &test).out(), "there", "{device}");
    }
    let id = start(
        &stack,
        "web",
        &json!({"Image": "busybox", "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": "none", "Privileged": true}}),
    );
    let host = get(&stack, &format!("/containers/{id}/json")).json()["HostConfig"].clone();
    assert_eq!(host["Privileged"], true);
    assert_eq!((&host["MaskedPaths"], &host["ReadonlyPaths"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_privileged_exec_has_every_capability_under_the_containers_filter() {
    let stack = engine();
    let docker = stack.docker();
    let _ = start(&stack, "web", &busybox(&["sleep", "1000"]));
    let status =
        |flags: &[&str]| docker.run(&[&["exec"], flags, &["web", "sh", "-c", STATUS]].concat()).ok().out().to_owned();
    assert_eq!(status(&[]), "00000000a80425fb 00000000a80425fb 0 2");
    assert_eq!(status(&["--privileged"]), format!("{own} {own} 0 2", own = own_capabilities()));
}

#[test]
fn what_cannot_be_had_is_refused_in_dockers_words() {
    let stack = engine();
    let refused = |key: &str, value: Value| {
        let mut body = busybox(&["true"]);
        body["HostConfig"][key] = value;
        refusal(post(&stack, "/containers/create", &body), 400)
    };
    let option = |text: &str| refused("SecurityOpt", json!([text]));
    assert_eq!(option("label"), "invalid --security-opt 1: \"label\"");
    assert_eq!(option("unknown=x"), "invalid --security-opt 2: \"unknown=x\"");
    assert_eq!(refused("CapAdd", json!(["oops"])), "invalid CapAdd: unknown capability: \"CAP_OOPS\"");
    assert_eq!(refused("CapDrop", json!(["oops"])), "invalid CapDrop: unknown capability: \"CAP_OOPS\"");
    assert_eq!(refused("CgroupnsMode", json!("odd")), "invalid cgroup namespace mode: odd");
    if !Path::new("/sys/kernel/security/apparmor").exists() {
        let said = option("apparmor=mine");
        assert_eq!(said, "invalid --security-opt apparmor=mine: AppArmor is not enabled on this host");
    }
    let options = expect(get(&stack, "/info"), 200).json()["SecurityOptions"].clone();
    assert!(options.as_array().unwrap().contains(&json!("name=seccomp,profile=builtin")), "{options}");
}

#[test]
fn a_cgroup_namespace_is_own_or_the_hosts() {
    let stack = engine();
    let docker = stack.docker();
    let own = fs::read_link("/proc/self/ns/cgroup").unwrap().to_string_lossy().into_owned();
    let script = "readlink /proc/self/ns/cgroup";
    assert_eq!(run(&docker, &["--cgroupns", "host"], script).out(), own);
    assert_ne!(run(&docker, &["--cgroupns", "private"], script).out(), own);
}

/// The configuration that the runtime got for a running container, wherever the shim's bundle is.
fn configuration(stack: &Stack, id: &str) -> Value {
    let mut directories: Vec<PathBuf> = vec![stack.root().path().to_owned()];
    while let Some(directory) = directories.pop() {
        // The container's own tree is below, and the host's behind links: neither holds a bundle.
        if directory.ends_with("rootfs") || directory.ends_with("merged") || directory.ends_with("snapshots") {
            continue;
        }
        if directory.ends_with(id)
            && let Ok(config) = fs::read(directory.join("config.json"))
            && let Ok(config) = serde_json::from_slice::<Value>(&config)
            && config["linux"]["namespaces"].is_array()
        {
            return config;
        }
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        directories.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
    panic!("no bundle of {id} in {}", stack.root().path().display());
}

/// Calls that are allowed whatever their arguments, and those that are compared.
fn allowed(config: &Value) -> Option<BTreeSet<String>> {
    let rules = config["linux"]["seccomp"]["syscalls"].as_array()?;
    let allowed = rules.iter().filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    let mut found = BTreeSet::new();
    for rule in allowed {
        let mark = if rule["args"].is_null() { "" } else { "?" };
        found.extend(rule["names"].as_array()?.iter().map(|name| format!("{}{mark}", name.as_str().unwrap())));
    }
    Some(found)
}

#[test]
fn the_profile_is_what_the_original_gives_but_for_what_changed_since() {
    let stacks = [Stack::start(Kind::Original), engine()];
    stacks[0].load_busybox();
    // Debian's is 20.10: since then calls were added, and these were taken away or compared.
    let taken = [
        "socket",
        "get_mempolicy",
        "mbind",
        "set_mempolicy",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "socketcall",
    ];
    let capabilities = [
        "",
        "SYS_ADMIN",
        "SYS_PTRACE",
        "SYS_CHROOT",
        "SYS_MODULE",
        "SYS_TIME",
        "SYS_NICE",
        "SYSLOG",
        "DAC_READ_SEARCH",
    ];
    for (number, capability) in capabilities.into_iter().enumerate() {
        let mut sets = Vec::new();
        for stack in &stacks {
            let mut body = busybox(&["sleep", "1000"]);
            body["HostConfig"]["CapAdd"] = if capability.is_empty() { json!(null) } else { json!([capability]) };
            let id = start(stack, &format!("c{number}"), &body);
            sets.push(configuration(stack, &id));
            expect(crate::delete(stack, &format!("/containers/{id}?force=1")), 204);
        }
        let [theirs, ours] = sets.as_slice() else { panic!("two stacks") };
        let (old, new) = (allowed(theirs).unwrap(), allowed(ours).unwrap());
        let missing: Vec<&String> = old.difference(&new).filter(|name| !taken.contains(&name.as_str())).collect();
        assert_eq!(missing, Vec::<&String>::new(), "with {capability:?}");
        for key in ["defaultAction", "architectures"] {
            assert_eq!(ours["linux"]["seccomp"][key], theirs["linux"]["seccomp"][key], "with {capability:?}");
        }
        let names = |config: &Value| -> BTreeSet<String> {
            let names = config["process"]["capabilities"]["bounding"].as_array().unwrap().clone();
            names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(ours), names(theirs), "with {capability:?}");
    }
    // Of a privileged container only ours is asked: the original grants what its own daemon may lack, and fails then.
    let mut body = busybox(&["sleep", "1000"]);
    body["HostConfig"]["Privileged"] = json!(true);
    let ours = configuration(&stacks[1], &start(&stacks[1], "privileged", &body));
    for pointer in ["/linux/seccomp", "/linux/maskedPaths", "/linux/readonlyPaths"] {
        assert_eq!(ours.pointer(pointer), None, "{pointer}");
    }
    assert_eq!(ours["linux"]["resources"]["devices"], json!([{"allow": true, "type": "a", "access": "rwm"}]));
}
