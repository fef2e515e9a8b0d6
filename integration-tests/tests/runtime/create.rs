//! create, start, state, kill, delete, list, ps, pause, resume: a container's life.

use std::fs;

use integration_tests::Leaks;
use serde_json::json;

use crate::{Host, text};

#[test]
fn a_container_goes_through_its_life() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    host.create("web", &bundle);
    assert_eq!(host.status("web"), "created");
    let _ = host.run(&["start", "web"]).ok();
    assert_eq!(host.status("web"), "running");
    let _ = host.run(&["pause", "web"]).ok();
    assert_eq!(host.status("web"), "paused");
    let _ = host.run(&["resume", "web"]).ok();
    let _ = host.run(&["kill", "web", "KILL"]).ok();
    host.wait_for_status("web", "stopped");
    assert_eq!(host.state_of("web")["pid"], 0);
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}

#[test]
fn create_refuses_an_id_in_use() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    host.create("web", &bundle);
    let before = Leaks::of(&host.root);
    let again = host.run(&["create", "--bundle", text(&bundle), "web"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("container with given ID already exists"), "{again:?}");
    assert!(Leaks::of(&host.root).since(&before).is_empty());
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn ids_that_could_be_paths_are_refused() {
    let host = Host::new();
    for id in ["../web", "a/b", ".", "..", "", "a\nb", "é"] {
        let ran = host.run(&["create", id]);
        assert_eq!(ran.code, 1, "{id:?}");
        let state = host.run(&["state", id]);
        assert!(state.stderr.contains("invalid container ID format"), "{id:?}: {state:?}");
    }
    host.assert_clean();
}

#[test]
fn a_verb_on_the_wrong_status_says_so() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    for (arguments, said) in [
        (&["start", "web"][..], "cannot start an already running container"),
        (&["delete", "web"], "cannot delete container web that is not stopped: running"),
        (&["resume", "web"], "container not paused"),
        (&["start", "nobody"], "container does not exist"),
        (&["state", "nobody"], "container does not exist"),
        (&["delete", "nobody"], "container does not exist"),
        (&["kill", "web", "NOSIG"], "unknown signal"),
    ] {
        let ran = host.run(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {ran:?}");
    }
    let _ = host.run(&["delete", "--force", "nobody"]).ok();
    let _ = host.run(&["kill", "web", "0"]).ok(); // asks only whether it is there
    let _ = host.run(&["kill", "web", "9"]).ok();
    host.wait_for_status("web", "stopped");
    for (arguments, said) in [
        (&["start", "web"][..], "cannot start a container that has stopped"),
        (&["kill", "web"], "container not running"),
        (&["kill", "web", "0"], "container not running"),
        (&["exec", "web", "true"], "cannot exec in a stopped container"),
    ] {
        let ran = host.run(arguments);
        assert!(ran.code != 0 && ran.stderr.contains(said), "{arguments:?}: {ran:?}");
    }
    let _ = host.run(&["kill", "--all", "web"]).ok();
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}

#[test]
fn the_exit_status_is_the_processes() {
    let host = Host::new();
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 0)] {
        let ran = host.run_script("web", script, |_| {});
        // A first process cannot kill itself: nobody outside sent the signal.
        assert_eq!(ran.code, code, "{script}: {ran:?}");
        host.assert_clean();
        fs::remove_dir_all(host.root.join("bundles/web")).expect("the bundle can be removed");
    }
}

#[test]
fn a_missing_program_is_an_error_of_create() {
    let host = Host::new();
    for (name, said) in [
        ("nope", "exec: \"nope\": executable file not found in $PATH"),
        ("/nope", "exec: \"/nope\": stat /nope: no such file or directory"),
        ("/etc", "exec: \"/etc\": is a directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ] {
        let bundle = host.bundle("web", &[name], |_| {});
        let ran = host.run(&["create", "--bundle", text(&bundle), "web"]);
        let expected = format!("runc create failed: unable to start container process: {said}");
        assert_eq!(ran.code, 1, "{name}");
        assert!(ran.stderr.contains(&expected.replace('"', "\\\"")), "{name}: {ran:?}");
        host.assert_clean();
        fs::remove_dir_all(&bundle).expect("the bundle can be removed");
    }
}

#[test]
fn the_log_is_json_with_the_error_last_and_stderr_has_the_plain_text() {
    let host = Host::new();
    let bundle = host.bundle("web", &["nope"], |_| {});
    let log = host.root.join("log.json");
    let mut command = host.command(&["--log", text(&log), "--log-format", "json", "create", "--bundle", text(&bundle)]);
    let ran = integration_tests::Ran::of(command.arg("web"));
    let text = fs::read_to_string(&log).expect("the log was written");
    let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["level"], "error");
    assert_eq!(last["msg"].as_str(), Some(ran.err()));
}

