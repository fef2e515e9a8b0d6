//! Command lines, variables and descriptors as podman's conmon, containerd's shim and buildah were seen to give them,
//! replayed; and what such callers do beside a container: they end, and they watch its memory.

use std::{
    fs,
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{fs::PermissionsExt, net::UnixListener, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use corten_sys::{descriptors::wait_readable, eventfd::EventFd, wait::as_helper};
use integration_tests::{DEADLINE, Ran, programs, wait_for};
use serde_json::{Value, json};

use crate::{Host, text};

/// What a caller adds to every command line, and to its surroundings.
struct Caller {
    /// Before the verb of create and exec; `{log}` and `{root}` are filled in.
    global: &'static [&'static str],
    /// Before the other verbs.
    other: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    /// How it ends every process; the id follows.
    kill: &'static [&'static str],
}

/// podman 4.3 with conmon 2.1: the log is of one call, and read as one JSON object.
const CONMON: Caller = Caller {
    global: &["--log-format=json", "--log", "{log}"],
    other: &[],
    variables: &[
        ("_CONTAINERS_ROOTLESS_UID", ""),
        ("_CONTAINERS_USERNS_CONFIGURED", ""),
        ("_OCI_STARTPIPE", "4"),
        ("_OCI_SYNCPIPE", "3"),
        ("XDG_RUNTIME_DIR", ""),
        ("HOME", "/root"),
    ],
    kill: &["kill"],
};

/// The shim of containerd 1.6, and so dockerd: the log is the bundle's.
const SHIM: Caller = Caller {
    global: &["--root", "{root}", "--log", "{log}", "--log-format", "json"],
    other: &["--root", "{root}", "--log", "{log}", "--log-format", "json"],
    variables: &[("TTRPC_ADDRESS", "/nowhere/c.sock.ttrpc"), ("GOMAXPROCS", "2"), ("SHLVL", "1")],
    kill: &["kill"],
};

/// The shim of containerd 2.1, and so dockerd 28.
const SHIM_2: Caller = Caller {
    global: SHIM.global,
    other: SHIM.other,
    variables: &[
        ("TTRPC_ADDRESS", "/nowhere/c.sock.ttrpc"),
        ("GRPC_ADDRESS", "/nowhere/c.sock"),
        ("GOMAXPROCS", "4"),
        ("MAX_SHIM_VERSION", "2"),
        ("NAMESPACE", "moby"),
        ("OTEL_SERVICE_NAME", "containerd-shim-web"),
        ("LD_LIBRARY_PATH", "/opt/containerd/lib:"),
    ],
    kill: &["kill", "--all"],
};

struct Session<'h> {
    host: &'h Host,
    caller: &'static Caller,
    log: PathBuf,
    bundle: PathBuf,
}

impl Session<'_> {
    /// Calls as the caller does: in the bundle, with its variables, with pipes of its own open as 3 and 4.
    fn call(&self, global: &[&str], words: &[&str]) -> Ran {
        let mut line = vec![text(&integration_tests::programs::path("corten-runtime")).to_owned()];
        let fill = |word: &str| word.replace("{log}", text(&self.log)).replace("{root}", text(&self.host.state()));
        line.extend(global.iter().map(|word| fill(word)));
        line.extend(words.iter().map(|word| (*word).to_owned()));
        let mut shell = Command::new("bash");
        // A file and no pipe for what the process says: it stays open with the container.
        let out = self.host.root.join("said");
        shell.args(["-c", "out=$1; shift; exec \"$@\" > \"$out\" 2>&1 3</dev/zero 4>/dev/full", "bash", text(&out)]);
        shell.args(&line).current_dir(&self.bundle).stdin(Stdio::null()).env_clear();
        shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(self.caller.variables.iter().copied());
        let mut ran = Ran::of(&mut shell);
        ran.stdout = fs::read_to_string(&out).unwrap_or_default();
        ran
    }

    fn main(&self, words: &[&str]) -> Ran {
        self.call(&with_root(self.caller.global), words)
    }

    fn other(&self, words: &[&str]) -> Ran {
        self.call(&with_root(self.caller.other), words)
    }

    /// Every line of the log as JSON.
    fn logged(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// A root of the test's own where the caller relies on the default.
fn with_root(global: &'static [&'static str]) -> Vec<&'static str> {
    let own: &[&str] = if global.contains(&"--root") { &[] } else { &["--root", "{root}"] };
    own.iter().chain(global).copied().collect()
}

