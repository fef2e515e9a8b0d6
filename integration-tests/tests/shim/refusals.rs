//! What is refused, by name, and leaves nothing.

use corten_proto::containerd::{task::v2::CheckpointTaskRequest, types::Mount};
use integration_tests::mounts;

use crate::driver::{Streams, Supervisor};

#[test]
fn requests_that_cannot_be_done_are_refused_by_name_and_leave_nothing() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim("web", "exit 0");
    let binary = Streams { stdout: "binary:///bin/logger".into(), ..Streams::default() };
    let unknown = Streams { stdout: "nats://x".into(), ..Streams::default() };
    let cases = [
        (
            shim.create(&binary),
            "output to binary:///bin/logger: logging programs are not supported yet: not implemented",
        ),
        (shim.create(&unknown), "unknown STDIO scheme nats: invalid argument"),
        (
            shim.create_with(&Streams::default(), |request| request.checkpoint = "/c".into()),
            "creating from a checkpoint: not supported yet: not implemented",
        ),
        (
            shim.create_with(&Streams::default(), |request| request.bundle = "b".into()),
            "bundle \"b\" is not an absolute path: invalid argument",
        ),
        (
            shim.create_with(&Streams::default(), |request| {
                let options = vec!["loop".to_owned()];
                request.rootfs =
                    vec![Mount { r#type: "ext4".into(), source: "/x".into(), options, ..Default::default() }];
            }),
            "rootfs mount with loop: not supported yet: not implemented",
        ),
    ];
    for (result, expected) in cases {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
    assert!(shim.state("").unwrap_err().is_not_found());
    let checkpoint = CheckpointTaskRequest { id: "web".into(), ..Default::default() };
    let error = supervisor.block_on(shim.client.checkpoint(&checkpoint, None)).unwrap_err();
    assert!(error.is_unimplemented());
    assert_eq!(error.to_string(), "checkpointing a container: not supported yet: not implemented");
    // The id is free still.
    shim.run(&Streams::default());
    assert_eq!(shim.create(&Streams::default()).unwrap_err().to_string(), "container web: already exists");
    assert_eq!(shim.wait(""), 0);
    shim.delete("").unwrap();
}

#[test]
fn a_program_that_does_not_exist_fails_the_create_and_leaves_nothing() {
    let supervisor = Supervisor::new();
    let shim = supervisor.shim_with("web", "", |config| config["process"]["args"] = serde_json::json!(["/no/program"]));
    let tree = supervisor.root.join("tree");
    std::fs::rename(shim.bundle.join("rootfs"), &tree).unwrap();
    let bind = Mount {
        r#type: "bind".into(),
        source: tree.display().to_string(),
        options: vec!["rbind".into(), "ro".into()],
        ..Default::default()
    };
    let error = shim.create_with(&shim.ours(corten_stdio::StdinMode::Open), |request| request.rootfs = vec![bind]);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("OCI runtime create failed:") && error.contains("no such file or directory"), "{error}");
    assert!(!mounts().iter().any(|mount| mount.target.starts_with(&shim.bundle)));
    integration_tests::wait_for("the attach socket to go", integration_tests::DEADLINE, || {
        !shim.bundle.join("attach.sock").exists()
    });
    assert!(shim.state("").unwrap_err().is_not_found());
    shim.shutdown();
    assert!(supervisor.topics().is_empty(), "{:?}", supervisor.topics());
    assert!(!supervisor.root.join("web.sock").exists());
}
