//! A container's life: create, start, state, kill, exit, delete.

use corten_proto::containerd::{
    task::v2::{PauseRequest, PidsRequest, ResumeRequest, StatsRequest, UpdateTaskRequest},
    types::Mount,
    v1::types::Status,
};
use integration_tests::{DEADLINE, mounts, wait_for};
use prost_types::Any;

use crate::driver::{Streams, Supervisor, runtime};

#[test]
fn a_container_runs_to_its_exit_code_under_runc_and_under_ours() {
    for name in ["runc", "corten-runtime"] {
        let supervisor = Supervisor::new();
        let mut shim = supervisor.shim("web", "echo hello; echo error >&2; exit 42");
        shim.runtime = runtime(name);
        let output = supervisor.root.join("output/of/web");
        let pid = shim.create(&Streams::file(&output)).unwrap();
        assert_eq!(shim.state("").unwrap().status, Status::Created as i32, "{name}");
        assert_eq!(shim.start("").unwrap(), pid);
        assert_eq!(shim.wait(""), 42, "{name}");
        let state = shim.state("").unwrap();
        assert_eq!((state.status, state.exit_status, state.pid), (Status::Stopped as i32, 42, pid));
        let deleted = shim.delete("").unwrap();
        assert_eq!((deleted.exit_status, deleted.pid), (42, pid));
        let mut lines: Vec<String> = std::fs::read_to_string(&output).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["error", "hello"], "{name}");
        assert!(shim.state("").unwrap_err().is_not_found());
        shim.shutdown();
        let topics = supervisor.topics();
        assert_eq!(topics, ["/tasks/create web", "/tasks/start web", "/tasks/exit web", "/tasks/delete web"]);
        let left = supervisor.root.clean();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_root_filesystem_is_mounted_for_the_container_and_unmounted_with_it() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "cat /proof");
    // The tree the bundle came with becomes the lower layer.
    let lower = supervisor.root.join("lower");
    std::fs::rename(shim.bundle.join("rootfs"), &lower).unwrap();
    let (upper, work) = (supervisor.root.make("upper"), supervisor.root.make("work"));
    std::fs::write(upper.join("proof"), "mounted").unwrap();
    let options = [
        format!("lowerdir={}", lower.display()),
        format!("upperdir={}", upper.display()),
        format!("workdir={}", work.display()),
    ];
    let overlay =
        Mount { r#type: "overlay".into(), source: "overlay".into(), target: String::new(), options: options.to_vec() };
    let output = supervisor.root.join("output");
    shim.create_with(&Streams::file(&output), |request| request.rootfs = vec![overlay]).unwrap();
    let mounted = |path| mounts().iter().any(|mount| mount.target == path);
    assert!(mounted(shim.bundle.join("rootfs")));
    shim.start("").unwrap();
    assert_eq!(shim.wait(""), 0);
    shim.delete("").unwrap();
    assert_eq!(std::fs::read_to_string(output).unwrap(), "mounted");
    assert!(!mounted(shim.bundle.join("rootfs")));
}

