//! Engine and supervisor are killed; containers are not.

use integration_tests::{DEADLINE, Kind, Stack, TempRoot, send_signal, wait_for};
use serde_json::{Value, json};

use crate::{busybox, delete, engine, expect, get, post, start, state, wait_for_exit};

#[test]
fn containers_outlive_both_and_their_ends_are_known_after() {
    let mut stack = engine();
    let lives = start(&stack, "lives", &busybox(&["sleep", "1000"]));
    let flag = stack.root().make("flag");
    let script = "while [ ! -e /flag/go ]; do sleep 0.05; done; exit 42";
    let mut body = busybox(&["sh", "-c", script]);
    body["HostConfig"]["Binds"] = json!([format!("{}:/flag", flag.display())]);
    let dies = start(&stack, "dies", &body);
    let paused = start(&stack, "paused", &busybox(&["sleep", "1000"]));
    expect(post(&stack, "/containers/paused/pause", &Value::Null), 204);
    let pid = state(&stack, &lives)["Pid"].clone();
    let dying = state(&stack, &dies)["Pid"].as_u64().unwrap();

    stack.kill();
    std::fs::write(flag.join("go"), "").unwrap();
    wait_for("the container to end while nobody looks", DEADLINE, || {
        let status = std::fs::read_to_string(format!("/proc/{dying}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    });
    stack.restart();

    assert_eq!(wait_for_exit(&stack, &dies), 42);
    assert_eq!(
        (state(&stack, &lives)["Pid"].clone(), state(&stack, &lives)["Status"].clone()),
        (pid, json!("running"))
    );
    assert_eq!(state(&stack, &paused)["Status"], "paused");
    expect(post(&stack, "/containers/paused/unpause", &Value::Null), 204);
    for name in ["lives", "dies", "paused"] {
        expect(delete(&stack, &format!("/containers/{name}?force=1")), 204);
    }
}

#[test]
fn a_supervisor_that_is_killed_is_started_again() {
    let mut stack = engine();
    start(&stack, "lives", &busybox(&["sleep", "1000"]));
    for _ in 0..3 {
        stack.kill_supervisor();
        expect(get(&stack, "/containers/lives/json"), 200);
        start(&stack, "another", &busybox(&["sleep", "1000"]));
        expect(delete(&stack, "/containers/another?force=1"), 204);
    }
    expect(post(&stack, "/containers/lives/stop?t=0", &Value::Null), 204);
}

/// What the files say is old when the engine comes up: who asks about containers waits for the first
/// look at their tasks, everybody else is answered at once.
#[test]
fn the_first_answers_about_containers_are_true() {
    let mut stack = Stack::start(Kind::OursOnContainerd);
    stack.load_busybox();
    let id = start(&stack, "dies", &busybox(&["sleep", "1000"]));
    let pid = u32::try_from(state(&stack, &id)["Pid"].as_u64().unwrap()).unwrap();
    stack.kill();
    assert!(send_signal(pid, "KILL"));
    // Waits for the answer to a ping, which comes without anybody below.
    stack.restart_engine();
    expect(get(&stack, "/version"), 200);
    let api = stack.api();
    let asked = ["/containers/json?all=1".to_owned(), format!("/containers/{id}/json")].map(|path| {
        let api = api.clone();
        std::thread::spawn(move || api.get(&path).unwrap().json())
    });
    stack.restart_supervisor();
    let [listed, inspected] = asked.map(|asked| asked.join().unwrap());
    assert_eq!(listed[0]["State"], "exited", "{listed}");
    assert_eq!((&inspected["State"]["Status"], &inspected["State"]["ExitCode"]), (&json!("exited"), &json!(137)));
    expect(delete(&stack, &format!("/containers/{id}")), 204);
}

/// A client that waited when the engine died asks the next one, which may have removed the container by then.
#[test]
fn the_end_of_a_container_that_removed_itself_while_no_engine_looked_is_told() {
    let mut stack = engine();
    let mut body = busybox(&["sh", "-c", "trap 'exit 42' USR1; while :; do sleep 0.05; done"]);
    body["HostConfig"]["AutoRemove"] = json!(true);
    let id = start(&stack, "removed", &body);
    let pid = u32::try_from(state(&stack, &id)["Pid"].as_u64().unwrap()).unwrap();
    stack.kill_engine();
    wait_for("the container to end while no engine looks", DEADLINE, || {
        // Again and again: the shell may not have set its trap yet.
        let _ = send_signal(pid, "USR1");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    });
    stack.restart_engine();
    crate::wait_until_gone(&stack, &id);
    assert_eq!(wait_for_exit(&stack, &id), 42);
    expect(post(&stack, "/containers/removed/wait", &Value::Null), 404);
}

/// Says that a test is done, also when it panics: threads that go on until then are joined.
struct Finished<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

/// Clients see nothing of a supervisor that is started again: reads are answered, and so are changes,
/// but for those whose answer was on its way, which are told to come again.
#[test]
fn a_supervisor_that_is_killed_under_requests_costs_none_of_them() {
    let mut stack = engine();
    let api = stack.api();
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::SeqCst);
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| {
            while !is_done() {
                for path in
                    ["/images/busybox/json", "/images/json", "/images/busybox/history", "/containers/json?all=1"]
                {
                    let answer = api.get(path).unwrap();
                    assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
                }
            }
        });
        let changes = scope.spawn(|| {
            while !is_done() {
                let made = api.post("/containers/create", &busybox(&["true"])).unwrap();
                assert!([201, 503].contains(&made.status), "create: {}", made.text());
                let Some(id) = made.json()["Id"].as_str().map(str::to_owned) else { continue };
                let removed = api.delete(&format!("/containers/{id}")).unwrap();
                assert!([204, 503].contains(&removed.status), "remove: {}", removed.text());
            }
        });
        let finished = Finished(&done);
        for _ in 0..5 {
            stack.kill_supervisor();
        }
        drop(finished);
        reads.join().unwrap();
        changes.join().unwrap();
    });
}

