//! Execs: their output, exit codes, failures, and many at once.

use corten_proto::containerd::{
    runc::v1::ProcessDetails,
    task::v2::{ExecProcessRequest, PidsRequest},
};
use integration_tests::{DEADLINE, wait_for};

use crate::driver::{Streams, Supervisor, runtime};

#[test]
fn an_exec_runs_to_its_exit_code_under_runc_and_under_ours() {
    for name in ["runc", "corten-runtime"] {
        let supervisor = Supervisor::new();
        let mut shim = supervisor.shim("web", "sleep 1000");
        shim.runtime = runtime(name);
        shim.run(&Streams::default());
        let output = supervisor.root.join("output");
        shim.exec("e1", "echo inside; exit 9", &Streams::file(&output)).unwrap();
        let pid = shim.start("e1").unwrap();
        assert_eq!(shim.wait("e1"), 9, "{name}");
        let deleted = shim.delete("e1").unwrap();
        assert_eq!((deleted.exit_status, deleted.pid), (9, pid));
        assert_eq!(std::fs::read_to_string(output).unwrap(), "inside\n");
        assert!(shim.state("e1").unwrap_err().is_not_found());
        let left = ["e1.pid", "e1.exit", "e1.process.json", "e1.log.json"];
        assert!(left.iter().all(|file| !shim.bundle.join(file).exists()));
        shim.kill("", 9).unwrap();
        assert_eq!(shim.wait(""), 137);
    }
}

#[test]
fn an_exec_is_tagged_signalled_and_refused_twice() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    shim.exec("e1", "sleep 1000", &Streams::default()).unwrap();
    let again = shim.exec("e1", "true", &Streams::default()).unwrap_err();
    assert_eq!(again.to_string(), "id e1: already exists");
    assert_eq!(shim.kill("e1", 15).unwrap_err().to_string(), "process not created: failed precondition");
    let pid = shim.start("e1").unwrap();
    let pids = supervisor.block_on(shim.client.pids(&PidsRequest { id: "web".into() }, None)).unwrap().processes;
    let info = pids.iter().find(|process| process.pid == pid).unwrap().info.clone().unwrap();
    let details: ProcessDetails = corten_proto::any::unpack(&info).unwrap().unwrap();
    assert_eq!(details.exec_id, "e1");
    assert!(shim.delete("e1").unwrap_err().to_string().starts_with("cannot delete a running process"));
    shim.kill("e1", 9).unwrap();
    assert_eq!(shim.wait("e1"), 137);
    shim.delete("e1").unwrap();
    shim.kill("", 9).unwrap();
    shim.wait("");
}

#[test]
fn a_program_that_does_not_exist_fails_the_start_and_leaves_the_exec_deletable() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    let process = br#"{"args":["/no/such/program"],"cwd":"/","user":{"uid":0,"gid":0}}"#.to_vec();
    let request = ExecProcessRequest {
        id: "web".into(),
        exec_id: "e1".into(),
        spec: Some(prost_types::Any { type_url: corten_proto::any::PROCESS.into(), value: process }),
        ..Default::default()
    };
    supervisor.block_on(shim.client.exec(&request, None)).unwrap();
    let error = shim.start("e1").unwrap_err().to_string();
    assert!(error.starts_with("OCI runtime exec failed:") && error.contains("no such file or directory"), "{error}");
    shim.delete("e1").unwrap();
    shim.kill("", 9).unwrap();
    assert_eq!(shim.wait(""), 137);
}

#[test]
fn the_exits_of_many_execs_come_before_inits() {
    const EXECS: usize = 40;
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    let ids: Vec<String> = (0..EXECS).map(|number| format!("e{number}")).collect();
    for id in &ids {
        shim.exec(id, "sleep 1000", &Streams::default()).unwrap();
    }
    std::thread::scope(|scope| {
        for ids in ids.chunks(EXECS / 4) {
            let shim = &shim;
            scope.spawn(move || ids.iter().for_each(|id| assert_ne!(shim.start(id).unwrap(), 0)));
        }
    });
    shim.kill("", 9).unwrap();
    supervisor.wait_for_topic("/tasks/exit web");
    let topics = supervisor.topics();
    assert_eq!(topics.last().map(String::as_str), Some("/tasks/exit web"));
    for id in &ids {
        let at = |topic: String| topics.iter().position(|came| *came == topic).unwrap_or_else(|| panic!("no {topic}"));
        let [added, started, exit] =
            ["exec-added", "exec-started", "exit"].map(|topic| at(format!("/tasks/{topic} {id}")));
        assert!(added < started && started < exit, "{id}");
    }
    assert_eq!(topics.iter().filter(|topic| topic.starts_with("/tasks/exit")).count(), EXECS + 1);
    let refused = shim.exec("late", "true", &Streams::default()).unwrap_err();
    assert_eq!(refused.to_string(), "cannot exec in a stopped container: failed precondition");
    wait_for("no zombie under the shim", DEADLINE, || integration_tests::child_processes(shim.pid()).is_empty());
    for id in &ids {
        assert_eq!(shim.delete(id).unwrap().exit_status, 137);
    }
    shim.delete("").unwrap();
}

#[test]
fn fast_exits_are_announced_after_their_starts() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    for number in 0..20 {
        let id = format!("e{number}");
        shim.exec(&id, "exit 1", &Streams::default()).unwrap();
        shim.start(&id).unwrap();
        assert_eq!(shim.wait(&id), 1);
        supervisor.wait_for_topic(&format!("/tasks/exit {id}"));
        let topics = supervisor.topics();
        let of_it: Vec<_> = topics.iter().filter(|topic| topic.ends_with(&format!(" {id}"))).collect();
        let expected =
            [format!("/tasks/exec-added {id}"), format!("/tasks/exec-started {id}"), format!("/tasks/exit {id}")];
        assert_eq!(of_it, expected.iter().collect::<Vec<_>>());
    }
    shim.kill("", 9).unwrap();
    shim.wait("");
}

#[test]
fn execs_that_fail_side_by_side_each_tell_their_own_error() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    for number in 0..8 {
        let process = format!(r#"{{"args":["/no/such/program{number}"],"cwd":"/","user":{{"uid":0,"gid":0}}}}"#);
        let request = ExecProcessRequest {
            id: "web".into(),
            exec_id: format!("e{number}"),
            spec: Some(prost_types::Any { type_url: corten_proto::any::PROCESS.into(), value: process.into_bytes() }),
            ..Default::default()
        };
        supervisor.block_on(shim.client.exec(&request, None)).unwrap();
    }
    std::thread::scope(|scope| {
        for number in 0..8 {
            let shim = &shim;
            scope.spawn(move || {
                let error = shim.start(&format!("e{number}")).unwrap_err().to_string();
                assert!(error.contains(&format!("/no/such/program{number}")), "{number}: {error}");
            });
        }
    });
    shim.kill("", 9).unwrap();
    assert_eq!(shim.wait(""), 137);
}
