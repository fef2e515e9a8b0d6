//! Processes that enter a container, and what they bring: no descriptor, no directory, no program of the host.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use integration_tests::{DEADLINE, Ran, programs, wait_for};
use serde_json::json;

use super::proven;
use crate::{Host, push, text, user::User};

/// Lists the descriptors of the shell: by another process, which has its own.
const OPEN: &str = "ls -l /proc/$$/fd; echo end";

/// A descriptor that is open in the payload beside its standard streams.
fn open_in(ran: &Ran) -> Option<String> {
    let mut lines = ran.stdout.lines().filter_map(|line| line.split_once(" -> ").map(|(entry, _)| entry));
    let is_more = |entry: &str| !["0", "1", "2"].contains(&entry.rsplit(' ').next().unwrap_or_default());
    let is_whole = ran.stdout.contains(" -> ") && ran.stdout.ends_with("end\n");
    (lines.any(is_more) || !is_whole).then(|| format!("{ran:?}"))
}

/// `run` with descriptor 3 open on a directory of the host, which the payload inherits.
fn with_a_descriptor_of_the_host(host: &Host, bundle: &Path) -> Ran {
    let line = "exec \"$0\" --root \"$1\" run --preserve-fds 1 --bundle \"$2\" spoiled 3< /";
    let mut command = Command::new("sh");
    command.args(["-c", line]).arg(programs::path("corten-runtime")).arg(host.state()).arg(bundle);
    Ran::of(&mut command)
}

#[test]
fn a_payload_has_no_descriptor_of_the_runtime() {
    // CVE-2024-21626, CVE-2016-9962.
    let user = User::new();
    let host = &user.host;
    let spoiled = with_a_descriptor_of_the_host(host, &host.bundle("spoiled", &["sh", "-c", OPEN], |_| {}));
    proven(open_in, &spoiled, &host.run_script("ours", OPEN, |_| {}));
    let _ = host.sleeping("web", |_| {});
    proven(open_in, &spoiled, &host.run(&["exec", "web", "sh", "-c", OPEN]));
    let _ = host.run(&["delete", "--force", "web"]).ok();
    // The same for a user without privilege, whose exec takes another way.
    proven(open_in, &spoiled, &user.run_script("users", OPEN, |_| {}));
    user.sleeping("mine", |_| {});
    proven(open_in, &spoiled, &user.run(&["exec", "mine", "sh", "-c", OPEN]));
    let _ = user.run(&["delete", "--force", "mine"]).ok();
    host.assert_clean();
}