#[test]
fn a_running_container_is_signalled_frozen_counted_and_changed() {
    for name in ["runc", "corten-runtime"] {
        let supervisor = Supervisor::new();
        let mut shim = supervisor.shim("web", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done");
        shim.runtime = runtime(name);
        let output = supervisor.root.join("output");
        shim.run(&Streams::file(&output));
        wait_for("the trap", DEADLINE, || std::fs::read(&output).unwrap() == b"ready\n");
        let client = &shim.client;
        let id = || "web".to_owned();
        supervisor.block_on(async {
            client.pause(&PauseRequest { id: id() }, None).await.unwrap();
            let error = client.pause(&PauseRequest { id: id() }, None).await.unwrap_err();
            assert_eq!(error.to_string(), "cannot pause a paused container: failed precondition", "{name}");
            client.resume(&ResumeRequest { id: id() }, None).await.unwrap();
            let pids = client.pids(&PidsRequest { id: id() }, None).await.unwrap().processes;
            assert!(pids.iter().any(|process| process.pid == shim.state_pid()), "{pids:?}");
            let stats = client.stats(&StatsRequest { id: id() }, None).await.unwrap().stats.unwrap();
            assert!(stats.type_url.starts_with("io.containerd.cgroups.v"), "{}", stats.type_url);
            let resources = Any {
                type_url: corten_proto::any::LINUX_RESOURCES.to_owned(),
                value: br#"{"pids":{"limit":77}}"#.to_vec(),
            };
            let update = UpdateTaskRequest { id: id(), resources: Some(resources), ..Default::default() };
            client.update(&update, None).await.unwrap();
        });
        shim.kill("", 15).unwrap();
        assert_eq!(shim.wait(""), 7, "{name}");
        let error = shim.kill("", 15).unwrap_err();
        assert_eq!(error.to_string(), "process already finished: not found");
        shim.delete("").unwrap();
        let topics = supervisor.topics();
        let at =
            |topic: &str| topics.iter().position(|came| came.starts_with(topic)).unwrap_or_else(|| panic!("{topic}"));
        assert!(at("/tasks/paused") < at("/tasks/resumed") && at("/tasks/resumed") < at("/tasks/exit"));
    }
}

#[test]
fn a_container_without_a_pid_namespace_leaves_no_process() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim_with("web", "sleep 1000 & sleep 1000 & exit 3", |config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    shim.run(&Streams::default());
    assert_eq!(shim.wait(""), 3);
    shim.delete("").unwrap();
    let cgroup = format!("{}/web", supervisor.root.cgroup_parent());
    let is_inside = |pid: &std::path::Path| {
        std::fs::read_to_string(pid.join("cgroup")).is_ok_and(|cgroups| cgroups.contains(&cgroup))
    };
    wait_for("the end of every process of the container", DEADLINE, || {
        !std::fs::read_dir("/proc").unwrap().flatten().any(|entry| is_inside(&entry.path()))
    });
    // Orphans were handed to the shim, which reaps them.
    wait_for("no zombie under the shim", DEADLINE, || integration_tests::child_processes(shim.pid()).is_empty());
}

#[test]
fn running_out_of_memory_is_announced_before_the_exit() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim_with("web", "head -c 200m /dev/zero | tail", |config| {
        config["linux"]["resources"]["memory"] = serde_json::json!({"limit": 20 << 20});
    });
    shim.run(&Streams::default());
    shim.wait("");
    supervisor.wait_for_topic("/tasks/exit web");
    let topics = supervisor.topics();
    let at = |topic: &str| topics.iter().position(|came| came == topic);
    assert!(at("/tasks/oom web").is_some() && at("/tasks/oom web") < at("/tasks/exit web"), "{topics:?}");
}

#[test]
fn a_created_container_can_be_deleted() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "exit 0");
    shim.create(&Streams::default()).unwrap();
    shim.delete("").unwrap();
    shim.shutdown();
    assert_eq!(supervisor.topics(), ["/tasks/create web", "/tasks/exit web", "/tasks/delete web"]);
}

#[test]
fn containers_of_one_group_share_a_shim_and_end_apart() {
    let supervisor = Supervisor::new();
    let grouped = |config: &mut serde_json::Value| {
        config["annotations"] = serde_json::json!({"io.containerd.runc.v2.group": "pod"});
    };
    let first = supervisor.shim_with("one", "sleep 1000", grouped);
    let second = supervisor.shim_with("two", "exit 2", grouped);
    assert_eq!(first.pid(), second.pid());
    first.run(&Streams::default());
    second.run(&Streams::default());
    assert_eq!(second.wait(""), 2);
    second.delete("").unwrap();
    // One is left, so the shim stays.
    supervisor.block_on(second.client.shutdown(&Default::default(), None)).unwrap();
    assert_eq!(first.state("").unwrap().status, Status::Running as i32);
    first.kill("", 9).unwrap();
    assert_eq!(first.wait(""), 137);
    first.delete("").unwrap();
    first.shutdown();
}

#[test]
fn sigterm_ends_a_shim_only_when_it_holds_nothing() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    assert!(integration_tests::send_signal(shim.pid(), "TERM"));
    assert_eq!(shim.state("").unwrap().status, Status::Running as i32);
    shim.kill("", 9).unwrap();
    shim.wait("");
    shim.delete("").unwrap();
    assert!(integration_tests::send_signal(shim.pid(), "TERM"));
    supervisor.block_on(async {
        tokio::time::timeout(DEADLINE, shim.client.closed()).await.expect("the shim ends on SIGTERM");
    });
}