#[test]
fn a_container_whose_shim_dies_is_settled_as_ended() {
    let stack = engine();
    let id = start(&stack, "orphan", &busybox(&["sleep", "1000"]));
    let pid = u32::try_from(state(&stack, &id)["Pid"].as_u64().unwrap()).unwrap();
    let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let shim: u32 = parent.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let _ = send_signal(shim, "KILL");
    wait_for("the container to be settled", DEADLINE, || state(&stack, &id)["Status"] == "exited");
    assert_eq!(state(&stack, &id)["ExitCode"], 137);
    wait_for("its process to be gone", DEADLINE, || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    expect(post(&stack, "/containers/orphan/start", &Value::Null), 204);
    expect(delete(&stack, "/containers/orphan?force=1"), 204);
}

#[test]
fn sigterm_leaves_containers_running_unless_told_otherwise() {
    let mut stack = engine();
    let id = start(&stack, "lives", &busybox(&["sleep", "1000"]));
    let pid = state(&stack, &id)["Pid"].clone();
    stack.cortend().daemon().terminate();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    stack.restart_engine();
    assert_eq!(state(&stack, &id)["Pid"], pid);
    expect(delete(&stack, "/containers/lives?force=1"), 204);
}

/// A disk that is full, a reader that has gone.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let root = TempRoot::new();
    let log = root.make("cortend").join("log");
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let stack = Stack::start_in(root, Kind::Ours);
    // The engine has it open; whoever reads the log of a failure must not read that file, which never ends.
    std::fs::remove_file(&log).unwrap();
    std::fs::write(&log, "").unwrap();
    stack.load_busybox();
    start(&stack, "web", &busybox(&["true"]));
    assert_eq!(expect(post(&stack, "/containers/web/wait", &Value::Null), 200).json()["StatusCode"], json!(0));
    // What is refused is logged, too.
    assert_eq!(get(&stack, "/containers/nope/json").status, 404);
    expect(delete(&stack, "/containers/web"), 204);
}
