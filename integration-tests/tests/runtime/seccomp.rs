//! System call filters, seen from inside.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use corten_sys::{descriptors, scm};
use serde_json::{Value, json};

use crate::{Host, set, text};

fn profile(default: &str, syscalls: Value) -> Value {
    let architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
    json!({"defaultAction": default, "architectures": architectures, "syscalls": syscalls})
}

/// A profile under which `mkdir` meets `action`.
fn mkdir(action: &str, errno: Option<u32>) -> Value {
    let mut rule = json!({"names": ["mkdir", "mkdirat"], "action": action});
    if let Some(errno) = errno {
        rule["errnoRet"] = json!(errno);
    }
    profile("SCMP_ACT_ALLOW", json!([rule]))
}

/// With and without no_new_privs the filter comes at different moments.
fn both_ways(mut check: impl FnMut(bool)) {
    check(true);
    check(false);
}

#[test]
fn a_denied_call_fails_with_its_error_in_the_first_process_and_in_an_exec() {
    let host = Host::new();
    both_ways(|no_new_privileges| {
        let name = format!("web-{no_new_privileges}");
        host.sleeping(&name, |config| {
            config["linux"]["seccomp"] = mkdir("SCMP_ACT_ERRNO", Some(28));
            set(config, "/process/noNewPrivileges", json!(no_new_privileges));
            set(config, "/process/user", json!({"uid": 1000, "gid": 1000}));
        });
        let pid = host.state_of(&name)["pid"].as_i64().expect("a pid");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        assert!(status.contains("\nSeccomp:\t2\nSeccomp_filters:\t1\n"), "{status}");
        let script = "grep Seccomp /proc/self/status; mkdir /tmp/x";
        let ran = host.run(&["exec", &name, "sh", "-c", script]);
        assert_eq!(ran.stdout, "Seccomp:\t2\nSeccomp_filters:\t1\n");
        assert!(ran.stderr.contains("mkdir: can't create directory '/tmp/x': No space left on device"), "{ran:?}");
        let _ = host.run(&["delete", "--force", &name]).ok();
    });
    let ran = host.run_script("errno", "mkdir /tmp/x", |config| {
        config["linux"]["seccomp"] = mkdir("SCMP_ACT_ERRNO", None);
    });
    assert!(ran.stderr.contains("Operation not permitted"), "{ran:?}");
    host.assert_clean();
}

#[test]
fn a_fatal_call_ends_the_process_as_by_sigsys() {
    let host = Host::new();
    for action in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"] {
        let profile = mkdir(&format!("SCMP_ACT_{action}"), None);
        let bundle = host.bundle(action, &["mkdir", "/tmp/x"], |config| config["linux"]["seccomp"] = profile.clone());
        let ran = host.run(&["run", "--bundle", text(&bundle), action]);
        // Signal 31.
        assert_eq!(ran.code, 159, "{action}: {ran:?}");
    }
    host.assert_clean();
}

#[test]
fn a_program_lives_with_the_calls_it_is_allowed_and_is_denied_the_others() {
    let host = Host::new();
    // What is newer than getrandom fails with ENOSYS, as on the kernels that the C library can live with.
    let names = corten_seccomp::table::all().filter(|call| {
        call.number(corten_seccomp::Arch::X86_64).is_some_and(|number| number <= 318) && call.name() != "swapon"
    });
    let names: Vec<&str> = names.map(corten_seccomp::table::Call::name).collect();
    let rules = json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]);
    let script = "swapon /dev/null; grep Seccomp: /proc/self/status";
    let ran = host.run_script("web", script, |config| {
        config["linux"]["seccomp"] = profile("SCMP_ACT_ERRNO", rules.clone());
    });
    assert!(ran.stderr.contains("swapon: /dev/null: Operation not permitted"), "{ran:?}");
    assert_eq!(ran.out(), "Seccomp:\t2");
    host.assert_clean();
}

/// Accepts one runtime, waits for its container to ask, and goes away without an answer: the call fails with ENOSYS.
fn agent(socket: &PathBuf) -> JoinHandle<Value> {
    let listener = UnixListener::bind(socket).expect("the root is writable");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the runtime connects");
        let mut buffer = vec![0; 64 * 1024];
        let (length, fds) = scm::receive(&stream, &mut buffer).expect("a message");
        let asked: &OwnedFd = fds.first().expect("a descriptor");
        let [is_asked] = descriptors::wait_readable([asked.as_fd()], Some(60_000)).expect("it can be waited for");
        assert!(is_asked, "no call asked within a minute");
        serde_json::from_slice(&buffer[..length]).expect("the state is JSON")
    })
}

