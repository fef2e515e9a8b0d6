//! `docker exec`: streams, exit codes, users, terminals, and what is left of it.

use integration_tests::{DEADLINE, DockerCli, Terminal, wait_for};
use serde_json::{Value, json};

use crate::{busybox, engine, expect, get, post, refusal, start};

#[test]
fn streams_exit_codes_users_and_places_are_as_asked() {
    let stack = engine();
    start(&stack, "web", &busybox(&["sleep", "1000"]));
    for docker in DockerCli::originals(&stack.socket()) {
        let exec = |arguments: &[&str]| docker.run(&[&["exec"], arguments].concat());
        let ran = exec(&["web", "sh", "-c", "echo out; echo err >&2; exit 42"]);
        assert_eq!((ran.code, ran.out(), ran.err()), (42, "out", "err"), "{}", docker.label);
        let fed = docker.run_with_input(&["exec", "-i", "web", "cat"], b"through\n");
        assert_eq!((fed.code, fed.out()), (0, "through"), "{}", docker.label);
        let missing = exec(&["web", "nope"]);
        assert_eq!(missing.code, 127, "{missing:?}");
        let complaint = format!("{}{}", missing.stdout, missing.stderr);
        assert!(complaint.starts_with("OCI runtime exec failed: "), "{complaint}");
        assert_eq!(complaint.matches("executable file not found").count(), 1, "said once: {complaint}");
        assert_eq!(exec(&["web", "/etc"]).code, 126);
        let whose = exec(&["-u", "nobody", "-w", "/tmp", "-e", "A=1", "web", "sh", "-c", "id -u; pwd; echo $A"]);
        assert_eq!(whose.out(), "65534\n/tmp\n1", "{}", docker.label);
        let unknown = exec(&["-u", "eve", "web", "true"]);
        assert_ne!(unknown.code, 0);
        assert!(unknown.err().contains("unable to find user eve: no matching entries in passwd file"), "{unknown:?}");
        assert_eq!(exec(&["-d", "web", "touch", "/detached"]).code, 0);
        wait_for("the detached exec to have run", DEADLINE, || exec(&["web", "ls", "/detached"]).code == 0);
        assert_eq!(exec(&["web", "rm", "/detached"]).code, 0);
    }
}

#[test]
fn a_terminal_has_the_clients_size_and_ends_with_the_shells_code() {
    let stack = engine();
    start(&stack, "web", &busybox(&["sleep", "1000"]));
    for docker in DockerCli::originals(&stack.socket()) {
        let mut terminal = Terminal::spawn(docker.command(&["exec", "-it", "web", "sh"]));
        terminal.expect("/ #");
        wait_for("the shell to know its terminal's size", DEADLINE, || {
            terminal.send("stty size\n");
            terminal.output().contains("24 80")
        });
        terminal.send("echo $TERM$((1+1)); exit 9\n");
        terminal.expect("xterm2");
        assert_eq!(terminal.wait(), 9, "{}", docker.label);
    }
}

#[test]
fn an_exec_stays_attached_while_the_engine_is_dead() {
    let mut stack = engine();
    start(&stack, "web", &busybox(&["sleep", "1000"]));
    let mut terminal = Terminal::spawn(stack.docker().command(&["exec", "-it", "web", "sh"]));
    terminal.expect("/ #");
    stack.kill();
    terminal.send("echo alive$((3+3))\n");
    terminal.expect("alive6");
    stack.restart();
    terminal.send("echo still$((4+4)); exit\n");
    terminal.expect("still8");
    terminal.wait();
    // What it leaves is removed although the engine that started it is gone.
    let execs = stack.cortend().data_root().join("containers");
    wait_for("the exec's directory to be gone", DEADLINE, || leftovers(&execs) == 0);
}

/// Directories of execs below all containers.
fn leftovers(containers: &std::path::Path) -> usize {
    let all = std::fs::read_dir(containers).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let count = |path: std::path::PathBuf| std::fs::read_dir(path).map_or(0, |entries| entries.flatten().count());
    all.iter().map(|container| count(container.path().join("execs"))).sum()
}

#[test]
fn inspect_follows_an_exec_from_its_creation_to_its_end() {
    let mut stack = engine();
    let id = start(&stack, "web", &busybox(&["sleep", "1000"]));
    let config = json!({ "AttachStdout": true, "Cmd": ["sh", "-c", "exit 3"], "DetachKeys": "ctrl-a" });
    let created = expect(post(&stack, "/containers/web/exec", &config), 201);
    let exec = created.json()["Id"].as_str().unwrap().to_owned();
    let inspect = || expect(get(&stack, &format!("/exec/{exec}/json")), 200).json();
    let before = inspect();
    assert_eq!((&before["Running"], &before["ExitCode"], &before["Pid"]), (&json!(false), &Value::Null, &json!(0)));
    assert_eq!(before["ProcessConfig"]["entrypoint"], "sh");
    assert_eq!(before["DetachKeys"], "AQ==");
    assert_eq!(get(&stack, &format!("/containers/{id}/json")).json()["ExecIDs"], json!([exec]));

    let started = expect(post(&stack, &format!("/exec/{exec}/start"), &json!({ "Detach": false, "Tty": false })), 200);
    assert_eq!(started.body, b"");
    let after = inspect();
    assert_eq!((&after["Running"], &after["ExitCode"]), (&json!(false), &json!(3)));
    assert_eq!(get(&stack, &format!("/containers/{id}/json")).json()["ExecIDs"], Value::Null);
    let twice = refusal(post(&stack, &format!("/exec/{exec}/start"), &json!({ "Detach": true })), 409);
    assert_eq!(twice, format!("exec command {exec} has already run"));
    let containers = stack.cortend().data_root().join("containers");
    wait_for("the exec's directory to be gone", DEADLINE, || leftovers(&containers) == 0);
}

