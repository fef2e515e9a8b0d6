//! What is refused: in the original's words where it has some, else by the name of what is not supported.

use crate::{Host, IMAGE};

#[test]
fn errors_are_the_originals_sentences() {
    for host in Host::both() {
        for arguments in [
            &["containers", "info", "nope"][..],
            &["containers", "info"],
            &["containers", "rm", "nope"],
            &["tasks", "ps", "nope"],
            &["tasks", "kill"],
            &["tasks", "start", "nope"],
            &["run"],
            &["run", IMAGE],
            &["run", "nope", "id"],
            &["run", "--rm", "-d", IMAGE, "id"],
            &["images", "tag", "nope", "other"],
            &["images", "tag", "nope"],
            &["images", "rm", "nope"],
            &["snapshots", "info", "nope"],
            &["snapshots", "rm", "nope"],
            &["leases", "rm", "nope"],
            &["namespaces", "label", "nope", "a=b"],
        ] {
            host.assert_same(arguments);
        }
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let host = Host::containerd();
    for (arguments, text) in [
        (&["images", "pull", "busybox"][..], "corten-ctr: images pull: not supported yet\n"),
        (&["tasks", "checkpoint", "x"], "corten-ctr: tasks checkpoint: not supported yet\n"),
        (&["run", "--gpus", "0", IMAGE, "x", "true"], "corten-ctr: --gpus: not supported yet\n"),
        (&["images", "ls", "--nope"], "corten-ctr: flag provided but not defined: -nope\n"),
        (&["run", "-nope", IMAGE, "x", "true"], "corten-ctr: flag provided but not defined: -nope\n"),
    ] {
        let ran = host.ours.run(arguments).code(1);
        assert_eq!(ran.stderr, text, "{arguments:?}");
    }
    // Nothing was made on the way to a refusal.
    assert_eq!(host.ours.run(&["containers", "ls", "-q"]).ok().stdout, "");
    assert_eq!(host.ours.run(&["snapshots", "info", "x"]).code, 1);
}

#[test]
fn an_address_where_nobody_listens_fails_at_once() {
    let nowhere = integration_tests::Ctr::ours(std::path::Path::new("/nowhere/s.sock"), "x");
    let ran = nowhere.run(&["version"]).code(1);
    assert!(ran.stderr.starts_with("corten-ctr: failed to dial \"/nowhere/s.sock\": "), "{}", ran.stderr);
}