fn session<'h>(host: &'h Host, caller: &'static Caller, arguments: &[&str]) -> Session<'h> {
    let bundle = host.bundle("web", arguments, |_| {});
    Session { host, caller, log: bundle.join("log.json"), bundle }
}

fn goes_through_its_life(caller: &'static Caller) {
    let host = Host::new();
    let session = session(&host, caller, &["sleep", "1000"]);
    let file = |name: &str| host.root.join(name);
    let (pid_file, exec_pid, process) = (file("init.pid"), file("exec.pid"), file("process.json"));
    let create = ["create", "--bundle", text(&session.bundle), "--pid-file", text(&pid_file), "web"];
    let ran = session.main(&create).ok();
    assert_eq!(ran.stdout, "", "nothing is said when all is well");
    assert!(session.logged().is_empty(), "{:?}", session.logged());
    let pid = fs::read_to_string(&pid_file).expect("a pid file");
    assert_eq!(pid, host.state_of("web")["pid"].to_string());
    let _ = session.other(&["start", "web"]).ok();
    assert_eq!(host.status("web"), "running");
    // What the caller has open is not the container's.
    wait_for("three open descriptors", DEADLINE, || {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|open| open.count() == 3)
    });

    let socket = file("pty.sock");
    let listener = UnixListener::bind(&socket).expect("the root is writable");
    let wanted = json!({"terminal": true, "args": ["sleep", "1000"], "cwd": "/", "env": ["PATH=/bin", "TERM=xterm"]});
    fs::write(&process, wanted.to_string()).expect("the root is writable");
    let exec = ["exec", "--pid-file", text(&exec_pid), "--process", text(&process), "--detach"];
    let tty: &[&str] = if caller.other.is_empty() { &["--tty"] } else { &[] };
    let last = ["--console-socket", text(&socket), "web"];
    let _ = session.main(&[exec.as_slice(), tty, last.as_slice()].concat()).ok();
    let (stream, _) = listener.accept().expect("it connected");
    let (_, received) = corten_sys::scm::receive(&stream, &mut [0; 64]).expect("a message");
    assert_eq!(received.len(), 1, "the terminal");
    assert!(fs::read_to_string(&exec_pid).is_ok_and(|pid| pid.parse::<u32>().is_ok()));

    let _ = session.other(&["pause", "web"]).ok();
    assert_eq!(host.status("web"), "paused");
    let _ = session.other(&["resume", "web"]).ok();
    let listed: Vec<u32> =
        serde_json::from_str(&session.other(&["ps", "--format", "json", "web"]).ok().stdout).expect("an array");
    assert!(listed.len() == 2 && listed.iter().any(|one| one.to_string() == pid), "{listed:?}");
    fs::write(file("limits"), r#"{"pids":{"limit":77}}"#).expect("the root is writable");
    let resources = format!("--resources={}", file("limits").display());
    let _ = session.other(&["update", &resources, "web"]).ok();
    let _ = session.other(&[caller.kill, &["web", "9"]].concat()).ok();
    host.wait_for_status("web", "stopped");
    let _ = session.other(&["delete", "web"]).ok();
    // Both clean up once more, whatever has been done.
    let _ = session.other(&["delete", "--force", "web"]).ok();
    assert!(session.logged().is_empty(), "{:?}", session.logged());
    host.assert_clean();
}

#[test]
fn conmon_leads_a_container_through_its_life() {
    goes_through_its_life(&CONMON);
}

#[test]
fn containerds_shim_leads_a_container_through_its_life() {
    goes_through_its_life(&SHIM);
}

#[test]
fn the_shim_of_docker_28_leads_a_container_through_its_life() {
    goes_through_its_life(&SHIM_2);
    // dockerd itself asks two questions when it starts, from the root directory.
    let host = Host::new();
    for question in ["--version", "features"] {
        let ran = Ran::of(host.command(&[question]).current_dir("/")).ok();
        assert!(ran.stdout.contains(" version ") || ran.stdout.contains("ociVersionMax"), "{ran:?}");
    }
}

