//! Events are kept until a supervisor has acknowledged them.

use crate::driver::{Streams, Supervisor};

#[test]
fn what_happened_without_a_supervisor_is_told_when_it_is_back_in_order_and_once() {
    let mut supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "sleep 1000");
    shim.run(&Streams::default());
    supervisor.wait_for_topic("/tasks/start web");
    let (client, id) = (shim.client.clone(), shim.id.clone());
    drop(shim);
    supervisor.go_away();
    let kill = corten_proto::containerd::task::v2::KillRequest { id: id.clone(), signal: 9, ..Default::default() };
    supervisor.block_on(client.kill(&kill, None)).unwrap();
    let wait = corten_proto::containerd::task::v2::WaitRequest { id: id.clone(), ..Default::default() };
    assert_eq!(supervisor.block_on(client.wait(&wait, None)).unwrap().exit_status, 137);
    let delete = corten_proto::containerd::task::v2::DeleteRequest { id, ..Default::default() };
    supervisor.block_on(client.delete(&delete, None)).unwrap();
    supervisor.come_back();
    supervisor.wait_for_topic("/tasks/delete web");
    let topics = supervisor.topics();
    assert_eq!(topics, ["/tasks/create web", "/tasks/start web", "/tasks/exit web", "/tasks/delete web"]);
}

#[test]
fn without_a_ttrpc_socket_events_are_published_by_the_binary() {
    let supervisor = Supervisor::new();
    // Stands in for `containerd publish`: notes its arguments and the bytes of the event.
    let publisher = supervisor.root.join("publisher");
    let notes = supervisor.root.join("notes");
    let script = format!("#!/bin/sh\necho \"$@\" $(wc -c) >> {}\n", notes.display());
    std::fs::write(&publisher, script).unwrap();
    std::fs::set_permissions(&publisher, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let shim = supervisor.shim_told("web", "exit 0", &publisher, "");
    shim.run(&Streams::default());
    assert_eq!(shim.wait(""), 0);
    shim.delete("").unwrap();
    shim.shutdown();
    let notes = std::fs::read_to_string(notes).unwrap();
    let topics: Vec<&str> = notes.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    assert_eq!(topics, ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"], "{notes}");
    let first = format!("--address /nowhere publish --topic /tasks/create --namespace {} ", supervisor.root.name());
    assert!(notes.starts_with(&first), "{notes}");
}
