//! exec: another process in a running container.

use std::fs;

use serde_json::json;

use crate::{Host, text};

#[test]
fn a_process_runs_inside_with_its_own_status() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let ran = host.run(&["exec", "web", "sh", "-c", "hostname; cat /proc/1/cmdline; cat; exit 7"]);
    assert_eq!((ran.code, ran.out()), (7, "bundle\nsleep\u{0}1000\u{0}"), "{ran:?}");
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn it_is_in_every_cgroup_and_namespace_of_the_container() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let script = "cat /proc/1/cgroup > /tmp/a; cat /proc/self/cgroup > /tmp/b; cmp /tmp/a /tmp/b && echo same; \
                  for n in mnt pid net ipc uts; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n differs; done";
    assert_eq!(host.run(&["exec", "web", "sh", "-c", script]).ok().out(), "same");
    let _ = host.run(&["delete", "-f", "web"]).ok();
}

#[test]
fn failures_before_the_process_runs_are_255() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    for (arguments, said) in [
        (&["exec", "web", "nope"][..], "executable file not found in $PATH"),
        (&["exec", "web", "/nope"], "stat /nope: no such file or directory"),
        (&["exec", "web"], "process args cannot be empty"),
        (&["exec", "nobody", "true"], "container does not exist"),
        (&["exec", "--user", "root", "web", "true"], "parsing root as uid[:gid] failed"),
        (&["exec", "-t", "-d", "web", "true"], "cannot allocate tty if runc will detach"),
        (&["exec", "--frob", "web", "true"], "flag provided but not defined: -frob"),
    ] {
        let ran = host.run(arguments);
        assert_eq!(ran.code, 255, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {ran:?}");
    }
    let _ = host.run(&["pause", "web"]).ok();
    let paused = host.run(&["exec", "web", "true"]);
    assert!(
        paused.stderr.contains("cannot exec in a paused container (use --ignore-paused to override)"),
        "{paused:?}"
    );
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn flags_change_the_containers_own_process() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let script = "id -u; id -g; id -G; pwd; echo $A; grep CapBnd /proc/self/status";
    let flags = ["exec", "--user", "7:8", "-g", "9", "--cwd", "/tmp", "--env", "A=b,c", "--cap", "CAP_SYS_ADMIN"];
    let ran = host.run(&[&flags[..], &["web", "sh", "-c", script]].concat()).ok();
    assert!(ran.stdout.starts_with("7\n8\n8 9\n/tmp\nb,c\nCapBnd:\t00000000a82425fb"), "{ran:?}");
    let _ = host.run(&["delete", "-f", "web"]).ok();
}

#[test]
fn a_process_file_is_taken_whole() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let file = host.root.join("process.json");
    let process = json!({"args": ["sh", "-c", "id -u; grep CapEff /proc/self/status"], "cwd": "/", "user": {"uid": 5, "gid": 5},
        "env": ["PATH=/bin"]});
    fs::write(&file, process.to_string()).expect("the root is writable");
    let ran = host.run(&["exec", "--process", text(&file), "web"]).ok();
    assert_eq!(ran.stdout, "5\nCapEff:\t0000000000000000\n");
    let _ = host.run(&["delete", "-f", "web"]).ok();
}

#[test]
fn a_detached_process_goes_on_and_its_pid_is_written() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let file = host.root.join("pid");
    let mut command = host.command(&["exec", "--detach", "--pid-file", text(&file), "web", "sleep", "500"]);
    let status = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status();
    assert!(status.expect("it starts").success());
    let pid = fs::read_to_string(&file).expect("written").parse().expect("digits");
    assert_eq!(integration_tests::process(pid).expect("it runs").arguments, ["sleep", "500"]);
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}

#[test]
fn a_process_can_be_given_through_a_pipe() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let file = host.root.join("process.json");
    std::fs::write(&file, r#"{"args":["echo","from a pipe"],"cwd":"/","env":["PATH=/bin"]}"#).expect("it is writable");
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", r#"exec "$0" --root "$1" exec --process <(cat "$2") web"#]);
    shell.arg(integration_tests::programs::path("corten-runtime")).arg(host.state()).arg(&file);
    let output = shell.output().expect("bash starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from a pipe\n", "{output:?}");
    let _ = host.run(&["delete", "-f", "web"]).ok();
    host.assert_clean();
}