#[test]
fn a_failed_create_is_one_object_in_the_log() {
    for caller in [&CONMON, &SHIM] {
        for (program, said) in [
            ("nope", r#"exec: "nope": executable file not found in $PATH"#),
            ("/nope", r#"exec: "/nope": stat /nope: no such file or directory"#),
            ("/etc", r#"exec: "/etc": is a directory"#),
            ("/etc/passwd", r#"exec: "/etc/passwd": permission denied"#),
        ] {
            let host = Host::new();
            let session = session(&host, caller, &[program]);
            let pid_file = host.root.join("init.pid");
            let create = ["create", "--bundle", text(&session.bundle), "--pid-file", text(&pid_file), "web"];
            assert_eq!(session.main(&create).code, 1);
            let logged = session.logged();
            assert_eq!(logged.len(), 1, "{logged:?}");
            let message = logged[0]["msg"].as_str().unwrap_or_default();
            assert!(logged[0]["level"] == "error" && message.ends_with(said), "{message}");
            assert!(logged[0]["time"].is_string());
            let _ = session.other(&["delete", "--force", "web"]).ok();
            host.assert_clean();
        }
    }
}

/// buildah 1.28: the container's streams are pipes of its own, and it asks for the state until the step has ended, then
/// deletes without force. It may have been started with signals blocked and ignored, as by a shell in the background.
#[test]
fn buildah_runs_a_step_of_a_build() {
    let host = Host::new();
    let script = "read line; echo got $line; echo warned >&2; ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status; exit 7";
    let bundle = host.bundle("web", &["sh", "-c", script], |_| {});
    let pid_file = bundle.join("pid");
    let call = |words: &[&str]| {
        let mut shell = Command::new("bash");
        let line =
            "exec env --block-signal=CHLD --ignore-signal=QUIT \"$@\" 3</dev/zero 4</dev/zero 5</dev/zero 8>/dev/full";
        shell.args(["-c", line, "bash"]).arg(programs::path("corten-runtime")).arg("--root").arg(host.state());
        shell.args(words).current_dir(&bundle).env("CONTAINER_NAME", "solar-barrel").env("TMPDIR", "/var/tmp");
        shell
    };
    let mut create = call(&["create", "--bundle", text(&bundle), "--pid-file", text(&pid_file), "buildah-buildah355"]);
    let create = create.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut create = create.expect("it starts");
    let mut stdin = create.stdin.take().expect("piped");
    assert!(create.wait().expect("the child is ours").success());
    assert!(fs::read_to_string(&pid_file).is_ok_and(|pid| pid.parse::<u32>().is_ok()));
    let _ = Ran::of(call(&["start", "buildah-buildah355"]).stdin(Stdio::null())).ok();
    stdin.write_all(b"this\n").expect("the container reads");
    let (mut said, mut warned) = (String::new(), String::new());
    create.stdout.take().expect("piped").read_to_string(&mut said).expect("until it ends");
    create.stderr.take().expect("piped").read_to_string(&mut warned).expect("until it ends");
    // The container's signals are its own. (runc hands on what is blocked.)
    let clean = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    assert_eq!((said.as_str(), warned.as_str()), (format!("got this\n0\n1\n2\n3\n{clean}").as_str(), "warned\n"));
    wait_for("the step to have ended", DEADLINE, || {
        let state = Ran::of(call(&["state", "buildah-buildah355"]).stdin(Stdio::null())).ok().stdout;
        serde_json::from_str::<Value>(&state).is_ok_and(|state| state["status"] == "stopped")
    });
    let _ = Ran::of(call(&["delete", "buildah-buildah355"]).stdin(Stdio::null())).ok();
    host.assert_clean();
}

/// Who makes a container adopts its process and ends: a conmon that is killed, a shim's thread. The process was told to
/// end with its creator as long as nobody knew of it, and no longer.
#[test]
fn a_container_outlives_who_made_it() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    let adopting = |words: &[&str]| {
        let mut caller = Command::new(programs::original("tini"));
        caller.args(["-s", "--"]).arg(programs::path("corten-runtime")).arg("--root").arg(host.state()).args(words);
        let status = caller.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("it starts").success(), "{words:?}");
    };
    adopting(&["create", "--bundle", text(&bundle), "web"]);
    assert_eq!(host.status("web"), "created");
    adopting(&["start", "web"]);
    assert_eq!(host.status("web"), "running");
    adopting(&["exec", "--detach", "web", "sleep", "1000"]);
    let both = host.run(&["ps", "--format", "json", "web"]).ok().stdout;
    assert_eq!(serde_json::from_str::<Vec<u32>>(&both).expect("an array").len(), 2, "{both}");
    let other = host.bundle("other", &["sleep", "1000"], |_| {});
    adopting(&["run", "--detach", "--bundle", text(&other), "other"]);
    assert_eq!(host.status("other"), "running");
    for name in ["web", "other"] {
        let _ = host.run(&["delete", "--force", name]).ok();
    }
    host.assert_clean();
}

/// A caller that starts the runtime to be killed with its thread, as go-runc does (PR_SET_PDEATHSIG): as long as the
/// container is not created its process ends with the runtime, and from then on it stays.
#[test]
fn the_end_of_the_callers_thread_ends_a_container_that_is_not_created() {
    let host = Host::new();
    let begun = host.root.join("begun");
    let hook = format!("#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}; exec sleep 1000\n", text(&begun));
    let script = host.root.join("hook");
    fs::write(&script, hook)
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .expect("writes");
    let bundle = host.bundle("web", &["sleep", "1000"], |config| {
        config["hooks"] = json!({"createRuntime": [{"path": script}]});
    });
    let create = |name: &str, bundle: &Path| {
        let mut command = host.command(&["create", "--bundle", text(bundle), name]);
        as_helper(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        command.spawn().expect("it starts")
    };

    let thread = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = create("web", &bundle);
            wait_for("the hook to begin", DEADLINE, || begun.exists());
            runtime
        });
        thread.join()
    });
    let mut runtime = thread.expect("the thread ended by itself");
    assert_eq!(runtime.wait().expect("it was started here").signal(), Some(9));
    let hook = fs::read_to_string(&begun).expect("the hook wrote it");
    let hook = Path::new("/proc").join(hook.trim());
    wait_for("the hook to end with the runtime", DEADLINE, || !hook.exists());
    // Nothing but its record and its cgroups is left.
    assert_eq!(host.state_of("web")["status"], "stopped");
    let _ = host.run(&["delete", "--force", "web"]).ok();

    let other = host.bundle("other", &["sleep", "1000"], |_| {});
    let created = thread::scope(|scope| scope.spawn(|| create("other", &other).wait()).join());
    assert!(created.expect("the thread ended by itself").expect("it was started here").success());
    assert_eq!(host.status("other"), "created");
    let _ = host.run(&["start", "other"]).ok();
    assert_eq!(host.status("other"), "running");
    let _ = host.run(&["delete", "--force", "other"]).ok();
    host.assert_clean();
}