#[test]
fn a_call_that_asks_is_handed_to_the_agent() {
    let host = Host::new();
    both_ways(|no_new_privileges| {
        let name = format!("web-{no_new_privileges}");
        let socket = host.root.join(format!("agent-{no_new_privileges}"));
        let heard = agent(&socket);
        let mut profile = mkdir("SCMP_ACT_NOTIFY", None);
        profile["listenerPath"] = json!(text(&socket));
        profile["listenerMetadata"] = json!("who asks");
        let ran = host.run_script(&name, "mkdir /tmp/x; sleep 0", |config| {
            config["linux"]["seccomp"] = profile.clone();
            set(config, "/process/noNewPrivileges", json!(no_new_privileges));
            config["annotations"] = json!({"org.example": "yes"});
        });
        assert!(ran.stderr.contains("Function not implemented"), "{ran:?}");
        let state = heard.join().expect("the agent heard");
        assert_eq!(state["fds"], json!(["seccompFd"]));
        assert_eq!(state["metadata"], "who asks");
        assert_eq!((&state["state"]["status"], &state["state"]["id"]), (&json!("creating"), &json!(name)));
        assert_eq!(state["pid"], state["state"]["pid"]);
        assert_eq!(state["state"]["annotations"]["org.example"], "yes");
    });
    host.assert_clean();
}