#[test]
fn the_pid_file_holds_the_process_as_digits() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    let file = host.root.join("pid");
    let ran = host.run(&["run", "--detach", "--pid-file", text(&file), "--bundle", text(&bundle), "web"]);
    let _ = ran.ok();
    let pid = fs::read_to_string(&file).expect("it was written");
    assert_eq!(host.state_of("web")["pid"].to_string(), pid);
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn list_and_ps_show_what_runs() {
    let host = Host::new();
    assert_eq!(host.run(&["list"]).code, 1, "a root that was named must exist");
    let _ = host.sleeping("web", |_| {});
    let pid = host.state_of("web")["pid"].to_string();
    let listed = host.run(&["list"]).ok();
    assert!(listed.stdout.starts_with("ID          PID         STATUS      BUNDLE"), "{listed:?}");
    assert_eq!(host.run(&["list", "-q"]).ok().out(), "web");
    let json: serde_json::Value = serde_json::from_str(&host.run(&["list", "-f", "json"]).ok().stdout).expect("JSON");
    assert_eq!((&json[0]["id"], &json[0]["owner"]), (&json!("web"), &json!("root")));
    assert_eq!(host.run(&["ps", "--format", "json", "web"]).ok().stdout, format!("[{pid}]\n"));
    let table = host.run(&["ps", "web"]).ok();
    assert_eq!(table.stdout.lines().count(), 2, "{table:?}");
    let _ = host.run(&["delete", "-f", "web"]).ok();
    assert_eq!(host.run(&["list", "-f", "json"]).ok().stdout, "null\n");
}

#[test]
fn a_paused_container_can_be_deleted_by_force() {
    let host = Host::new();
    let _ = host.sleeping("web", |_| {});
    let _ = host.run(&["pause", "web"]).ok();
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn state_json_has_the_keys_others_read() {
    let host = Host::new();
    let bundle = host.sleeping("web", |_| {});
    let text = fs::read_to_string(host.state().join("web/state.json")).expect("the record");
    let record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(record["init_process_pid"], host.state_of("web")["pid"]);
    assert!(record["init_process_start"].as_u64().is_some_and(|start| start > 0));
    assert!(record["cgroup_paths"].as_object().is_some_and(|paths| !paths.is_empty()));
    assert!(record["namespace_paths"]["NEWNET"].as_str().is_some_and(|path| path.ends_with("/ns/net")));
    assert_eq!(record["config"]["labels"][0], format!("bundle={}", bundle.display()));
    let _ = host.run(&["delete", "-f", "web"]).ok();
}

#[test]
fn signals_to_a_foreground_run_reach_the_process() {
    let host = Host::new();
    let script = "trap 'echo terminated; exit 33' TERM; echo ready; while true; do sleep 1; done";
    let bundle = host.bundle("web", &["sh", "-c", script], |_| {});
    let out = host.root.join("out");
    let log = fs::File::create(&out).expect("the root is writable");
    let mut run = host.command(&["run", "--bundle", text(&bundle), "web"]).stdout(log).spawn().expect("it starts");
    let said = |what: &str| fs::read_to_string(&out).is_ok_and(|text| text.contains(what));
    integration_tests::wait_for("the trap to be set", integration_tests::DEADLINE, || said("ready"));
    assert!(integration_tests::send_signal(run.id(), "TERM"));
    assert_eq!(run.wait().expect("the child is ours").code(), Some(33));
    assert!(said("terminated"));
    host.assert_clean();
}

#[test]
fn two_starts_at_once_start_it_once() {
    let host = Host::new();
    let bundle = host.bundle("web", &["sleep", "1000"], |_| {});
    host.create("web", &bundle);
    let quiet = || std::process::Stdio::null();
    let start = || host.command(&["start", "web"]).stdout(quiet()).stderr(quiet()).spawn().expect("it starts");
    let codes: Vec<_> = [start(), start()].iter_mut().map(|start| start.wait().expect("ours").success()).collect();
    assert!(codes.contains(&true), "{codes:?}");
    assert_eq!(host.status("web"), "running");
    let _ = host.run(&["delete", "--force", "web"]).ok();
    host.assert_clean();
}

#[test]
fn many_containers_are_made_at_once() {
    let host = Host::new();
    let bundles: Vec<_> = (0..12).map(|n| host.bundle(&format!("web{n}"), &["sh", "-c", "exit 3"], |_| {})).collect();
    let mut runs: Vec<_> = bundles
        .iter()
        .enumerate()
        .map(|(n, bundle)| {
            host.command(&["run", "--bundle", text(bundle), &format!("web{n}")]).spawn().expect("it starts")
        })
        .collect();
    assert!(runs.iter_mut().all(|run| run.wait().expect("ours").code() == Some(3)));
    host.assert_clean();
}

#[test]
fn a_process_that_waits_for_start_has_nothing_of_the_host_open_and_can_be_ended() {
    let host = Host::new();
    let bundle = host.bundle("web", &["true"], |_| {});
    host.create("web", &bundle);
    let pid = host.state_of("web")["pid"].as_u64().expect("a pid");
    let open: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("it runs")
        .flatten()
        .filter(|entry| !["0", "1", "2"].contains(&entry.file_name().to_str().unwrap_or_default()))
        .map(|entry| fs::read_link(entry.path()).expect("a link").to_string_lossy().into_owned())
        .collect();
    let is_expected = |link: &String| link.ends_with("/exec.fifo") || link.starts_with("socket:");
    assert!(open.len() == 2 && open.iter().all(is_expected), "{open:?}");
    let _ = host.run(&["kill", "web", "TERM"]).ok();
    host.wait_for_status("web", "stopped");
    let _ = host.run(&["delete", "web"]).ok();
    host.assert_clean();
}