#[test]
fn what_cannot_be_run_is_refused_in_dockers_words() {
    let mut stack = engine();
    let create = |name: &str, body: &Value| post(&stack, &format!("/containers/{name}/exec"), body);
    let ls = json!({ "Cmd": ["ls"] });
    assert_eq!(refusal(create("nope", &ls), 404), "No such container: nope");
    let id = start(&stack, "web", &busybox(&["sleep", "1000"]));
    assert_eq!(refusal(create("web", &json!({})), 400), "No exec command specified");
    assert_eq!(refusal(get(&stack, "/exec/nope/json"), 404), "No such exec instance: nope");
    let detached = expect(create("web", &json!({ "Cmd": ["nope"] })), 201).json();
    let exec = detached["Id"].as_str().unwrap();
    let text = refusal(post(&stack, &format!("/exec/{exec}/start"), &json!({ "Detach": true })), 400);
    assert!(text.contains("executable file not found in $PATH"), "{text}");
    assert_eq!(get(&stack, &format!("/exec/{exec}/json")).json()["ExitCode"], 127);
    post(&stack, "/containers/web/pause", &Value::Null);
    let paused = refusal(create("web", &ls), 409);
    assert_eq!(paused, "Container web is paused, unpause the container before exec");
    post(&stack, "/containers/web/unpause", &Value::Null);
    post(&stack, "/containers/web/stop?t=0", &Value::Null);
    assert_eq!(refusal(create("web", &ls), 409), format!("container {id} is not running"));
    let containers = stack.cortend().data_root().join("containers");
    assert_eq!(leftovers(&containers), 0);
}

/// What becomes of an exec while no engine is there is known to the next.
#[test]
fn execs_are_known_to_the_engine_that_comes_after() {
    let mut stack = engine();
    let flag = stack.root().make("flag");
    let mut body = busybox(&["sleep", "1000"]);
    body["HostConfig"]["Binds"] = json!([format!("{}:/flag", flag.display())]);
    start(&stack, "web", &body);
    let started = |script: &str| {
        let created = expect(post(&stack, "/containers/web/exec", &json!({ "Cmd": ["sh", "-c", script] })), 201);
        let id = created.json()["Id"].as_str().unwrap().to_owned();
        expect(post(&stack, &format!("/exec/{id}/start"), &json!({ "Detach": true })), 200);
        id
    };
    let lives = started("sleep 1000");
    let dies = started("while [ ! -e /flag/go ]; do sleep 0.05; done; exit 7");
    let dead = started("exit 8");
    let inspect = |stack: &integration_tests::Stack, id: &str| {
        let shown = expect(get(stack, &format!("/exec/{id}/json")), 200).json();
        (shown["Running"].clone(), shown["Pid"].clone(), shown["ExitCode"].clone())
    };
    wait_for("the short exec to have ended", DEADLINE, || inspect(&stack, &dead).2 == 8);
    let ended = inspect(&stack, &dead);
    let running = inspect(&stack, &lives);
    assert_eq!((&running.0, &running.2), (&json!(true), &Value::Null));
    let dying = inspect(&stack, &dies).1;

    stack.kill_engine();
    std::fs::write(flag.join("go"), "").unwrap();
    wait_for("the exec to end while no engine looks", DEADLINE, || {
        let status = std::fs::read_to_string(format!("/proc/{dying}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    });
    stack.restart_engine();
    assert_eq!(inspect(&stack, &lives), running);
    assert_eq!(inspect(&stack, &dead), ended);
    wait_for("the end to be known", DEADLINE, || inspect(&stack, &dies).0 == false);
    assert_eq!(inspect(&stack, &dies).2, 7);
    let ids = get(&stack, "/containers/web/json").json()["ExecIDs"].clone();
    assert_eq!(ids, json!([lives]));

    // With both gone, the container and its exec ended meanwhile: the exec is not said to run.
    stack.kill();
    assert!(integration_tests::send_signal(u32::try_from(running.1.as_u64().unwrap()).unwrap(), "KILL"));
    stack.restart();
    wait_for("the killed exec's end to be known", DEADLINE, || inspect(&stack, &lives).2 == 137);
    expect(crate::delete(&stack, "/containers/web?force=1"), 204);
    expect(get(&stack, &format!("/exec/{lives}/json")), 404);
}

/// docker 28 refuses at the create already; 20.10 told it in the stream, with the exec's code 126.
#[test]
fn a_user_nobody_knows_is_refused_before_anything_runs() {
    let stack = engine();
    let id = start(&stack, "web", &busybox(&["sleep", "1000"]));
    for (user, said) in [
        ("eve", "unable to find user eve: no matching entries in passwd file"),
        ("eve:0", "unable to find user eve: no matching entries in passwd file"),
        ("0:eve", "unable to find group eve: no matching entries in group file"),
        ("9999999999", "uids and gids must be in range 0-2147483647"),
    ] {
        let body = json!({"User": user, "Cmd": ["true"]});
        assert_eq!(refusal(post(&stack, &format!("/containers/{id}/exec"), &body), 400), said);
        let ran = stack.docker().run(&["exec", "-u", user, "web", "true"]);
        assert_eq!((ran.code, ran.err()), (1, format!("Error response from daemon: {said}").as_str()));
    }
}