#[test]
fn an_exec_has_a_listener_of_its_own() {
    let host = Host::new();
    let socket = host.root.join("agent");
    // Nothing asks in the first process, so that one agent hears of it and is still there.
    let listener = UnixListener::bind(&socket).expect("the root is writable");
    let first = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the runtime connects");
        let mut buffer = vec![0; 64 * 1024];
        scm::receive(&stream, &mut buffer).expect("a message")
    });
    let mut profile = mkdir("SCMP_ACT_NOTIFY", None);
    profile["listenerPath"] = json!(text(&socket));
    host.sleeping("web", |config| config["linux"]["seccomp"] = profile);
    let _kept = first.join().expect("the agent heard");
    std::fs::remove_file(&socket).expect("it was there");
    let heard = agent(&socket);
    let ran = host.run(&["exec", "web", "mkdir", "/tmp/x"]);
    assert!(ran.stderr.contains("Function not implemented"), "{ran:?}");
    let state = heard.join().expect("the agent heard");
    assert_eq!(state["state"]["status"], "running");
    assert_eq!(state["state"]["pid"], host.state_of("web")["pid"]);
    assert_ne!(state["pid"], state["state"]["pid"]);
    assert!(state.get("metadata").is_none(), "{state}");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn an_exec_is_under_the_filter_of_create_whatever_the_bundle_says_by_now() {
    let host = Host::new();
    let bundle = host.sleeping("web", |config| config["linux"]["seccomp"] = mkdir("SCMP_ACT_ERRNO", Some(28)));
    let file = bundle.join("config.json");
    let json = std::fs::read_to_string(&file).expect("the bundle's");
    let mut config: Value = serde_json::from_str(&json).expect("JSON");
    config["linux"]["seccomp"] = json!(null);
    std::fs::write(&file, config.to_string()).expect("the bundle is ours");
    // With a process of its own nothing of the bundle is read at all.
    let process = host.root.join("process.json");
    let own = json!({"args": ["mkdir", "/tmp/x"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}});
    std::fs::write(&process, own.to_string()).expect("the root is writable");
    for arguments in [&["exec", "web", "mkdir", "/tmp/x"][..], &["exec", "--process", text(&process), "web"]] {
        let ran = host.run(arguments);
        assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    }
    // Without the filter nobody enters.
    let file = host.state().join("web/state.json");
    let text = std::fs::read_to_string(&file).expect("the record is there");
    let mut record: Value = serde_json::from_str(&text).expect("JSON");
    record.as_object_mut().and_then(|record| record.remove("filter")).expect("it is kept there");
    std::fs::write(&file, record.to_string()).expect("the state is ours");
    let ran = host.run(&["exec", "web", "true"]);
    assert!(ran.code == 255 && ran.stderr.contains("filter.json"), "{ran:?}");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn an_errno_of_an_action_that_has_none_means_nothing() {
    let host = Host::new();
    let ran = host.run_script("web", "echo made", |config| {
        config["linux"]["seccomp"] = mkdir("SCMP_ACT_KILL_PROCESS", Some(1));
    });
    assert_eq!(ran.ok().out(), "made");
    host.assert_clean();
}

#[test]
fn a_hook_in_the_container_is_under_the_filter_and_the_signal_that_ends_it_is_named() {
    let host = Host::new();
    let ran = host.run_script("web", "true", |config| {
        config["linux"]["seccomp"] = mkdir("SCMP_ACT_KILL", None);
        config["hooks"]["startContainer"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", "mkdir /dev/shm/x"]}]);
    });
    let said = "error running startContainer hook #0: /bin/sh: signal: bad system call";
    assert!(ran.code == 1 && ran.stderr.contains(said), "{ran:?}");
    host.assert_clean();
}

#[test]
fn what_cannot_be_filtered_is_refused_by_name_and_leaves_nothing() {
    let host = Host::new();
    let with = |key: &str, value: Value| {
        let mut profile = profile("SCMP_ACT_ALLOW", json!([]));
        profile[key] = value;
        profile
    };
    let notify = |name: &str| json!([{"names": [name], "action": "SCMP_ACT_NOTIFY"}]);
    let unreachable = |syscalls: Value| {
        let mut profile = with("syscalls", syscalls);
        profile["listenerPath"] = json!("/nope/agent");
        profile
    };
    let cases = [
        (
            with("defaultAction", json!("SCMP_ACT_NOPE")),
            r#"linux.seccomp.defaultAction: \"SCMP_ACT_NOPE\" is no action"#,
        ),
        (with("defaultAction", json!("SCMP_ACT_NOTIFY")), "SCMP_ACT_NOTIFY cannot be used as default action"),
        (with("architectures", json!(["SCMP_ARCH_MIPS"])), r#"\"SCMP_ARCH_MIPS\" is not supported yet"#),
        (with("architectures", json!(["SCMP_ARCH_PDP11"])), r#"\"SCMP_ARCH_PDP11\" is no architecture"#),
        (with("flags", json!(["SECCOMP_FILTER_FLAG_NOPE"])), "seccomp flag SECCOMP_FILTER_FLAG_NOPE is not known"),
        (with("syscalls", notify("mkdir")), "linux.seccomp.listenerPath: seccomp listenerPath is not set"),
        (unreachable(notify("write")), "SCMP_ACT_NOTIFY cannot be used for the write syscall"),
        (unreachable(notify("mkdir")), "failed to connect with seccomp agent /nope/agent: no such file or directory"),
    ];
    for (at, (profile, said)) in cases.into_iter().enumerate() {
        let ran = host.run_script(&format!("web{at}"), "true", |config| config["linux"]["seccomp"] = profile);
        assert_eq!(ran.code, 1, "{said}");
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        host.assert_clean();
    }
}

#[test]
fn a_flag_reaches_the_kernel_and_a_profile_that_says_nothing_is_none() {
    let host = Host::new();
    let run = |name: &str, profile: Value| {
        let ran = host.run_script(name, "grep -E '^Seccomp:|Speculation_Store' /proc/self/status", |config| {
            config["linux"]["seccomp"] = profile;
        });
        ran.ok().stdout
    };
    assert!(run("none", json!({})).contains("Seccomp:\t0"));
    let all = json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]);
    for (name, flags) in [("default", json!(null)), ("empty", json!([])), ("all", all)] {
        let mut profile = profile("SCMP_ACT_ALLOW", json!([]));
        profile["flags"] = flags;
        assert!(run(name, profile).contains("Seccomp:\t2"));
    }
    host.assert_clean();
}

/// The numbers of the flags (include/uapi/linux/seccomp.h).
const FLAGS: [(&str, u32); 4] = [
    // One thread has nothing to synchronise: the flag is taken and nothing is done about it, as runc does.
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_LOG", 2),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 32),
];

#[test]
fn every_flag_reaches_the_kernel() {
    let host = Host::new();
    let features: Value = serde_json::from_str(&host.run(&["features"]).ok().stdout).expect("JSON");
    let mut known: Vec<&str> =
        features["linux"]["seccomp"]["knownFlags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    known.sort_unstable();
    let mut tested = FLAGS.map(|(flag, _)| flag);
    tested.sort_unstable();
    assert_eq!(known, tested);

    for (flag, bit) in FLAGS {
        let name = format!("web-{bit}");
        let asks = flag.ends_with("WAIT_KILLABLE_RECV");
        let socket = host.root.join("agent");
        let heard = asks.then(|| agent(&socket));
        let mut profile = mkdir(if asks { "SCMP_ACT_NOTIFY" } else { "SCMP_ACT_ERRNO" }, None);
        if asks {
            profile["listenerPath"] = json!(text(&socket));
        }
        profile["flags"] = json!([flag]);
        let bundle = host.bundle(&name, &["mkdir", "/tmp/x"], |config| config["linux"]["seccomp"] = profile);
        let mut command = std::process::Command::new(integration_tests::programs::original("strace"));
        let trace = host.root.join(&name);
        command.args(["-f", "-X", "raw", "-e", "trace=seccomp", "-o", text(&trace), "--"]);
        command.arg(integration_tests::programs::path("corten-runtime")).arg("--root").arg(host.state());
        let ran = integration_tests::Ran::of(command.args(["run", "--bundle", text(&bundle), &name]));
        assert_ne!(ran.code, 0, "{flag}: the call is not allowed: {ran:?}");
        if let Some(heard) = heard {
            let _state = heard.join().expect("the agent heard");
        }
        let trace = std::fs::read_to_string(trace).expect("strace wrote it");
        // seccomp(SECCOMP_SET_MODE_FILTER, flags, …)
        let set = trace.lines().find_map(|line| line.split_once("seccomp(0x1, ")).map(|(_, rest)| rest.to_owned());
        let set = set.unwrap_or_else(|| panic!("{flag}: no filter was set: {trace}"));
        let flags = set.split(',').next().and_then(|flags| flags.strip_prefix("0x")).unwrap_or("0");
        let flags = u32::from_str_radix(flags, 16).expect("a number");
        assert_eq!(flags & bit, bit, "{flag}: {set}");
    }
    host.assert_clean();
}