/// conmon and containerd's shim find the cgroup by the process and ask the kernel themselves (cgroup-v1/memory.rst, "OOM
/// Control").
#[test]
fn a_caller_is_told_by_the_kernel_that_memory_ran_out() {
    let host = Host::new();
    let script = "read line; dd if=/dev/zero of=/dev/null bs=64M count=1";
    let bundle = host.bundle("web", &["sh", "-c", script], |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 16_777_216, "swap": 16_777_216});
    });
    let mut create = host.command(&["create", "--bundle", text(&bundle), "web"]);
    let mut create =
        create.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut stdin = create.stdin.take().expect("piped");
    assert!(create.wait().expect("the child is ours").success());
    let pid = host.state_of("web")["pid"].to_string();
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it waits");
    let of_memory = groups.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
    let (directory, events) = match of_memory {
        Some(path) => (format!("/sys/fs/cgroup/memory{path}"), "memory.oom_control"),
        None => {
            let path = groups.lines().find_map(|line| line.strip_prefix("0::")).expect("cgroup v2");
            (format!("/sys/fs/cgroup{path}"), "memory.events")
        }
    };
    let kills = || {
        let text = fs::read_to_string(format!("{directory}/{events}")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.parse::<u32>().ok())
    };
    assert_eq!(kills(), Some(0));
    let counter = EventFd::new().expect("an eventfd");
    let control = fs::File::open(format!("{directory}/{events}")).expect("it is there");
    if of_memory.is_some() {
        let line = format!("{} {}", counter.as_fd().as_raw_fd(), control.as_raw_fd());
        fs::write(format!("{directory}/cgroup.event_control"), line).expect("the kernel takes it");
    }
    let _ = host.run(&["start", "web"]).ok();
    stdin.write_all(b"go\n").expect("the container reads");
    wait_for("the kernel to end a process for its memory", DEADLINE, || kills().is_none_or(|kills| kills > 0));
    if of_memory.is_some() {
        let told = wait_readable([counter.as_fd()], Some(20_000)).expect("poll");
        assert!(told == [true] && counter.take().expect("a count") > 0, "the counter was raised");
    }
    host.wait_for_status("web", "stopped");
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}
