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
