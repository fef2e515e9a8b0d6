//! What a process finds itself to be: capabilities, user, limits, directory, descriptors, environment.

use std::{fs, process::Command};

use integration_tests::{Ran, programs};
use serde_json::json;

use crate::{Host, set, text};

#[test]
fn capabilities_are_those_of_the_spec_in_all_five_sets() {
    let host = Host::new();
    let ran = host.run_script("web", "grep Cap /proc/self/status", |config| {
        let (two, one) = (json!(["CAP_KILL", "CAP_CHOWN"]), json!(["CAP_CHOWN"]));
        let sets = json!({"bounding": two, "effective": one, "permitted": two, "inheritable": one, "ambient": one});
        set(config, "/process/capabilities", sets);
    });
    let expected = "CapInh:\t0000000000000001\nCapPrm:\t0000000000000021\nCapEff:\t0000000000000021\n\
                    CapBnd:\t0000000000000021\nCapAmb:\t0000000000000001\n";
    // Root's execve raises permitted and effective to the bounding set, unless root is nothing special.
    assert_eq!(ran.ok().stdout, expected);
}

#[test]
fn an_ordinary_user_keeps_ambient_capabilities_only() {
    let host = Host::new();
    let ran = host.run_script("web", "id; grep -E 'Cap(Prm|Eff|Amb)|NoNewPrivs|Groups' /proc/self/status", |config| {
        set(config, "/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}));
        let (both, ambient) = (json!(["CAP_KILL", "CAP_NET_BIND_SERVICE"]), json!(["CAP_NET_BIND_SERVICE"]));
        let sets =
            json!({"bounding": both, "effective": both, "permitted": both, "inheritable": both, "ambient": ambient});
        set(config, "/process/capabilities", sets);
    });
    let out = ran.ok().stdout;
    assert!(out.starts_with("uid=1000 gid=1001 groups=5,6"), "{out}");
    for line in
        ["CapPrm:\t0000000000000400", "CapEff:\t0000000000000400", "CapAmb:\t0000000000000400", "NoNewPrivs:\t1"]
    {
        assert!(out.contains(line), "{line} in {out}");
    }
}

#[test]
fn limits_umask_and_oom_score_are_set() {
    let host = Host::new();
    let ran = host.run_script("web", "ulimit -n; ulimit -H -n; umask; cat /proc/self/oom_score_adj", |config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
        config["process"]["oomScoreAdj"] = json!(321);
        config["process"]["user"]["umask"] = json!(0o27);
    });
    assert_eq!(ran.ok().stdout, "100\n200\n0027\n321\n");
    // No privilege allows more open files than the system does.
    let too_many = 1u64 << 40;
    let ran = host.run_script("more", "true", |config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": too_many, "hard": too_many}]);
    });
    let said = format!("set RLIMIT_NOFILE to {too_many}:{too_many}: operation not permitted");
    assert!(ran.code == 1 && ran.stderr.contains(&said), "{ran:?}");
}

