//! Command lines, variables and descriptors as podman's conmon and containerd's shim were seen to give them, replayed.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Stdio},
};

use integration_tests::{DEADLINE, Ran, wait_for};
use serde_json::{Value, json};

use crate::{Host, text};

/// What a caller adds to every command line, and to its surroundings.
struct Caller {
    /// Before the verb of create and exec; `{log}` and `{root}` are filled in.
    global: &'static [&'static str],
    /// Before the other verbs.
    other: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
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
};

/// The shim of containerd 1.6, and so dockerd: the log is the bundle's.
const SHIM: Caller = Caller {
    global: &["--root", "{root}", "--log", "{log}", "--log-format", "json"],
    other: &["--root", "{root}", "--log", "{log}", "--log-format", "json"],
    variables: &[("TTRPC_ADDRESS", "/nowhere/c.sock.ttrpc"), ("GOMAXPROCS", "2"), ("SHLVL", "1")],
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
    let _ = session.other(&["kill", "web", "9"]).ok();
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