#[test]
fn a_first_process_that_waits_has_no_descriptor_of_the_host_for_a_user_either() {
    let user = User::new();
    let bundle = user.bundle("web", "true", |_| {});
    user.detached(&["create", "--bundle", text(&bundle), "web"]);
    let pid = user.state_of("web")["pid"].to_string();
    // Of a directory or file of the host; the fifo and the socket are how it is told to go on.
    let of_host = |pid: &str| {
        let links = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").flatten();
        let links = links.filter(|entry| !["0", "1", "2"].contains(&entry.file_name().to_str().unwrap_or_default()));
        let mut links = links.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()));
        links.find(|link| !link.ends_with("/exec.fifo") && !link.starts_with("socket:"))
    };
    let mut holding = Command::new("sh");
    holding.args(["-c", "exec 3< /; exec sleep 1000"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut holding = holding.spawn().expect("it starts");
    let id = holding.id().to_string();
    wait_for("a directory to be open", DEADLINE, || of_host(&id).is_some());
    proven(of_host, id.as_str(), pid.as_str());
    let _ = holding.kill();
    let _ = holding.wait();
    let _ = user.run(&["delete", "--force", "web"]).ok();
    user.host.assert_clean();
}

#[test]
fn a_working_directory_leads_nowhere_outside() {
    // CVE-2024-21626: a directory of the host, reached through a descriptor of the runtime.
    let host = Host::new();
    let look = "pwd; ls ../../../../../..";
    let outside = |ran: &Ran| (ran.code != 1 || !ran.stdout.is_empty()).then(|| format!("{ran:?}"));
    let spoiled = host.run_script("spoiled", look, |config| config["process"]["cwd"] = json!("/"));
    // Also what a mask or a read-only bind covers is open for a moment while it is covered.
    for number in 3..32 {
        let ran = host.run_script(&format!("web{number}"), look, |config| {
            config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        });
        proven(outside, &spoiled, &ran);
    }
    let outside = |ran: &Ran| (ran.code != 255 || !ran.stdout.is_empty()).then(|| format!("{ran:?}"));
    let _ = host.sleeping("web", |_| {});
    for number in 3..16 {
        let cwd = format!("/proc/self/fd/{number}");
        proven(outside, &spoiled, &host.run(&["exec", "--cwd", &cwd, "web", "sh", "-c", look]));
    }
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

/// In a container: tries to look into every process that enters, and says what it could read. Such a process is called
/// after the runtime until it has become its program, and counts as looked into only if it still is afterwards.
const WATCH: &str = "echo ready; is() { read c < $p/comm && case $c in corten*) ;; *) false;; esac; }; \
    while ! [ -e /stop ]; do for p in /proc/[0-9]*; do is || continue; \
    for f in $p/fd/*; do readlink $f > /dev/null && is && echo \"descriptor of $c\"; done; \
    cat $p/environ > /dev/null && is && echo \"environment of $c\"; \
    ls $p/root/ > /dev/null && is && echo \"root of $c\"; done 2> /dev/null; done; echo end";

/// What a watching container said it could read.
fn reached(out: &Path) -> Option<String> {
    let said = fs::read_to_string(out).unwrap_or_default();
    let said: Vec<&str> = said.lines().filter(|line| line.contains(" of ")).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// A copy of a program of the host, which may be harmed.
fn copy(host: &Host, original: &str, name: &str) -> PathBuf {
    let path = host.root.join(name);
    if !path.exists() {
        fs::copy(programs::original(original), &path).expect("the root is writable");
    }
    path
}

/// Starts a program of the host in the pid namespace of `pid`, as a runtime would that protects nothing and has given
/// up its capabilities already: who has them all needs no protection from those who have not. Whatever runs there is a
/// copy.
fn enter(host: &Host, pid: &str, program: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(copy(host, "nsenter", "nsenter"));
    command.args(["--pid", "--target", pid]).arg(copy(host, "setpriv", "setpriv")).args(["--bounding-set", "-all"]);
    command.arg(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}

#[test]
fn a_process_that_enters_cannot_be_looked_into() {
    // CVE-2016-9962: its descriptors and memory could be reached between its entering and its execve.
    let host = Host::new();
    let run = |name: &str| {
        let bundle = host.bundle(name, &["sh", "-c", WATCH], |_| {});
        let out = host.root.join(format!("{name}.out"));
        host.create(name, &bundle);
        let _ = host.run(&["start", name]).ok();
        wait_for(&format!("{name} to watch"), DEADLINE, || {
            fs::read_to_string(&out).is_ok_and(|text| text.contains("ready"))
        });
        (bundle, out)
    };
    let (_, spoiled) = run("spoiled");
    let pid = host.state_of("spoiled")["pid"].to_string();
    let mut entered = enter(&host, &pid, &copy(&host, "sleep", "corten-spoiled"), &["1000"]);
    wait_for("the unprotected process to be looked into", DEADLINE, || reached(&spoiled).is_some());
    let _ = entered.kill();
    let _ = entered.wait();
    let _ = host.run(&["delete", "--force", "spoiled"]).ok();

    let (bundle, out) = run("web");
    for _ in 0..25 {
        let _ = host.run(&["exec", "web", "true"]).ok();
    }
    fs::write(bundle.join("rootfs/stop"), "").expect("the bundle is ours");
    wait_for("the watch to end", DEADLINE, || fs::read_to_string(&out).is_ok_and(|text| text.contains("end")));
    proven(reached, spoiled.as_path(), &out);
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

/// In a container: opens the program of every process that enters, and writes to it once that has ended. Only programs
/// of the test (in `ROOT`), whatever enters: `/` is a file that is a mount of its own, as the runtime's is.
const OVERWRITE: &str = "echo ready; while ! [ -e /stop ]; do for p in /proc/[0-9]*; do \
    case $(readlink $p/exe) in ROOT/*|/|/memfd:*) ;; *) continue;; esac; \
    (exec 5< $p/exe && echo tried && i=0 && while [ -e $p ] && [ $i -lt 1000 ]; do i=$((i+1)); done; \
     i=0; while [ $i -lt 200 ]; do i=$((i+1)); (echo overwritten > /proc/self/fd/5) 2>/dev/null && break; done) 2>/dev/null & \
    done; wait; done; echo end";

#[test]
fn the_runtimes_executable_cannot_be_written_from_inside() {
    // CVE-2019-5736: what /proc/PID/exe of an entering process leads to is no writable file.
    let host = Host::new();
    let runtime = host.root.join("runtime");
    fs::copy(programs::path("corten-runtime"), &runtime).expect("the root is writable");
    let original = fs::read(&runtime).expect("it is there");
    let script = OVERWRITE.replace("ROOT", text(host.root.path()));
    let bundle = host.bundle("web", &["sh", "-c", &script], |config| {
        // It may look into everybody, so that what is opened is all that protects.
        for set in ["bounding", "effective", "permitted"] {
            push(config, &format!("/process/capabilities/{set}"), json!("CAP_SYS_PTRACE"));
        }
    });
    let out = host.root.join("web.out");
    host.create("web", &bundle);
    let _ = host.run(&["start", "web"]).ok();
    let said = |word: &str| fs::read_to_string(&out).is_ok_and(|text| text.contains(word));
    wait_for("web to run", DEADLINE, || said("ready"));
    for _ in 0..60 {
        let mut exec = Command::new(&runtime);
        let _ = Ran::of(exec.arg("--root").arg(host.state()).args(["exec", "web", "sleep", "0.05"])).ok();
        if said("tried") {
            break;
        }
    }
    // And a program that enters without protection, until it is overwritten.
    let pid = host.state_of("web")["pid"].to_string();
    let spoiled = copy(&host, "sleep", "spoiled");
    let untouched = fs::read(&spoiled).expect("it is there");
    wait_for("the unprotected program to be overwritten", DEADLINE, || {
        // The others on the way may have been overwritten before.
        for name in ["nsenter", "setpriv"] {
            let _ = fs::remove_file(host.root.join(name));
        }
        let _ = enter(&host, &pid, &spoiled, &["0.1"]).wait();
        fs::read(&spoiled).is_ok_and(|now| now != untouched)
    });
    fs::write(bundle.join("rootfs/stop"), "").expect("the bundle is ours");
    let overwritten = |path: &Path| {
        let now = fs::read(path).expect("it is there");
        (now != original && now != untouched).then(|| format!("{} bytes", now.len()))
    };
    proven(overwritten, spoiled.as_path(), &runtime);
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}