#[test]
fn a_mask_that_is_not_given_is_the_usual_one_and_an_exec_has_the_containers() {
    let host = Host::new();
    assert_eq!(host.run_script("usual", "umask", |_| {}).ok().out(), "0022");
    let _ = host.sleeping("web", |config| config["process"]["user"]["umask"] = json!(0o77));
    // A process of its own says nothing of it.
    let process = host.root.path().join("process.json");
    let json = json!({"args": ["sh", "-c", "umask"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}});
    fs::write(&process, json.to_string()).unwrap();
    assert_eq!(host.run(&["exec", "--process", text(&process), "web"]).ok().out(), "0077");
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn the_directory_is_entered_made_when_missing_and_a_file_is_an_error() {
    let host = Host::new();
    assert_eq!(host.run_script("web", "pwd", |config| set(config, "/process/cwd", json!("/root"))).ok().out(), "/root");
    // As runc does: docker's --workdir relies on it.
    let made = host.run_script("made", "pwd", |config| set(config, "/process/cwd", json!("/made/for/it")));
    assert_eq!(made.ok().out(), "/made/for/it");
    let ran = host.run_script("other", "pwd", |config| set(config, "/process/cwd", json!("/etc/passwd")));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("chdir to cwd (\\\"/etc/passwd\\\")"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn no_descriptor_of_the_runtime_is_left_open() {
    let host = Host::new();
    // The fourth is the directory that ls itself reads.
    assert_eq!(host.run_script("web", "ls /proc/self/fd | wc -l", |_| {}).ok().out(), "4");
}

#[test]
fn preserved_descriptors_are_inherited_and_missing_ones_refused() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sh", "-c", "cat <&3"], |_| {});
    let runtime = integration_tests::programs::path("corten-runtime");
    let line = format!(
        "echo passed > {root}/three; exec {runtime} --root {state} run --preserve-fds \"$1\" --bundle {bundle} web 3<{root}/three",
        root = host.root.path().display(),
        runtime = runtime.display(),
        state = host.state().display(),
        bundle = bundle.display(),
    );
    let with =
        |count: &str| integration_tests::Ran::of(std::process::Command::new("sh").args(["-c", &line, "sh", count]));
    assert_eq!(with("1").ok().out(), "passed");
    let missing = with("40");
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("--preserve-fds: descriptor"), "{missing:?}");
    host.assert_clean();
}

#[test]
fn home_is_the_users_directory() {
    let host = Host::new();
    assert_eq!(host.run_script("web", "echo $HOME", |_| {}).ok().out(), "/root");
    let with_home = |config: &mut serde_json::Value| config["process"]["env"] = json!(["PATH=/bin", "HOME=/given"]);
    assert_eq!(host.run_script("two", "echo $HOME", with_home).ok().out(), "/given");
}

#[test]
fn what_is_not_built_yet_is_refused_by_name_and_leaves_nothing() {
    let host = Host::new();
    for (pointer, key, value, said) in [
        ("/linux", "intelRdt", json!({"closID": "a"}), "linux.intelRdt: not supported yet"),
        (
            "/linux",
            "mountLabel",
            json!("a"),
            "linux.mountLabel: selinux label is specified in config, but selinux is disabled",
        ),
    ] {
        let ran = host.run_script(key, "true", |config| {
            let object = config.pointer_mut(pointer).and_then(serde_json::Value::as_object_mut);
            object.expect("an object").insert(key.to_owned(), value);
        });
        assert_eq!(ran.code, 1, "{key}");
        assert!(ran.stderr.contains(said), "{key}: {ran:?}");
        host.assert_clean();
    }
}

#[test]
fn no_signal_is_blocked_and_a_broken_pipe_is_not_ignored() {
    let host = Host::new();
    let inside = host.run_script("web", "grep -E 'Sig(Blk|Ign)' /proc/self/status", |_| {}).ok().stdout;
    let mask = |name: &str| {
        let line = inside.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        u64::from_str_radix(line.trim(), 16).expect("a mask")
    };
    // Every Rust program ignores SIGPIPE itself, and an execve keeps what is ignored.
    let sigpipe = 1 << 12;
    assert_eq!((mask("SigBlk:"), mask("SigIgn:") & sigpipe), (0, 0), "{inside}");
}

#[test]
fn an_administrators_runtime_is_protected_too() {
    let host = Host::new();
    let script = "for p in /proc/[0-9]*; do readlink $p/exe; done; echo x > /proc/1/exe || echo refused";
    let ran = host.run_script("web", script, |config| {
        for name in ["bounding", "effective", "permitted"] {
            crate::push(config, &format!("/process/capabilities/{name}"), json!("CAP_SYS_ADMIN"));
        }
    });
    assert!(ran.stdout.contains("refused"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_variable_is_set_once_and_home_is_never_empty() {
    let host = Host::new();
    for (name, given, expected) in [
        ("twice", json!(["PATH=/bin", "A=1", "B=2", "A=3"]), "PATH=/bin\nB=2\nA=3\nHOME=/root\n"),
        ("empty", json!(["PATH=/bin", "HOME=/first", "HOME="]), "PATH=/bin\nHOME=/root\n"),
        ("given", json!(["HOME=", "PATH=/bin", "HOME=/own"]), "PATH=/bin\nHOME=/own\n"),
    ] {
        let bundle = host.bundle(name, &["env"], |config| config["process"]["env"] = given);
        assert_eq!(host.run(&["run", "--bundle", crate::text(&bundle), name]).ok().stdout, expected, "{name}");
    }
    for (name, given, said) in [("a", "NONE", "holds no '='"), ("b", "=x", "has no name")] {
        let ran = host.run_script(name, "true", |config| config["process"]["env"] = json!([given]));
        assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    }
    host.assert_clean();
}

#[test]
fn an_apparmor_profile_is_entered_or_refused() {
    let host = Host::new();
    let with = |name: &str, profile: &str| {
        host.run_script(name, "cat /proc/self/attr/current", |config| {
            config["process"]["apparmorProfile"] = profile.into()
        })
    };
    if corten_sys::apparmor::is_enabled() {
        assert_eq!(with("free", "unconfined").ok().out(), "unconfined");
        let missing = with("web", "corten-no-such-profile");
        assert!(missing.code == 1 && missing.stderr.contains("unable to apply apparmor profile"), "{missing:?}");
    } else {
        let ran = with("web", "docker-default");
        assert!(ran.code == 1 && ran.stderr.contains("process.apparmorProfile: apparmor is not enabled"), "{ran:?}");
    }
    host.assert_clean();
}

#[test]
fn capabilities_that_cannot_be_given_are_warned_about() {
    let host = Host::new();
    let ran = host.run_script("web", "grep CapAmb /proc/self/status", |config| {
        let sets = &mut config["process"]["capabilities"];
        sets["bounding"] = json!(["CAP_KILL", "CAP_NEWER_THAN_THIS", "NOT_ONE"]);
        sets["inheritable"] = json!(["CAP_KILL"]);
        sets["ambient"] = json!(["CAP_KILL", "CAP_CHOWN"]);
    });
    assert!(ran.code == 0 && ran.stdout.ends_with("0020\n"), "{ran:?}");
    for said in ["CAP_NEWER_THAN_THIS", "NOT_ONE", "can't raise ambient capability CAP_CHOWN: "] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_told_on_standard_error() {
    let host = Host::new();
    let bundle = host.bundle("web", &["/script"], |_| {});
    let script = bundle.join("rootfs/script");
    std::fs::write(&script, "#!/nobody/is/here\n").expect("the bundle is ours");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("the bundle is ours");
    let ran = host.run(&["run", "--bundle", crate::text(&bundle), "web"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (255, "exec /script: no such file or directory\n"));
    host.assert_clean();
}

#[test]
fn time_is_shared_as_the_process_says() {
    let host = Host::new();
    let script = "cut -d' ' -f18,19,41 /proc/self/stat; ionice -p $$; uname -m";
    let ran = host.run_script("web", script, |config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
        config["linux"]["personality"] = json!({"domain": "LINUX32"});
    });
    let out = ran.stdout.clone();
    assert!(out.contains(" 7 3\n"), "niceness and policy in {ran:?}");
    assert!(out.contains("best-effort: prio 6"), "{ran:?}");
    assert!(!out.contains("x86_64") || cfg!(not(target_arch = "x86_64")), "{ran:?}");
    for (key, value, said) in [
        ("scheduler", json!({"policy": "SCHED_ISO"}), "process.scheduler.policy"),
        ("ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 9}), "process.ioPriority.priority"),
        ("execCPUAffinity", json!({"initial": "x"}), "process.execCPUAffinity.initial"),
    ] {
        let ran = host.run_script(key, "true", |config| config["process"][key] = value);
        assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    }
    host.assert_clean();
}

#[test]
fn no_process_inherits_the_affinity_of_the_caller() {
    let host = Host::new();
    let own = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let own = own.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).expect("proc(5)");
    let first = own.split([',', '-']).next().expect("at least one").to_owned();
    let script = "grep Cpus_allowed_list /proc/self/status";
    let free = host.run_script("free", script, |_| {}).ok().stdout;
    let bound = |arguments: &[&str]| {
        let mut command = Command::new("taskset");
        command.args(["-c", &first]).arg(programs::path("corten-runtime")).arg("--root").arg(host.state());
        Ran::of(command.args(arguments)).ok().stdout
    };
    let bundle = host.bundle("web", &["sh", "-c", script], |_| {});
    assert_eq!(bound(&["run", "--bundle", text(&bundle), "web"]), free);
    let _ = host.sleeping("other", |_| {});
    assert_eq!(bound(&["exec", "other", "sh", "-c", script]), free);
    let _ = host.run(&["delete", "--force", "other"]).ok();
    host.assert_clean();
}

#[test]
fn a_deadline_on_some_cpus_only_is_refused_in_words() {
    let host = Host::new();
    let ran = host.run_script("web", "true", |config| {
        config["linux"]["resources"]["cpu"] = json!({"cpus": "0"});
        config["process"]["scheduler"] =
            json!({"policy": "SCHED_DEADLINE", "runtime": 42_000, "deadline": 1_000_000, "period": 1_000_000});
    });
    // On a machine with one CPU there is nothing to refuse.
    if !ran.stderr.is_empty() {
        assert!(ran.stderr.contains("process scheduler can't be used together with AllowedCPUs"), "{ran:?}");
    }
    host.assert_clean();
}

#[test]
fn an_exec_has_the_affinity_and_the_personality_of_the_configuration() {
    let host = Host::new();
    let _ = host.sleeping("web", |config| {
        config["process"]["execCPUAffinity"] = json!({"initial": "0-1", "final": "0"});
        config["linux"]["personality"] = json!({"domain": "LINUX32"});
    });
    let ran = host.run(&["exec", "web", "sh", "-c", "grep Cpus_allowed_list /proc/self/status; uname -m"]).ok();
    assert!(ran.stdout.starts_with("Cpus_allowed_list:\t0\n"), "{ran:?}");
    assert!(!ran.stdout.contains("x86_64") || cfg!(not(target_arch = "x86_64")), "{ran:?}");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}
